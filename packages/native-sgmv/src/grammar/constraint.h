#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "grammar/grammar.h"

namespace sgmv {

// One request's place in its grammar.
class Constraint {
 public:
  explicit Constraint(std::shared_ptr<Grammar> grammar) : grammar_(std::move(grammar)) {}

  // The tokens that may follow `generated`, whose last one is new since the last call or which the
  // last call had already; with `stop_tokens` where the text may end. Valid until the next call.
  std::span<const uint32_t> allowed(std::span<const int32_t> generated,
                                    std::span<const int32_t> stop_tokens);
  // Whether nothing may follow `generated`: the text is whole and cannot be longer.
  bool is_complete(std::span<const int32_t> generated);

 private:
  void advance(std::span<const int32_t> generated);

  std::shared_ptr<Grammar> grammar_;
  std::shared_ptr<TokenAutomaton> automaton_;
  Automaton::State state_ = Automaton::kStart;
  size_t num_read_ = 0;  // of the generated tokens
  TokenMask mask_;
};

}  // namespace sgmv
