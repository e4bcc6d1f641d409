#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include "grammar/program.h"

namespace sgmv {

// A program run over bytes, one state for all the ways in which the bytes so far can be read.
// States are made as they are met and kept, so that a byte met again in the same state is one
// look-up.
class Automaton {
 public:
  using State = int32_t;
  static constexpr State kDead = -1;  // no text of the grammar begins like this
  static constexpr State kStart = 0;

  explicit Automaton(std::shared_ptr<const Program> program);

  State next(State state, uint8_t byte) {
    const State known = states_[state].next[class_of_[byte]];
    return known == kUnknown ? step(state, byte) : known;
  }
  // Bytes of the same class lead to the same state from every state.
  int class_of(uint8_t byte) const { return class_of_[byte]; }
  // Whether the bytes so far are a whole text of the grammar.
  bool accepts(State state) const { return states_[state].accepts; }
  // Whether any byte may follow.
  bool goes_on(State state) const { return !states_[state].threads->empty(); }

  // About what the states take.
  size_t num_bytes() const { return num_bytes_; }

 private:
  // Where a call returns to, and what was there below it. The routine of the whole text has none.
  using Frame = int32_t;
  static constexpr Frame kNoFrame = -1;
  struct FrameData {
    Frame below;
    int32_t return_to;
    int32_t depth;
  };
  // One way to read the bytes so far: the instruction, a kByte, that must match the next one.
  struct Thread {
    int32_t at;
    Frame frame;
    auto operator<=>(const Thread&) const = default;
  };
  struct StateData {
    const std::vector<Thread>* threads;  // sorted; the key of known_
    bool accepts;
    std::vector<State> next;  // by the byte's class
  };

  static constexpr State kUnknown = -2;

  void find_classes();
  State step(State state, uint8_t byte);
  State keep_state();
  void expand(Thread begin);
  Frame push(Frame below, int32_t return_to);

  std::shared_ptr<const Program> program_;
  std::array<uint8_t, 256> class_of_;
  int num_classes_ = 0;
  size_t num_bytes_ = 0;
  std::vector<FrameData> frames_;
  std::map<std::pair<Frame, int32_t>, Frame> known_frames_;
  std::vector<StateData> states_;
  std::map<std::pair<std::vector<Thread>, bool>, State> known_;

  // Of the state being made.
  std::unordered_set<uint64_t> visited_;  // threads, as one number each
  std::vector<Thread> threads_;
  bool accepts_ = false;
};

}  // namespace sgmv
