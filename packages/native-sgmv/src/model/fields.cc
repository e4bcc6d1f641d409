#include "model/fields.h"

#include <cmath>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace sgmv {

Fields::Fields(std::string path, const Json& object) : path_(std::move(path)), object_(&object) {
  if (object.get_if<Json::Object>() == nullptr) {
    throw std::runtime_error(path_ + ": is not a JSON object");
  }
}

const Json* Fields::find(std::string_view name) const {
  const Json* value = object_->find(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool Fields::has_null(std::string_view name) const {
  const Json* value = object_->find(name);
  return value != nullptr && value->is_null();
}

bool Fields::is_set(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return false;
  if (const auto* boolean = value->get_if<bool>()) return *boolean;
  if (const auto* string = value->get_if<std::string>()) return !string->empty();
  if (const auto* array = value->get_if<Json::Array>()) return !array->empty();
  if (const auto* object = value->get_if<Json::Object>()) return !object->empty();
  return true;
}

int Fields::integer(std::string_view name, int min, int max) const {
  const double value = number(name);
  if (!(value >= min && value <= max) || value != std::floor(value)) {
    fail(name, "is " + describe(*find(name)) + ", expected a whole number from " +
                   std::to_string(min) + " to " + std::to_string(max));
  }
  return static_cast<int>(value);
}

int Fields::integer_or(std::string_view name, int min, int max, int absent) const {
  return find(name) == nullptr ? absent : integer(name, min, max);
}

double Fields::number(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) fail(name, "is missing");
  const double* number = value->get_if<double>();
  if (number == nullptr) fail(name, "is " + describe(*value) + ", expected a number");
  return *number;
}

double Fields::number_or(std::string_view name, double absent) const {
  return find(name) == nullptr ? absent : number(name);
}

bool Fields::boolean_or(std::string_view name, bool absent) const {
  const Json* value = find(name);
  if (value == nullptr) return absent;
  const bool* boolean = value->get_if<bool>();
  if (boolean == nullptr) fail(name, "is " + describe(*value) + ", expected true or false");
  return *boolean;
}

std::string Fields::string_or(std::string_view name, std::string_view absent) const {
  const Json* value = find(name);
  if (value == nullptr) return std::string(absent);
  const std::string* string = value->get_if<std::string>();
  if (string == nullptr) fail(name, "is " + describe(*value) + ", expected a string");
  return *string;
}

std::optional<Fields> Fields::object(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return Fields(path_ + ": " + std::string(name), *value);
}

void Fields::fail(std::string_view name, std::string_view problem) const {
  throw std::runtime_error(path_ + ": " + std::string(name) + " " + std::string(problem));
}

std::string describe(const Json& value) {
  if (const auto* boolean = value.get_if<bool>()) return *boolean ? "true" : "false";
  if (const auto* string = value.get_if<std::string>()) return in_quotes(*string);
  if (value.get_if<Json::Array>() != nullptr) return "a list";
  if (value.get_if<Json::Object>() != nullptr) return "an object";
  if (const auto* number = value.get_if<double>()) {
    std::ostringstream out;
    out.precision(17);
    out << *number;
    return out.str();
  }
  return "null";
}

}  // namespace sgmv
