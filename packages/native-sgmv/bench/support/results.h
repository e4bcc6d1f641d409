#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "backend/backend.h"
#include "support/arguments.h"

namespace sgmv {

// A column of a row and its value.
struct Field {
  Field(std::string column, double number) : column(std::move(column)), value(number) {}
  Field(std::string column, int number) : Field(std::move(column), double{1} * number) {}
  Field(std::string column, std::string text) : column(std::move(column)), value(std::move(text)) {}

  std::string column;
  std::variant<std::string, double> value;
};

// What a bench found: printed as a table while it runs, and written as JSON with what it ran on.
class Results {
 public:
  // Measures the device's read rate unless the command line gave one.
  Results(const std::string& bench, const Arguments& arguments, const Backend& backend);

  double gb_per_s() const { return gb_per_s_; }

  // A row of the table; one with other columns than the last starts a new table.
  void add(const std::vector<Field>& row);
  // Writes the file that -o names, if any.
  void write() const;

 private:
  std::string out_;
  double gb_per_s_;
  std::string header_;  // of the JSON file
  std::string rows_;
  std::vector<std::string> columns_;
};

// The value below which a share of `values` lies, e.g. 0.99; they are sorted by this.
double quantile(std::vector<double>& values, double share);

}  // namespace sgmv
