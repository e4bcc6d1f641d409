#include "grammar/grammar.h"

#include <utility>

namespace sgmv {
namespace {

// About 4 MB of states, and of masks where a vocabulary has 128k tokens.
constexpr size_t kMaxStates = 4096;
constexpr size_t kMaxMasks = 256;

}  // namespace

TokenAutomaton::TokenAutomaton(std::shared_ptr<const Program> program, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary),
      automaton_(std::move(program)),
      path_(static_cast<size_t>(vocabulary.max_depth()) + 1) {}

Automaton::State TokenAutomaton::next(Automaton::State state, int32_t token) {
  const std::string_view text = vocabulary_.text(token);
  if (text.empty()) return Automaton::kDead;
  for (const char byte : text) {
    state = automaton_.next(state, static_cast<uint8_t>(byte));
    if (state == Automaton::kDead) break;
  }
  return state;
}

const TokenMask& TokenAutomaton::allowed(Automaton::State state) {
  if (const auto it = masks_.find(state); it != masks_.end()) return it->second;
  return masks_.emplace(state, find_allowed(state)).first->second;
}

bool TokenAutomaton::is_full() const {
  return automaton_.num_states() >= kMaxStates || masks_.size() >= kMaxMasks;
}

TokenMask TokenAutomaton::find_allowed(Automaton::State state) {
  TokenMask mask((static_cast<size_t>(vocabulary_.size()) + 31) / 32);
  const std::vector<Vocabulary::Node>& nodes = vocabulary_.nodes();
  const std::vector<int32_t>& tokens = vocabulary_.ordered_tokens();
  path_[0] = state;
  for (size_t i = 0; i < nodes.size();) {
    const Vocabulary::Node& node = nodes[i];
    const Automaton::State next = automaton_.next(path_[node.depth], node.byte);
    if (next == Automaton::kDead) {
      i = static_cast<size_t>(node.subtree_end);
      continue;
    }
    path_[node.depth + 1] = next;
    for (int32_t t = node.tokens_begin; t < node.tokens_end; ++t) allow(mask, tokens[t]);
    ++i;
  }
  return mask;
}

std::shared_ptr<TokenAutomaton> Grammar::automaton() {
  if (automaton_ == nullptr || automaton_->is_full()) {
    automaton_ = std::make_shared<TokenAutomaton>(program_, vocabulary_);
  }
  return automaton_;
}

bool Grammar::begins_with(std::span<const int32_t> tokens) const {
  TokenAutomaton automaton(program_, vocabulary_);
  Automaton::State state = Automaton::kStart;
  for (const int32_t token : tokens) {
    state = automaton.next(state, token);
    if (state == Automaton::kDead) return false;
  }
  return true;
}

}  // namespace sgmv
