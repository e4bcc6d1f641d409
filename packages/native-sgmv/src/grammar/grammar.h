#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/plain_text.h"
#include "grammar/program.h"
#include "grammar/vocabulary.h"

namespace sgmv {

// A program over a vocabulary: which tokens may follow, state by state, each found out once. For
// one thread at a time.
class TokenAutomaton {
 public:
  TokenAutomaton(std::shared_ptr<const Program> program, const Vocabulary& vocabulary);

  // The state after `token`; kDead where it may not follow, as no token without text may.
  Automaton::State next(Automaton::State state, int32_t token);
  // The tokens that may follow; valid until the next call.
  const TokenMask& allowed(Automaton::State state);

  bool accepts(Automaton::State state) const { return automaton_.accepts(state); }
  bool goes_on(Automaton::State state) const { return automaton_.goes_on(state); }
  // Whether it holds so much that a new one should take its place.
  bool is_full() const;

 private:
  TokenMask find_allowed(Automaton::State state);
  void add_allowed(TokenMask& mask, Automaton::State state, const Vocabulary::Tree& tree);
  // How many characters of plain text may follow, whatever they are; `most` stands for more, too.
  int free_characters(Automaton::State state, int most);
  // The state after one character of plain text, if it is the same for all; else kDead.
  Automaton::State after_character(Automaton::State state);
  bool leads_to(Automaton::State state, std::span<const ByteRange> bytes, Automaton::State& target);

  const Vocabulary& vocabulary_;
  Automaton automaton_;
  std::unordered_map<Automaton::State, Automaton::State> after_character_;
  std::map<Automaton::State, TokenMask> masks_;
  std::vector<Automaton::State> path_;  // the states after 0, 1, ... bytes of the tree's branch
};

// What the requests with one program share.
class Grammar {
 public:
  Grammar(std::shared_ptr<const Program> program, const Vocabulary& vocabulary)
      : program_(std::move(program)), vocabulary_(vocabulary) {}

  // The automaton to use now: a new one when the last is full. For the thread of the steps alone.
  std::shared_ptr<TokenAutomaton> automaton();
  // Whether `tokens` begin a text of the grammar. For any thread.
  bool begins_with(std::span<const int32_t> tokens) const;

 private:
  std::shared_ptr<const Program> program_;
  const Vocabulary& vocabulary_;
  std::shared_ptr<TokenAutomaton> automaton_;
};

}  // namespace sgmv
