#include "model/json.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace sgmv {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, uint32_t code_point) {
  const auto tail = [&](int shift) {
    out += static_cast<char>(0x80 | ((code_point >> shift) & 0x3f));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xc0 | (code_point >> 6));
    tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xe0 | (code_point >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | (code_point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

// Bytes of the UTF-8 sequence at the start of `text`, or 0 where it is not one.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  const size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (length == 1) return 1;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and code points beyond U+10FFFF differ in the second byte.
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

class Parser {
 public:
  Parser(std::string_view text, const JsonLimits& limits) : text_(text), limits_(limits) {}

  Json parse() {
    skip_space();
    Json json = parse_value(0);
    skip_space();
    if (at_ != text_.size()) fail("unexpected text after the value");
    return json;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("offset " + std::to_string(at_) + ": " + what);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\n\r", at_), text_.size()); }

  bool skip(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) fail("not a JSON value");
    at_ += word.size();
  }

  Json parse_value(int depth) {
    if (depth > limits_.max_depth) {
      fail("nested deeper than " + std::to_string(limits_.max_depth) + " levels");
    }
    if (++num_values_ > limits_.max_values) {
      fail("more than " + std::to_string(limits_.max_values) + " values");
    }
    switch (peek()) {
      case '{':
        return {parse_object(depth)};
      case '[':
        return {parse_array(depth)};
      case '"':
        return {parse_string()};
      case 't':
        expect("true");
        return {true};
      case 'f':
        expect("false");
        return {false};
      case 'n':
        expect("null");
        return {nullptr};
      default:
        return {parse_number()};
    }
  }

  Json::Object parse_object(int depth) {
    Json::Object object;
    ++at_;
    skip_space();
    if (skip('}')) return object;
    do {
      skip_space();
      if (peek() != '"') fail("expected a key in double quotes");
      std::string key = parse_string();
      skip_space();
      if (!skip(':')) fail("expected ':'");
      skip_space();
      object.emplace_back(std::move(key), parse_value(depth + 1));
      skip_space();
    } while (skip(','));
    if (!skip('}')) fail("expected ',' or '}'");
    refuse_duplicates(object);
    return object;
  }

  void refuse_duplicates(const Json::Object& object) const {
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const auto& [key, value] : object) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) fail("key " + in_quotes(*twice) + " occurs twice in one object");
  }

  Json::Array parse_array(int depth) {
    Json::Array array;
    ++at_;
    skip_space();
    if (skip(']')) return array;
    do {
      skip_space();
      array.push_back(parse_value(depth + 1));
      skip_space();
    } while (skip(','));
    if (!skip(']')) fail("expected ',' or ']'");
    return array;
  }

  std::string parse_string() {
    std::string out;
    ++at_;
    while (!skip('"')) {
      if (at_ == text_.size()) fail("string without an end");
      if (static_cast<uint8_t>(text_[at_]) < 0x20) fail("control character in a string");
      if (skip('\\')) {
        parse_escape(out);
        continue;
      }
      const size_t length = utf8_length(text_.substr(at_));
      if (length == 0) fail("invalid UTF-8");
      out += text_.substr(at_, length);
      at_ += length;
    }
    return out;
  }

  void parse_escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (skip('u')) {
      uint32_t code_point = parse_hex4();
      if (code_point >= 0xd800 && code_point < 0xdc00) {
        if (!skip('\\') || !skip('u')) fail("surrogate without its other half");
        const uint32_t low = parse_hex4();
        if (low < 0xdc00 || low > 0xdfff) fail("surrogate without its other half");
        code_point = 0x10000 + ((code_point - 0xd800) << 10) + (low - 0xdc00);
      } else if (code_point >= 0xdc00 && code_point <= 0xdfff) {
        fail("surrogate without its other half");
      }
      append_utf8(out, code_point);
      return;
    }
    const size_t name = at_ < text_.size() ? kNames.find(text_[at_]) : std::string_view::npos;
    if (name == std::string_view::npos) fail("unknown escape");
    out += kMeanings[name];
    ++at_;
  }

  uint32_t parse_hex4() {
    uint32_t code = 0;
    const char* begin = text_.data() + at_;
    const char* end = begin + std::min<size_t>(4, text_.size() - at_);
    const auto [stop, error] = std::from_chars(begin, end, code, 16);
    if (error != std::errc() || stop != begin + 4) fail("expected four hexadecimal digits");
    at_ += 4;
    return code;
  }

  double parse_number() {
    const size_t begin = at_;
    skip('-');
    if (!is_digit(peek())) fail("not a JSON value");
    if (!skip('0')) skip_digits();
    if (skip('.')) skip_digits();
    if (skip('e') || skip('E')) {
      if (!skip('+')) skip('-');
      skip_digits();
    }
    double number = 0;
    const auto [stop, error] = std::from_chars(text_.data() + begin, text_.data() + at_, number);
    if (error != std::errc() || stop != text_.data() + at_) fail("number out of range");
    return number;
  }

  void skip_digits() {
    if (!is_digit(peek())) fail("expected a digit");
    while (is_digit(peek())) ++at_;
  }

  std::string_view text_;
  JsonLimits limits_;
  size_t at_ = 0;
  size_t num_values_ = 0;
};

}  // namespace

const Json* Json::find(std::string_view key) const {
  const Object* object = get_if<Object>();
  if (object == nullptr) return nullptr;
  for (const auto& [name, member] : *object) {
    if (name == key) return &member;
  }
  return nullptr;
}

Json parse_json(std::string_view text, const JsonLimits& limits) {
  return Parser(text, limits).parse();
}

Json read_json_file(const std::string& path, size_t max_bytes, const JsonLimits& limits) {
  std::error_code error;
  const auto num_bytes = std::filesystem::file_size(path, error);
  if (error) throw std::runtime_error(path + ": " + error.message());
  if (num_bytes > max_bytes) {
    throw std::runtime_error(path + ": larger than " + std::to_string(max_bytes) + " bytes");
  }
  std::string text(num_bytes, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(text.data(), static_cast<std::streamsize>(num_bytes))) {
    throw std::runtime_error(path + ": cannot be read");
  }
  try {
    return parse_json(text, limits);
  } catch (const std::runtime_error& syntax) {
    throw std::runtime_error(path + ": " + syntax.what());
  }
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kMaxLength = 160;
  if (text.size() <= kMaxLength) return "\"" + std::string(text) + "\"";
  return "\"" + std::string(text.substr(0, kMaxLength)) + "...\"";
}

}  // namespace sgmv
