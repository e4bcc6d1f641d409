#include "model/pattern.h"

#include <algorithm>

#include "model/pattern_compiler.h"

namespace sgmv {

Pattern::Pattern(std::string_view source) : program_(compile_pattern(source)) {}

// Adds to `threads` every instruction that `first` leads to without reading a character.
void Pattern::follow(std::vector<int>& threads, std::vector<bool>& seen, int first, bool at_begin,
                     bool at_end) const {
  std::vector<int> waiting{first};
  while (!waiting.empty()) {
    const int at = waiting.back();
    waiting.pop_back();
    if (seen[at]) continue;
    seen[at] = true;
    if (at == static_cast<int>(program_.size())) {
      threads.push_back(at);
      continue;
    }
    const PatternInstruction& instruction = program_[at];
    switch (instruction.op) {
      case PatternInstruction::Op::kCharacter:
        threads.push_back(at);
        break;
      case PatternInstruction::Op::kSplit:
        waiting.push_back(at + 1);
        waiting.push_back(at + instruction.jump);
        break;
      case PatternInstruction::Op::kJump:
        waiting.push_back(at + instruction.jump);
        break;
      case PatternInstruction::Op::kBegin:
        if (at_begin) waiting.push_back(at + 1);
        break;
      case PatternInstruction::Op::kEnd:
        if (at_end) waiting.push_back(at + 1);
        break;
    }
  }
}

bool Pattern::matches(std::string_view text, size_t begin) const {
  const int end = static_cast<int>(program_.size());
  std::vector<bool> seen(program_.size() + 1);
  std::vector<int> threads;
  std::vector<int> next_threads;
  follow(threads, seen, 0, begin == 0, begin == text.size());
  for (size_t i = begin; i < text.size() && !threads.empty(); ++i) {
    next_threads.clear();
    std::fill(seen.begin(), seen.end(), false);
    for (const int thread : threads) {
      if (thread == end || !program_[thread].characters.test(static_cast<uint8_t>(text[i])))
        continue;
      follow(next_threads, seen, thread + 1, false, i + 1 == text.size());
    }
    threads.swap(next_threads);
  }
  return std::find(threads.begin(), threads.end(), end) != threads.end();
}

bool Pattern::matches_tail(std::string_view module_name) const {
  for (size_t begin = 0;; ++begin) {
    if (matches(module_name, begin)) return true;
    begin = module_name.find('.', begin);
    if (begin == std::string_view::npos) return false;
  }
}

}  // namespace sgmv
