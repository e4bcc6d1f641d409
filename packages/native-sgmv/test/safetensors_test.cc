#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "check.h"
#include "expect_error.h"
#include "model/convert.h"
#include "model/safetensors.h"
#include "scratch_folder.h"

namespace sgmv {
namespace {

constexpr const char* kFile = "model.safetensors";

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

void test_types() {
  const ScratchFolder folder;
  // 1, -2, the smallest subnormal and the largest number of each half type.
  const std::string data = bytes_of<float>({1, -2, 0.5f, 3}) +
                           bytes_of<uint16_t>({0x3f80, 0xc000, 0x0001, 0x7f7f}) +
                           bytes_of<uint16_t>({0x3c00, 0xc000, 0x0001, 0x7bff}) + "\1\2";
  folder.write(kFile, safetensors_bytes(R"({"__metadata__": {"format": "pt"},
      "f32": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
      "bf16": {"dtype": "BF16", "shape": [4], "data_offsets": [16, 24]},
      "f16": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
      "none": {"dtype": "I64", "shape": [0], "data_offsets": [32, 32]},
      "mask": {"dtype": "BOOL", "shape": [2], "data_offsets": [32, 34]}}   )",
                                        data));
  const Safetensors tensors = Safetensors::open_folder(folder.path());
  CHECK(tensors.tensors().size() == 5);
  const HostMatrix f32 = tensors.matrix("f32", 2, 2);
  CHECK(f32.num_rows == 2 && f32.num_cols == 2 && f32.dtype == DType::kF32);
  CHECK(to_f32(f32) == std::vector<float>({1, -2, 0.5f, 3}));
  CHECK(to_f32(tensors.vector("bf16", 4)) == std::vector<float>({1, -2, 0x1p-133f, 0x1.fep127f}));
  CHECK(to_f32(tensors.vector("f16", 4)) == std::vector<float>({1, -2, 0x1p-24f, 65504}));

  const std::string path = folder.path(kFile);
  expect_error([&] { tensors.vector("absent", 4); }, {folder.path(), "\"absent\" is missing"});
  expect_error([&] { tensors.vector("f16", 5); }, {path, "\"f16\"", "shape [4], expected [5]"});
  expect_error([&] { tensors.matrix("f32", 4, 1); }, {path, "\"f32\"", "[2, 2], expected [4, 1]"});
  expect_error([&] { tensors.vector("mask", 2); }, {path, "\"mask\"", "dtype BOOL"});
}

void test_half_conversion() {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<uint16_t> f16 = {0x7c00, 0xfc00, 0x7e00, 0x8000};
  const HostMatrix matrix{f16.data(), DType::kF16, 1, 4};
  const std::vector<float> values = to_f32(matrix);
  CHECK(values[0] == inf && values[1] == -inf && std::isnan(values[2]));
  CHECK(values[3] == 0 && std::signbit(values[3]));
  CHECK(!all_finite(matrix));
  CHECK(to_bf16(1.0f) == 0x3f80 && to_bf16(0x1.01p0f) == 0x3f80 && to_bf16(0x1.03p0f) == 0x3f82);
}

void test_unaligned_data() {
  const ScratchFolder folder;
  std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  while (header.size() % 4 != 1) header += ' ';
  folder.write(kFile, safetensors_bytes(header, bytes_of<float>({1, 2})));
  const HostMatrix a = Safetensors::open_folder(folder.path()).vector("a", 2);
  CHECK(reinterpret_cast<uintptr_t>(a.data) % 4 == 0);
}

void test_shards() {
  const ScratchFolder folder;
  const auto shard = [](const char* name, float value) {
    return safetensors_bytes(
        std::string("{\"") + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
        bytes_of<float>({value}));
  };
  const std::string index = "model.safetensors.index.json";
  folder.write("one.safetensors", shard("a", 1));
  folder.write("two.safetensors", shard("b", 2));
  folder.write(index, R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
  const Safetensors tensors = Safetensors::open_folder(folder.path());
  CHECK(to_f32(tensors.vector("a", 1))[0] == 1 && to_f32(tensors.vector("b", 1))[0] == 2);

  const auto open = [&] { Safetensors::open_folder(folder.path()); };
  folder.write("two.safetensors", shard("a", 2));
  expect_error(open, {folder.path("two.safetensors"), "\"a\"", "another file"});
  folder.write(index, R"({"weight_map": {"a": "three.safetensors"}})");
  expect_error(open, {folder.path("three.safetensors"), "No such file"});
  folder.write(index, R"({"weight_map": {"a": "../one.safetensors"}})");
  expect_error(open, {folder.path(index), "\"a\"", "not a file name"});
  folder.write(index, R"({"weight_map": {"a": ".."}})");
  expect_error(open, {"not a regular file"});
  folder.write(index, "{}");
  expect_error(open, {folder.path(index), "weight_map is missing"});
}

void test_broken_files() {
  const ScratchFolder folder;
  const std::string path = folder.path(kFile);
  const auto expect = [&](std::string_view content, std::string_view tensor,
                          std::string_view message) {
    folder.write(kFile, content);
    expect_error([&] { Safetensors::open_folder(folder.path()); }, {path, tensor, message});
  };
  expect("", "", "too short");
  expect("1234567", "", "too short");
  expect(std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8), "", "the limit is 100000000");
  expect(std::string("PK\3\4\24\0\0\0\10\0 a zip of pickles", 27), "", "is it a safetensors file?");
  expect(safetensors_bytes("{}", "").substr(0, 9), "", "header of 2 bytes in a file of 9");
  expect(safetensors_bytes("{", ""), "", "header: offset 1");
  expect(safetensors_bytes("[]", ""), "", "not a JSON object");
  expect(safetensors_bytes("{}", "x"), "", "data after the last tensor");

  const auto expect_entry = [&](std::string_view entry, std::string_view message) {
    expect(safetensors_bytes("{\"t\": " + std::string(entry) + "}", std::string(8, '\0')), "\"t\"",
           message);
  };
  expect_entry("1", "dtype is missing");
  expect_entry(R"({"dtype": "F32", "shape": [2]})", "data_offsets is missing");
  expect_entry(R"({"dtype": "F32", "data_offsets": [0, 8]})", "shape is missing");
  expect_entry(R"({"dtype": 5, "shape": [2], "data_offsets": [0, 8]})", "dtype is not a string");
  expect_entry(R"({"dtype": "F33", "shape": [2], "data_offsets": [0, 8]})",
               "unknown dtype \"F33\"");
  expect_entry(R"({"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]})", "not a size");
  expect_entry(R"({"dtype": "F32", "shape": [1.5], "data_offsets": [0, 8]})", "not a size");
  expect_entry(R"({"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]})", "not a size");
  expect_entry(R"({"dtype": "F32", "shape": [1e300], "data_offsets": [0, 8]})", "not a size");
  expect_entry(R"({"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 8]})",
               "too large");
  expect_entry(R"({"dtype": "F32", "shape": [1,1,1,1,1,1,1,1,2], "data_offsets": [0, 8]})",
               "at most 8");
  expect_entry(R"({"dtype": "F32", "shape": [2], "data_offsets": [0]})", "not a pair");
  expect_entry(R"({"dtype": "F32", "shape": [2], "data_offsets": [8, 0]})", "outside the file");
  expect_entry(R"({"dtype": "F32", "shape": [2], "data_offsets": [4, 12]})", "outside the file");
  expect_entry(R"({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]})", "takes 12");
  expect_entry(R"({"dtype": "F16", "shape": [2], "data_offsets": [4, 8]})", "leaves a gap");

  expect(safetensors_bytes(R"({"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
                               "b": {"dtype": "F16", "shape": [2], "data_offsets": [4, 8]}})",
                           std::string(8, '\0')),
         "\"b\"", "overlaps");
  expect(safetensors_bytes(R"({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}})",
                           std::string(8, '\0')),
         "", "data after the last tensor");
}

}  // namespace
}  // namespace sgmv

int main() {
  sgmv::test_types();
  sgmv::test_half_conversion();
  sgmv::test_unaligned_data();
  sgmv::test_shards();
  sgmv::test_broken_files();
}
