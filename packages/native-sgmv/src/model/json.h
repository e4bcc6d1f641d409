#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sgmv {

// One JSON value (RFC 8259). Objects keep the order of the text, since PEFT's patterns are tried in
// that order. Numbers are doubles: whole numbers are exact up to 2^53.
struct Json {
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  std::variant<std::nullptr_t, bool, double, std::string, Array, Object> value;

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value); }
  template <typename T>
  const T* get_if() const {
    return std::get_if<T>(&value);
  }
  // The member `key`, or null where there is none or this is not an object.
  const Json* find(std::string_view key) const;
};

// Bounds that keep a hostile text from exhausting the stack or the memory.
struct JsonLimits {
  int max_depth = 64;
  size_t max_values = size_t{1} << 20;
};

// Reads `text` as exactly one JSON value. Throws std::runtime_error naming the offset in bytes.
// Refuses what RFC 8259 refuses, duplicate keys, invalid UTF-8 and lone surrogates.
Json parse_json(std::string_view text, const JsonLimits& limits = {});

// Reads the JSON file at `path`, at most `max_bytes` long. Throws std::runtime_error naming the
// file.
Json read_json_file(const std::string& path, size_t max_bytes, const JsonLimits& limits = {});

// `text` in quotes and cut to a length that suits a message.
std::string in_quotes(std::string_view text);

}  // namespace sgmv
