#include "support/arguments.h"

#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace sgmv {

Arguments::Arguments(int argc, char** argv, const std::string& usage, std::set<std::string> options,
                     std::set<std::string> switches) {
  options.merge(std::set<std::string>{"-g", "-o", "-p"});
  switches.insert("--cpu");
  const std::string program = std::filesystem::path(argv[0]).filename();
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument(why + "\nusage: " + program + " MODEL_FOLDER " + usage +
                                " [-g GB_PER_S] [-o OUT.json] [-p PLUGIN_OPTIONS] [--cpu]");
  };
  command_ = program;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    command_ += " " + argument;
    if (options.contains(argument)) {
      if (i + 1 == argc) refuse(argument + " has no value");
      values_[argument] = argv[++i];
      command_ += " " + values_[argument];
    } else if (switches.contains(argument)) {
      switches_.insert(argument);
    } else if (argument.starts_with("-") || !folder_.empty()) {
      refuse(argument + " is unknown");
    } else {
      folder_ = argument;
    }
  }
  if (folder_.empty()) refuse("MODEL_FOLDER is missing");
}

BackendOptions Arguments::backend() const {
  return {.kind = has("--cpu") ? "cpu" : "cuda", .plugin_options = text("-p", "{}")};
}

double Arguments::number(const std::string& name, double or_else) const {
  const auto found = values_.find(name);
  return found == values_.end() ? or_else : std::stod(found->second);
}

std::string Arguments::text(const std::string& name, const std::string& or_else) const {
  const auto found = values_.find(name);
  return found == values_.end() ? or_else : found->second;
}

int run_bench(void (*bench)(int argc, char** argv), int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // so that a bench that is killed has shown its rows
  try {
    bench(argc, argv);
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace sgmv
