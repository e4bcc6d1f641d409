#include "support/results.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <stdexcept>

namespace sgmv {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string formatted(double value) {
  char text[32];
  const bool is_whole = value == std::floor(value) && std::abs(value) < 1e15;
  std::snprintf(text, sizeof text, is_whole ? "%.0f" : "%.4g", value);
  return text;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%F", std::gmtime(&now));
  return text;
}

std::string shown(const Field& field) {
  if (const auto* text = std::get_if<std::string>(&field.value)) return *text;
  return formatted(std::get<double>(field.value));
}

std::string to_json(const Field& field) {
  const auto* text = std::get_if<std::string>(&field.value);
  return quoted(field.column) + ": " +
         (text != nullptr ? quoted(*text) : formatted(std::get<double>(field.value)));
}

}  // namespace

Results::Results(const std::string& bench, const Arguments& arguments, const Backend& backend)
    : out_(arguments.text("-o", "")), gb_per_s_(arguments.number("-g", 0)) {
  if (gb_per_s_ == 0) gb_per_s_ = backend.measure_read_rate() / 1e9;
  const std::string device = backend.describe();
  std::printf("%s: %s on %s; memory read at %.0f GB/s\n", bench.c_str(),
              arguments.model_folder().c_str(), device.c_str(), gb_per_s_);
  const std::vector<Field> facts = {{"bench", bench},
                                    {"command", arguments.command()},
                                    {"date", today()},
                                    {"device", device},
                                    {"read_gb_per_s", gb_per_s_}};
  for (const Field& fact : facts) header_ += "  " + to_json(fact) + ",\n";
}

void Results::add(const std::vector<Field>& row) {
  std::vector<std::string> columns;
  for (const Field& field : row) columns.push_back(field.column);
  const auto width = [](const std::string& column) {
    return static_cast<int>(std::max<size_t>(column.size(), 9) + 2);
  };
  if (columns != columns_) {
    columns_ = columns;
    for (const std::string& column : columns) std::printf("%*s", width(column), column.c_str());
    std::printf("\n");
  }
  std::string json;
  for (const Field& field : row) {
    std::printf("%*s", width(field.column), shown(field).c_str());
    json += (json.empty() ? "" : ", ") + to_json(field);
  }
  std::printf("\n");
  rows_ += (rows_.empty() ? "" : ",\n") + ("    {" + json + "}");
}

void Results::write() const {
  if (out_.empty()) return;
  std::ofstream file(out_);
  file << "{\n" << header_ << "  \"rows\": [\n" << rows_ << "\n  ]\n}\n";
  if (!file.flush()) throw std::runtime_error("cannot write " + out_);
}

double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double last = static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(std::llround(share * last))];
}

}  // namespace sgmv
