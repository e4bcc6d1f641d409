#pragma once

#include <string_view>

#include "model/pattern.h"

namespace sgmv {

// Turns the text of a pattern into a program. Throws std::runtime_error saying what is wrong with
// `source`, or what of it is not supported.
PatternProgram compile_pattern(std::string_view source);

}  // namespace sgmv
