#include "model/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <set>
#include <stdexcept>

#include "model/json.h"

namespace sgmv {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxIndexBytes = 100'000'000;
constexpr int kMaxDims = 8;

struct DTypeSize {
  std::string_view name;
  int num_bytes;
};
// Checkpoints carry buffers of other types beside the weights; their extents are checked too.
constexpr DTypeSize kDTypeSizes[] = {{"F64", 8},  {"F32", 4},     {"F16", 2},    {"BF16", 2},
                                     {"I64", 8},  {"U64", 8},     {"I32", 4},    {"U32", 4},
                                     {"I16", 2},  {"U16", 2},     {"I8", 1},     {"U8", 1},
                                     {"BOOL", 1}, {"F8_E5M2", 1}, {"F8_E4M3", 1}};

std::string to_string(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (const int64_t dim : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(dim);
  return out + "]";
}

int element_bytes(std::string_view dtype) {
  for (const DTypeSize& known : kDTypeSizes) {
    if (known.name == dtype) return known.num_bytes;
  }
  throw std::runtime_error("unknown dtype " + in_quotes(dtype));
}

// Throws unless `value` is a whole number in [0, 2^53).
int64_t to_size(const Json& value, std::string_view what) {
  const double* number = value.get_if<double>();
  if (number == nullptr || !(*number >= 0 && *number < 9007199254740992.0) ||
      *number != static_cast<double>(static_cast<int64_t>(*number))) {
    throw std::runtime_error(std::string(what) + " is not a size");
  }
  return static_cast<int64_t>(*number);
}

const Json& member(const Json& entry, std::string_view key) {
  const Json* found = entry.find(key);
  if (found == nullptr) throw std::runtime_error(std::string(key) + " is missing");
  return *found;
}

// One entry of the header, checked against the `data` section it points into.
TensorView parse_entry(const Json& entry, std::span<const uint8_t> data) {
  TensorView tensor{};
  const std::string* dtype = member(entry, "dtype").get_if<std::string>();
  if (dtype == nullptr) throw std::runtime_error("dtype is not a string");
  tensor.dtype = *dtype;

  const Json::Array* shape = member(entry, "shape").get_if<Json::Array>();
  if (shape == nullptr || shape->size() > kMaxDims) {
    throw std::runtime_error("shape is not a list of at most 8 sizes");
  }
  int64_t num_bytes = element_bytes(tensor.dtype);
  for (const Json& dim : *shape) {
    tensor.shape.push_back(to_size(dim, "a dimension of shape"));
    if (__builtin_mul_overflow(num_bytes, tensor.shape.back(), &num_bytes)) {
      throw std::runtime_error("shape " + to_string(tensor.shape) + " is too large");
    }
  }

  const Json::Array* offsets = member(entry, "data_offsets").get_if<Json::Array>();
  if (offsets == nullptr || offsets->size() != 2) {
    throw std::runtime_error("data_offsets is not a pair");
  }
  const int64_t begin = to_size((*offsets)[0], "data_offsets[0]");
  const int64_t end = to_size((*offsets)[1], "data_offsets[1]");
  if (begin > end || end > static_cast<int64_t>(data.size())) {
    throw std::runtime_error("data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) +
                             "] lie outside the file's " + std::to_string(data.size()) +
                             " bytes of data");
  }
  if (end - begin != num_bytes) {
    throw std::runtime_error("data_offsets hold " + std::to_string(end - begin) + " bytes, " +
                             tensor.dtype + " " + to_string(tensor.shape) + " takes " +
                             std::to_string(num_bytes));
  }
  tensor.data = data.data() + begin;
  tensor.num_bytes = static_cast<size_t>(num_bytes);
  return tensor;
}

std::string_view read_header(std::span<const uint8_t> bytes) {
  if (bytes.size() < kLengthBytes) throw std::runtime_error("too short for a safetensors file");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    throw std::runtime_error("header of " + std::to_string(length) + " bytes, the limit is " +
                             std::to_string(kMaxHeaderBytes) + " (is it a safetensors file?)");
  }
  if (length > bytes.size() - kLengthBytes) {
    throw std::runtime_error("header of " + std::to_string(length) + " bytes in a file of " +
                             std::to_string(bytes.size()) + " bytes");
  }
  return {reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length};
}

// The tensors of one file in the order of their data, which they must fill.
std::vector<std::pair<std::string, TensorView>> parse_file(std::span<const uint8_t> bytes) {
  const std::string_view header = read_header(bytes);
  const std::span<const uint8_t> data = bytes.subspan(kLengthBytes + header.size());
  Json root;
  try {
    root = parse_json(header);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(std::string("header: ") + error.what());
  }
  const Json::Object* entries = root.get_if<Json::Object>();
  if (entries == nullptr) throw std::runtime_error("header is not a JSON object");

  std::vector<std::pair<std::string, TensorView>> tensors;
  for (const auto& [name, entry] : *entries) {
    if (name == "__metadata__") continue;
    try {
      tensors.emplace_back(name, parse_entry(entry, data));
    } catch (const std::runtime_error& error) {
      throw std::runtime_error("tensor " + in_quotes(name) + ": " + error.what());
    }
  }
  std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.data, a.second.num_bytes) <
           std::pair(b.second.data, b.second.num_bytes);
  });
  const uint8_t* filled = data.data();
  for (const auto& [name, tensor] : tensors) {
    if (tensor.data != filled) {
      throw std::runtime_error("tensor " + in_quotes(name) + ": its data " +
                               (tensor.data < filled ? "overlaps" : "leaves a gap after") +
                               " the data before it");
    }
    filled += tensor.num_bytes;
  }
  if (filled != data.data() + data.size()) {
    throw std::runtime_error("data after the last tensor");
  }
  return tensors;
}

// The names of the shards in an index file.
std::set<std::string> read_index(const std::string& path) {
  const Json index = read_json_file(path, kMaxIndexBytes);
  const Json* weight_map = index.find("weight_map");
  const auto* entries = weight_map == nullptr ? nullptr : weight_map->get_if<Json::Object>();
  if (entries == nullptr) throw std::runtime_error(path + ": weight_map is missing");
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : *entries) {
    const std::string* name = shard.get_if<std::string>();
    // A shard is a plain name beside the index, so that an index cannot reach other folders.
    if (name == nullptr || name->empty() || name->find('/') != std::string::npos ||
        name->find('\0') != std::string::npos) {
      throw std::runtime_error(path + ": weight_map[" + in_quotes(tensor) + "] is not a file name");
    }
    shards.insert(*name);
  }
  return shards;
}

DType to_dtype(const TensorView& tensor) {
  if (tensor.dtype == "F32") return DType::kF32;
  if (tensor.dtype == "BF16") return DType::kBF16;
  if (tensor.dtype == "F16") return DType::kF16;
  throw std::runtime_error("dtype " + tensor.dtype + " is not supported (F32, F16 and BF16 are)");
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const auto fail = [&] { throw std::runtime_error(path + ": " + std::strerror(errno)); };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail();
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    throw std::runtime_error(path + ": not a regular file");
  }
  size_ = static_cast<size_t>(info.st_size);
  if (size_ > 0) {
    void* mapping = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = errno;
    close(fd);
    errno = error;
    if (mapping == MAP_FAILED) fail();
    data_ = static_cast<const uint8_t*>(mapping);
  } else {
    close(fd);
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

Safetensors Safetensors::open_file(const std::string& path) {
  Safetensors safetensors;
  safetensors.path_ = path;
  safetensors.add_file(path);
  return safetensors;
}

Safetensors Safetensors::open_folder(const std::string& folder) {
  Safetensors safetensors;
  safetensors.path_ = folder;
  const std::string index = folder + "/model.safetensors.index.json";
  if (std::filesystem::exists(index)) {
    for (const std::string& shard : read_index(index)) safetensors.add_file(folder + "/" + shard);
  } else {
    safetensors.add_file(folder + "/model.safetensors");
  }
  return safetensors;
}

void Safetensors::add_file(const std::string& path) {
  files_.push_back(std::make_unique<MappedFile>(path));
  try {
    for (auto& [name, tensor] : parse_file(files_.back()->bytes())) {
      tensor.file = path;
      const int num_bytes = element_bytes(tensor.dtype);
      if (reinterpret_cast<uintptr_t>(tensor.data) % num_bytes != 0) {
        aligned_copies_.emplace_back(tensor.data, tensor.data + tensor.num_bytes);
        tensor.data = aligned_copies_.back().data();
      }
      if (!tensors_.emplace(name, tensor).second) {
        throw std::runtime_error("tensor " + in_quotes(name) + ": occurs in another file too");
      }
    }
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
}

HostMatrix Safetensors::matrix(const std::string& name, int num_rows, int num_cols) const {
  return view(name, {num_rows, num_cols});
}

HostMatrix Safetensors::vector(const std::string& name, int size) const {
  return view(name, {size});
}

HostMatrix Safetensors::view(const std::string& name, const std::vector<int64_t>& shape) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw std::runtime_error(path_ + ": tensor " + in_quotes(name) + " is missing");
  }
  const TensorView& tensor = found->second;
  try {
    if (tensor.shape != shape) {
      throw std::runtime_error("has shape " + to_string(tensor.shape) + ", expected " +
                               to_string(shape));
    }
    return {tensor.data, to_dtype(tensor), static_cast<int>(shape.size() == 1 ? 1 : shape[0]),
            static_cast<int>(shape.back())};
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(tensor.file + ": tensor " + in_quotes(name) + ": " + error.what());
  }
}

}  // namespace sgmv
