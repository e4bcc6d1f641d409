// Grammars over bytes: the automaton, the vocabulary's tree, and what a request is held to.
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"
#include "expect_error.h"
#include "grammar/automaton.h"
#include "grammar/constraint.h"
#include "grammar/grammar_cache.h"
#include "grammar_fixture.h"
#include "scratch_folder.h"

namespace sgmv {
namespace {

// '(' nested to any depth around one or more 'a'.
const std::vector<int32_t> kNested = {
    kSplit,  1,   5,    // 0: nested or plain
    kByte,   '(', '(',  // 1
    kCall,   0,   0,    // 2
    kByte,   ')', ')',  // 3
    kReturn, 0,   0,    // 4
    kByte,   'a', 'a',  // 5
    kSplit,  5,   7,    // 6
    kReturn, 0,   0,    // 7
};

enum class Verdict { kNone, kBegins, kWhole };

Verdict verdict_of(Automaton& automaton, std::string_view text) {
  Automaton::State state = Automaton::kStart;
  for (const char byte : text) {
    state = automaton.next(state, static_cast<uint8_t>(byte));
    if (state == Automaton::kDead) return Verdict::kNone;
  }
  return automaton.accepts(state) ? Verdict::kWhole : Verdict::kBegins;
}

void nesting_is_counted() {
  Automaton automaton(program_of(kNested));
  for (int pass = 0; pass < 2; ++pass) {  // The second time from what is known.
    CHECK(verdict_of(automaton, "aa") == Verdict::kWhole);
    CHECK(verdict_of(automaton, "((a))") == Verdict::kWhole);
    CHECK(verdict_of(automaton, "((a)") == Verdict::kBegins);
    CHECK(verdict_of(automaton, "((a)))") == Verdict::kNone);
    CHECK(verdict_of(automaton, "(") == Verdict::kBegins);
    CHECK(verdict_of(automaton, ")") == Verdict::kNone);
  }
}

void depth_is_bounded_and_can_be_closed() {
  Automaton automaton(program_of(kNested));
  Automaton::State state = Automaton::kStart;
  int depth = 0;
  while (true) {
    const Automaton::State deeper = automaton.next(state, '(');
    if (deeper == Automaton::kDead) break;
    state = deeper;
    ++depth;
  }
  CHECK(depth >= 64 && depth <= 1024);
  state = automaton.next(state, 'a');
  for (int i = 0; i < depth; ++i) {
    CHECK(state != Automaton::kDead && !automaton.accepts(state));
    state = automaton.next(state, ')');
  }
  CHECK(automaton.accepts(state) && !automaton.goes_on(state));
}

// Programs that never take a byte end all the same, and allow nothing or everything they say.
void loops_without_bytes_end() {
  Automaton jump(program_of({kJump, 0, 0}));
  CHECK(verdict_of(jump, "a") == Verdict::kNone);
  Automaton recursion(program_of({kCall, 0, 0, kReturn, 0, 0}));
  CHECK(verdict_of(recursion, "a") == Verdict::kNone);
  CHECK(!recursion.goes_on(Automaton::kStart) && !recursion.accepts(Automaton::kStart));
}

void wrong_programs_are_refused() {
  const std::pair<std::vector<int32_t>, const char*> cases[] = {
      {{}, "has 0 numbers"},
      {{kReturn, 0}, "has 2 numbers"},
      {{9, 0, 0}, "instruction 0 is unknown"},
      {{-1, 0, 0}, "instruction 0 is unknown"},
      {{kByte, 'a', 'a'}, "leads out of the program"},
      {{kByte, 'b', 'a', kReturn, 0, 0}, "has no range of bytes"},
      {{kByte, 0, 256, kReturn, 0, 0}, "has no range of bytes"},
      {{kSplit, 0, 2, kReturn, 0, 0}, "leads out of the program"},
      {{kJump, -1, 0}, "leads out of the program"},
      {{kCall, 0, 0}, "leads out of the program"},
      {std::vector<int32_t>(3 * 40000, 4), "1 to 32768 instructions"},
  };
  for (const auto& [numbers, why] : cases) {
    expect_error([&] { read_program(numbers); }, {why});
  }
}

std::vector<std::string> small_vocabulary() {
  return {"", "(", "((", "(a", "a", "aa", "a)", ")", "))", "(()", "b", "", "a))", "a"};
}

// The tree finds what trying every token finds.
void masks_are_those_of_trying_every_token() {
  const Vocabulary vocabulary(small_vocabulary());
  TokenAutomaton tokens(program_of(kNested), vocabulary);
  Automaton automaton(program_of(kNested));
  for (const std::string before : {"", "(", "((", "(a", "((a", "((a)", "a"}) {
    Automaton::State state = Automaton::kStart;
    for (const char byte : before) {
      for (int32_t token = 0; token < vocabulary.size(); ++token) {
        if (vocabulary.text(token) == std::string_view(&byte, 1)) {
          state = tokens.next(state, token);
          break;
        }
      }
    }
    const TokenMask& mask = tokens.allowed(state);
    for (int32_t token = 0; token < vocabulary.size(); ++token) {
      const std::string_view text = vocabulary.text(token);
      const bool expected =
          !text.empty() && verdict_of(automaton, before + std::string(text)) != Verdict::kNone;
      CHECK((mask[token / 32] >> (token % 32) & 1) == static_cast<uint32_t>(expected));
    }
  }
}

void a_constraint_follows_its_tokens() {
  const Vocabulary vocabulary(small_vocabulary());
  const auto grammar = std::make_shared<Grammar>(program_of(kNested), vocabulary);
  const auto is_allowed = [](std::span<const uint32_t> mask, int32_t token) {
    return (mask[token / 32] >> (token % 32) & 1) != 0;
  };
  const std::vector<int32_t> stop_tokens = {0};
  Constraint constraint(grammar);
  std::vector<int32_t> generated;
  CHECK(!is_allowed(constraint.allowed(generated, stop_tokens), 0));
  CHECK(is_allowed(constraint.allowed(generated, stop_tokens), 3));
  generated = {3};  // "(a"
  CHECK(!constraint.is_complete(generated));
  CHECK(is_allowed(constraint.allowed(generated, stop_tokens), 6));
  CHECK(!is_allowed(constraint.allowed(generated, stop_tokens), 8));
  generated = {3, 7};  // "(a)"
  CHECK(constraint.is_complete(generated));
  CHECK(is_allowed(constraint.allowed(generated, stop_tokens), 0));

  Constraint moved(grammar);  // As after a move: all at once.
  CHECK(moved.is_complete(generated));
  CHECK(grammar->begins_with(generated) && !grammar->begins_with(std::vector{7}));
  const std::vector<int32_t> plain = {4};  // "a": whole, and may go on
  Constraint open(grammar);
  CHECK(!open.is_complete(plain));
  CHECK(is_allowed(open.allowed(plain, stop_tokens), 0));
}

// What is known grows with the text; past its bound a new automaton takes over, unnoticed.
void a_long_text_does_not_grow_the_memory_for_ever() {
  constexpr int kLength = 20000;
  // 'a' 20,000 times, or a byte of any other value at once: as many states, each with all bytes.
  std::vector<int32_t> counting;
  for (int32_t byte = 0; byte < 256; ++byte) {
    const auto here = static_cast<int32_t>(counting.size() / 3);
    counting.insert(counting.end(), {kSplit, here + 1, here + 3, kByte, byte, byte, kReturn, 0, 0});
    if (byte == 'a') counting.resize(counting.size() - 9);
  }
  for (int i = 0; i < kLength; ++i) counting.insert(counting.end(), {kByte, 'a', 'a'});
  counting.insert(counting.end(), {kReturn, 0, 0});
  const Vocabulary vocabulary(small_vocabulary());
  const auto grammar = std::make_shared<Grammar>(program_of(counting), vocabulary);
  const std::shared_ptr<TokenAutomaton> first = grammar->automaton();
  Constraint constraint(grammar);
  std::vector<int32_t> generated;
  while (grammar->automaton() == first) {
    const std::span<const uint32_t> mask = constraint.allowed(generated, {});
    CHECK((mask[0] >> 4 & 1) == 1 && (mask[0] >> 10 & 1) == (generated.empty() ? 1 : 0));
    CHECK(generated.size() < kLength / 2);  // Each state has at least a kilobyte.
    generated.push_back(4);
  }
  for (int i = 0; i < 10; ++i) {
    const std::span<const uint32_t> mask = constraint.allowed(generated, {});
    CHECK((mask[0] >> 4 & 1) == 1 && (mask[0] >> 10 & 1) == 0);
    generated.push_back(4);
  }
}

void write_tokenizer(const ScratchFolder& folder, const std::string& json) {
  std::ofstream(folder.path("tokenizer.json")) << json;
}

void vocabularies_are_read() {
  const ScratchFolder folder;
  write_tokenizer(folder, R"({"decoder": {"type": "ByteLevel"},
    "model": {"vocab": {"a": 0, "Ġb": 1, "Ċ": 2, "Ã©": 3, "far": 99}},
    "added_tokens": [{"id": 4, "content": "</s>", "special": true},
                     {"id": 5, "content": "<tool> é", "special": false}]})");
  const Vocabulary bytes = read_vocabulary(folder.path(), 7);
  CHECK(bytes.size() == 7 && bytes.text(0) == "a" && bytes.text(1) == " b");
  CHECK(bytes.text(2) == "\n" && bytes.text(3) == "\xc3\xa9" && bytes.text(4).empty());
  CHECK(bytes.text(5) == "<tool> é" && bytes.text(6).empty());

  write_tokenizer(folder, R"({"decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace"}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
    "model": {"vocab": [["<unk>", 0], ["<0x0A>", 0], ["▁the", -1.5], ["é", -2]]},
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true}]})");
  const Vocabulary pieces = read_vocabulary(folder.path(), 4);
  CHECK(pieces.text(0).empty() && pieces.text(1) == "\n" && pieces.text(2) == " the");
  CHECK(pieces.text(3) == "é");
}

void unknown_tokenizers_are_said() {
  const ScratchFolder folder;
  expect_error([&] { read_vocabulary(folder.path(), 4); }, {"tokenizer.json"});
  write_tokenizer(folder, R"({"decoder": {"type": "WordPiece"}, "model": {"vocab": {}}})");
  expect_error([&] { read_vocabulary(folder.path(), 4); }, {"neither byte-level"});
  GrammarCache cache(folder.path(), 4);
  expect_error([&] { cache.get(kNested); }, {"has no tokenizer to hold answers to one"});
}

void requests_with_one_program_share_a_grammar() {
  const ScratchFolder folder;
  write_tokenizer(folder, R"({"decoder": {"type": "ByteLevel"}, "model": {"vocab": {"a": 0}}})");
  GrammarCache cache(folder.path(), 1);
  const std::shared_ptr<Grammar> first = cache.get(kNested);
  CHECK(cache.get(kNested) == first);
  for (int32_t c = 0; c < 64; ++c) cache.get(std::vector<int32_t>{kByte, c, c, kReturn, 0, 0});
  CHECK(first.use_count() == 1);  // The cache has forgotten it.
}

}  // namespace
}  // namespace sgmv

int main() {
  sgmv::nesting_is_counted();
  sgmv::depth_is_bounded_and_can_be_closed();
  sgmv::loops_without_bytes_end();
  sgmv::wrong_programs_are_refused();
  sgmv::masks_are_those_of_trying_every_token();
  sgmv::a_constraint_follows_its_tokens();
  sgmv::a_long_text_does_not_grow_the_memory_for_ever();
  sgmv::vocabularies_are_read();
  sgmv::unknown_tokenizers_are_said();
  sgmv::requests_with_one_program_share_a_grammar();
}
