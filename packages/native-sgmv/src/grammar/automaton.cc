#include "grammar/automaton.h"

#include <algorithm>

namespace sgmv {
namespace {

// Bounds on what one state may hold. What is beyond them is not followed: such texts are then not
// offered, and those that are offered still are of the grammar.
constexpr int kMaxDepth = 256;
constexpr size_t kMaxVisited = 4096;
// What a map takes for an entry beside key and value.
constexpr size_t kEntryBytes = 48;

}  // namespace

Automaton::Automaton(std::shared_ptr<const Program> program) : program_(std::move(program)) {
  find_classes();
  expand({0, kNoFrame});
  keep_state();  // kStart is there even where nothing may follow.
}

// A class ends where a range of some instruction begins or ends.
void Automaton::find_classes() {
  std::array<bool, 257> begins{};
  for (const Instruction& instruction : *program_) {
    if (instruction.op != Instruction::Op::kByte) continue;
    begins[instruction.a] = true;
    begins[instruction.b + 1] = true;
  }
  begins[0] = false;
  int current = 0;
  for (int byte = 0; byte < 256; ++byte) {
    current += begins[byte];
    class_of_[byte] = static_cast<uint8_t>(current);
  }
  num_classes_ = current + 1;
}

Automaton::State Automaton::step(State state, uint8_t byte) {
  visited_.clear();
  threads_.clear();
  accepts_ = false;
  for (const Thread& thread : *states_[state].threads) {
    const Instruction& instruction = (*program_)[thread.at];
    if (byte >= instruction.a && byte <= instruction.b) expand({thread.at + 1, thread.frame});
  }
  const State next = threads_.empty() && !accepts_ ? kDead : keep_state();
  states_[state].next[class_of_[byte]] = next;
  return next;
}

// The state that the last expand() calls make up.
Automaton::State Automaton::keep_state() {
  std::ranges::sort(threads_);
  const auto [it, is_new] =
      known_.try_emplace({threads_, accepts_}, static_cast<State>(states_.size()));
  if (is_new) {
    StateData& data = states_.emplace_back();
    data.threads = &it->first.first;
    data.accepts = accepts_;
    data.next.assign(num_classes_, kUnknown);
    num_bytes_ += sizeof(StateData) + num_classes_ * sizeof(State) +
                  threads_.size() * sizeof(Thread) + sizeof(*known_.begin()) + kEntryBytes;
  }
  return it->second;
}

// Follows everything that takes no byte. A thread met before is not followed again, which ends the
// loops of a program that has any.
void Automaton::expand(Thread begin) {
  std::vector<Thread> open{begin};
  while (!open.empty()) {
    const Thread thread = open.back();
    open.pop_back();
    if (visited_.size() == kMaxVisited) return;
    const uint64_t key =
        uint64_t{static_cast<uint32_t>(thread.at)} << 32 | static_cast<uint32_t>(thread.frame);
    if (!visited_.insert(key).second) continue;
    const Instruction& instruction = (*program_)[thread.at];
    switch (instruction.op) {
      case Instruction::Op::kByte:
        threads_.push_back(thread);
        break;
      case Instruction::Op::kSplit:
        open.push_back({instruction.b, thread.frame});
        open.push_back({instruction.a, thread.frame});
        break;
      case Instruction::Op::kJump:
        open.push_back({instruction.a, thread.frame});
        break;
      case Instruction::Op::kCall:
        if (thread.frame == kNoFrame || frames_[thread.frame].depth < kMaxDepth) {
          open.push_back({instruction.a, push(thread.frame, thread.at + 1)});
        }
        break;
      case Instruction::Op::kReturn:
        if (thread.frame == kNoFrame) {
          accepts_ = true;
        } else {
          open.push_back({frames_[thread.frame].return_to, frames_[thread.frame].below});
        }
        break;
    }
  }
}

Automaton::Frame Automaton::push(Frame below, int32_t return_to) {
  const auto [it, is_new] =
      known_frames_.try_emplace({below, return_to}, static_cast<Frame>(frames_.size()));
  if (is_new) {
    const int32_t depth = below == kNoFrame ? 1 : frames_[below].depth + 1;
    frames_.push_back({below, return_to, depth});
    num_bytes_ += sizeof(FrameData) + sizeof(*known_frames_.begin()) + kEntryBytes;
  }
  return it->second;
}

}  // namespace sgmv
