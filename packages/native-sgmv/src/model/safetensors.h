#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/tensor.h"

namespace sgmv {

// One tensor of a mapped file. It lives as long as the file it came from.
struct TensorView {
  std::string file;   // for messages
  std::string dtype;  // as the header names it: "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  const uint8_t* data;
  size_t num_bytes;
};

// A file's bytes, mapped read-only.
class MappedFile {
 public:
  // Throws std::runtime_error naming `path`.
  explicit MappedFile(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return {data_, size_}; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Tensors by name, out of one safetensors file or several. Everything the headers claim is checked
// when a file is opened: lengths, dtypes, shapes, and that the tensors fill the file without gap or
// overlap.
class Safetensors {
 public:
  // One file. Throws std::runtime_error naming the file and the tensor at fault.
  static Safetensors open_file(const std::string& path);
  // A checkpoint: the shards that model.safetensors.index.json lists, or model.safetensors.
  static Safetensors open_folder(const std::string& folder);

  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }

  // The tensor `name` as a matrix of exactly this shape; a vector has one row.
  // Throws std::runtime_error naming file and tensor when it is missing, misshapen or of a dtype
  // other than F32, F16 and BF16.
  HostMatrix matrix(const std::string& name, int num_rows, int num_cols) const;
  HostMatrix vector(const std::string& name, int size) const;

 private:
  void add_file(const std::string& path);
  HostMatrix view(const std::string& name, const std::vector<int64_t>& shape) const;

  std::string path_;  // of the file or folder, for messages
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, TensorView, std::less<>> tensors_;
  // Tensors that a file does not align to their element size.
  std::vector<std::vector<uint8_t>> aligned_copies_;
};

}  // namespace sgmv
