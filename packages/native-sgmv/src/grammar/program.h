#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sgmv {

// One instruction of a grammar over bytes: a pushdown automaton in the manner of Thompson's regular
// expression programs. Execution begins at instruction 0 and ends where that routine returns.
struct Instruction {
  enum class Op : int32_t {
    kByte,    // matches one byte from a to b, then goes on behind itself
    kSplit,   // goes on at a and at b
    kJump,    // goes on at a
    kCall,    // goes on at a, and behind itself when that routine returns
    kReturn,  // ends the routine
  };
  Op op;
  int32_t a;
  int32_t b;
};

using Program = std::vector<Instruction>;

// Reads a program as it travels, three numbers an instruction. Throws std::invalid_argument naming
// the instruction where one is unknown, or leads out of the program.
Program read_program(std::span<const int32_t> numbers);

}  // namespace sgmv
