// What the tests of grammars share: writing programs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "grammar/program.h"

namespace sgmv {

constexpr int32_t kByte = 0, kSplit = 1, kJump = 2, kCall = 3, kReturn = 4;

inline std::shared_ptr<const Program> program_of(const std::vector<int32_t>& numbers) {
  return std::make_shared<const Program>(read_program(numbers));
}

}  // namespace sgmv
