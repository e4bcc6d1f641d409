#include "grammar/constraint.h"

namespace sgmv {

std::span<const uint32_t> Constraint::allowed(std::span<const int32_t> generated,
                                              std::span<const int32_t> stop_tokens) {
  advance(generated);
  if (state_ == Automaton::kDead) {
    mask_.assign(mask_.size(), 0);
    return mask_;
  }
  mask_ = automaton_->allowed(state_);
  if (automaton_->accepts(state_)) {
    for (const int32_t token : stop_tokens) allow(mask_, token);
  }
  return mask_;
}

bool Constraint::is_complete(std::span<const int32_t> generated) {
  advance(generated);
  return state_ != Automaton::kDead && automaton_->accepts(state_) && !automaton_->goes_on(state_);
}

void Constraint::advance(std::span<const int32_t> generated) {
  if (automaton_ == nullptr || automaton_->is_full()) {
    // States are numbers of one automaton: in another the text is read from its beginning.
    automaton_ = grammar_->automaton();
    state_ = Automaton::kStart;
    num_read_ = 0;
  }
  for (; num_read_ < generated.size() && state_ != Automaton::kDead; ++num_read_) {
    state_ = automaton_->next(state_, generated[num_read_]);
  }
}

}  // namespace sgmv
