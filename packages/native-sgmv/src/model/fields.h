#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/json.h"

namespace sgmv {

// Reads the members of one JSON object of a configuration file. Each throws std::runtime_error
// naming file, field and what was expected. A member that is null counts as absent.
class Fields {
 public:
  // `path` names the file and, for a nested object, the field that holds it.
  Fields(std::string path, const Json& object);

  const Json* find(std::string_view name) const;
  // Whether the member is there and null, for the fields where that differs from absent.
  bool has_null(std::string_view name) const;
  // Whether the member is present, not null, and not false, "", [] or {}.
  bool is_set(std::string_view name) const;

  int integer(std::string_view name, int min, int max) const;
  int integer_or(std::string_view name, int min, int max, int absent) const;
  double number(std::string_view name) const;
  double number_or(std::string_view name, double absent) const;
  bool boolean_or(std::string_view name, bool absent) const;
  std::string string_or(std::string_view name, std::string_view absent) const;
  // The nested object `name`, if there is one.
  std::optional<Fields> object(std::string_view name) const;

  [[noreturn]] void fail(std::string_view name, std::string_view problem) const;

 private:
  std::string path_;
  const Json* object_;
};

// `value` as text for a message.
std::string describe(const Json& value);

}  // namespace sgmv
