#include "grammar/grammar.h"

#include <utility>

namespace sgmv {
namespace {

// Of states, which is enough for a string of thousands of characters at most, and of masks, of
// which one has 16 KB where a vocabulary has 128k tokens.
constexpr size_t kMaxAutomatonBytes = size_t{6} << 20;
constexpr size_t kMaxMasks = 256;

constexpr Automaton::State kNoState = -2;

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
  if (masks_.size() == kMaxMasks) masks_.clear();
  return masks_.emplace(state, find_allowed(state)).first->second;
}

bool TokenAutomaton::is_full() const { return automaton_.num_bytes() >= kMaxAutomatonBytes; }

// Where any plain text may follow, as within a string, the tokens of the longest slice that fits
// are allowed without a look at each.
TokenMask TokenAutomaton::find_allowed(Automaton::State state) {
  const std::vector<Vocabulary::Slice>& slices = vocabulary_.slices();
  const int num_free = free_characters(state, slices.front().max_characters);
  for (const Vocabulary::Slice& slice : slices) {
    if (slice.max_characters > num_free) continue;
    TokenMask mask = slice.tokens;
    add_allowed(mask, state, slice.others);
    return mask;
  }
  TokenMask mask((static_cast<size_t>(vocabulary_.size()) + 31) / 32);
  add_allowed(mask, state, vocabulary_.tree());
  return mask;
}

void TokenAutomaton::add_allowed(TokenMask& mask, Automaton::State state,
                                 const Vocabulary::Tree& tree) {
  path_[0] = state;
  for (size_t i = 0; i < tree.nodes.size();) {
    const Vocabulary::Node& node = tree.nodes[i];
    const Automaton::State next = automaton_.next(path_[node.depth], node.byte);
    if (next == Automaton::kDead) {
      i = static_cast<size_t>(node.subtree_end);
      continue;
    }
    path_[node.depth + 1] = next;
    for (int32_t t = node.tokens_begin; t < node.tokens_end; ++t) allow(mask, tree.tokens[t]);
    ++i;
  }
}

int TokenAutomaton::free_characters(Automaton::State state, int most) {
  for (int count = 0; count < most; ++count) {
    const Automaton::State next = after_character(state);
    if (next == Automaton::kDead) return count;
    if (next == state) return most;
    state = next;
  }
  return most;
}

Automaton::State TokenAutomaton::after_character(Automaton::State state) {
  const auto [it, is_new] = after_character_.try_emplace(state, Automaton::kDead);
  if (!is_new) return it->second;
  Automaton::State target = kNoState;
  for (const CharacterForm& form : plain_characters()) {
    const std::span<const ByteRange> bytes(form.bytes.data(), static_cast<size_t>(form.length));
    if (!leads_to(state, bytes, target)) return Automaton::kDead;
  }
  return after_character_[state] = target;
}

// Whether all texts of `bytes` lead to one state, which is `target` unless that is kNoState yet.
bool TokenAutomaton::leads_to(Automaton::State state, std::span<const ByteRange> bytes,
                              Automaton::State& target) {
  int last_class = -1;
  for (int byte = bytes[0].first; byte <= bytes[0].last; ++byte) {
    const int byte_class = automaton_.class_of(static_cast<uint8_t>(byte));
    if (byte_class == last_class) continue;
    last_class = byte_class;
    const Automaton::State next = automaton_.next(state, static_cast<uint8_t>(byte));
    if (next == Automaton::kDead) return false;
    if (bytes.size() > 1) {
      if (!leads_to(next, bytes.subspan(1), target)) return false;
    } else if (target == kNoState) {
      target = next;
    } else if (target != next) {
      return false;
    }
  }
  return true;
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
