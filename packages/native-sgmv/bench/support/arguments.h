#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "backend/create_backend.h"

namespace sgmv {

// The command line of a bench: a model folder, options with a value ("-r 16") and switches
// ("--quick"). Throws std::invalid_argument with the usage for anything else.
class Arguments {
 public:
  // `usage` follows the program's name; `options` and `switches` beside those of every bench:
  // -g GB_PER_S, -o FILE, -p PLUGIN_OPTIONS and --cpu.
  Arguments(int argc, char** argv, const std::string& usage, std::set<std::string> options,
            std::set<std::string> switches);

  const std::string& model_folder() const { return folder_; }
  const std::string& command() const { return command_; }
  BackendOptions backend() const;
  bool has(const std::string& name) const { return switches_.contains(name); }
  double number(const std::string& name, double or_else) const;
  std::string text(const std::string& name, const std::string& or_else) const;

 private:
  std::string folder_;
  std::string command_;
  std::map<std::string, std::string> values_;
  std::set<std::string> switches_;
};

// Runs a bench and turns what it throws into a message and an exit code.
int run_bench(void (*bench)(int argc, char** argv), int argc, char** argv);

}  // namespace sgmv
