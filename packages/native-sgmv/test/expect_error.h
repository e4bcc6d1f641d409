#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <string>
#include <string_view>

namespace sgmv {

// Ends the test unless `action` throws an exception whose message holds every one of `parts`.
template <typename Action>
void expect_error(const Action& action, std::initializer_list<std::string_view> parts) {
  std::string message = "(no error)";
  try {
    action();
  } catch (const std::exception& error) {
    message = error.what();
    bool has_all = true;
    for (const std::string_view part : parts) {
      has_all = has_all && message.find(part) != std::string::npos;
    }
    if (has_all) return;
  }
  std::fprintf(stderr, "expected an error with:");
  for (const std::string_view part : parts) {
    std::fprintf(stderr, " '%.*s'", static_cast<int>(part.size()), part.data());
  }
  std::fprintf(stderr, "\ngot: %s\n", message.c_str());
  std::exit(1);
}

}  // namespace sgmv
