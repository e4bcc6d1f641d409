#include <string>
#include <utility>

#include "check.h"
#include "expect_error.h"
#include "model/json.h"
#include "scratch_folder.h"

namespace sgmv {
namespace {

void test_values() {
  const Json json = parse_json(
      " {\"b\": [1, -2.5e3, 0, true, false, null], \"a\": {\"x\": \"y\"}, \"e\": [], \"o\": {} } ");
  const auto& members = std::get<Json::Object>(json.value);
  CHECK(members.size() == 4 && members[0].first == "b" && members[1].first == "a");
  const auto& list = std::get<Json::Array>(json.find("b")->value);
  CHECK(std::get<double>(list[0].value) == 1 && std::get<double>(list[1].value) == -2500);
  CHECK(std::get<bool>(list[3].value) && !std::get<bool>(list[4].value) && list[5].is_null());
  CHECK(std::get<std::string>(json.find("a")->find("x")->value) == "y");
  CHECK(json.find("missing") == nullptr && list[0].find("x") == nullptr);
}

void test_strings() {
  const Json json = parse_json(R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00é€😀")");
  CHECK(std::get<std::string>(json.value) == "\"\\/\b\f\n\r\tAé€😀é€😀");
}

void test_errors() {
  const std::pair<const char*, const char*> cases[] = {
      {"", "offset 0: not a JSON value"},
      {"{", "offset 1: expected a key"},
      {"{\"a\" 1}", "offset 5: expected ':'"},
      {"{\"a\": 1,}", "offset 8: expected a key"},
      {"{\"a\": 1 \"b\": 2}", "expected ',' or '}'"},
      {"{\"a\": 1, \"a\": 2}", "key \"a\" occurs twice"},
      {"[1,]", "offset 3: not a JSON value"},
      {"[1 2]", "expected ',' or ']'"},
      {"[1] 2", "unexpected text after the value"},
      {"nul", "not a JSON value"},
      {"NaN", "not a JSON value"},
      {"Infinity", "not a JSON value"},
      {"01", "unexpected text after the value"},
      {"1.", "expected a digit"},
      {"1e", "expected a digit"},
      {"-", "not a JSON value"},
      {"+1", "not a JSON value"},
      {"1e999", "number out of range"},
      {"\"a", "string without an end"},
      {"\"\n\"", "control character"},
      {"\"\\x\"", "unknown escape"},
      {"\"\\", "unknown escape"},
      {"\"\\u12g4\"", "four hexadecimal digits"},
      {"\"\\u12", "four hexadecimal digits"},
      {"\"\\ud800\"", "surrogate"},
      {"\"\\ud800\\u0041\"", "surrogate"},
      {"\"\\udc00\"", "surrogate"},
      {"\"\xff\"", "invalid UTF-8"},
      {"\"\xc0\x80\"", "invalid UTF-8"},
      {"\"\xed\xa0\x80\"", "invalid UTF-8"},
      {"\"\xf4\x90\x80\x80\"", "invalid UTF-8"},
      {"\"\xe2\x82\"", "invalid UTF-8"},
  };
  for (const auto& [text, message] : cases) {
    expect_error([&] { parse_json(text); }, {"offset ", message});
  }
}

void test_bounds() {
  expect_error([] { parse_json(std::string(100'000, '[')); }, {"nested deeper than 64 levels"});
  parse_json(std::string(64, '[') + std::string(64, ']'));
  const JsonLimits limits{.max_depth = 2, .max_values = 3};
  parse_json("[1, 2]", limits);
  expect_error([&] { parse_json("[1, 2, 3]", limits); }, {"more than 3 values"});
}

void test_files() {
  const ScratchFolder folder;
  folder.write("bad.json", "{]");
  expect_error([&] { read_json_file(folder.path("bad.json"), 100); },
               {folder.path("bad.json"), "offset 1"});
  expect_error([&] { read_json_file(folder.path("bad.json"), 1); },
               {folder.path("bad.json"), "larger than 1 bytes"});
  expect_error([&] { read_json_file(folder.path("none.json"), 100); }, {folder.path("none.json")});
  expect_error([&] { read_json_file(folder.path(), 1 << 20); }, {folder.path()});
}

}  // namespace
}  // namespace sgmv

int main() {
  sgmv::test_values();
  sgmv::test_strings();
  sgmv::test_errors();
  sgmv::test_bounds();
  sgmv::test_files();
}
