#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sgmv {

// One instruction of a compiled pattern (Thompson 1968). Jumps are relative, so that a part of a
// program can be copied for {m,n}.
struct PatternInstruction {
  enum class Op : uint8_t { kCharacter, kSplit, kJump, kBegin, kEnd };
  Op op;
  int jump = 0;  // kSplit goes on at +1 and at +jump
  std::bitset<256> characters{};
};
using PatternProgram = std::vector<PatternInstruction>;

// A regular expression of adapter_config.json, in the part of Python's syntax that selects modules
// by name: literals, . [...] ( ) (?: ) (?P<name> ) | * + ? {m,n} ^ $ \d \w \s and escaped
// characters. It runs in time linear in the text, so an uploaded pattern cannot stall the process,
// as a backtracking matcher would.
class Pattern {
 public:
  // Throws std::runtime_error saying what is wrong with `source`, or what of it is not supported.
  explicit Pattern(std::string_view source);

  // Whether all of text[begin..] matches (re.fullmatch).
  bool matches(std::string_view text, size_t begin = 0) const;

  // Whether a tail of a module's dotted name matches, beginning at the name's start or after a
  // dot: PEFT's rule for rank_pattern and alpha_pattern.
  bool matches_tail(std::string_view module_name) const;

 private:
  void follow(std::vector<int>& threads, std::vector<bool>& seen, int first, bool at_begin,
              bool at_end) const;

  PatternProgram program_;
};

}  // namespace sgmv
