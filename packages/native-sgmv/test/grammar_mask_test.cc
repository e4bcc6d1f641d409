// Masks within strings, where most tokens are allowed without a look at each.
#include <string>
#include <vector>

#include "check.h"
#include "grammar/automaton.h"
#include "grammar/grammar.h"
#include "grammar/plain_text.h"
#include "grammar_fixture.h"

namespace sgmv {
namespace {

// Plain text, of all its forms.
std::vector<CharacterForm> all_forms() {
  return {plain_characters().begin(), plain_characters().end()};
}

// The same but for 'q'.
std::vector<CharacterForm> forms_without_q() {
  std::vector<CharacterForm> forms = all_forms();
  for (CharacterForm& form : forms) {
    if (form.bytes[0].first > 'q' || form.bytes[0].last < 'q') continue;
    const CharacterForm below_q{1, {{{form.bytes[0].first, 'p'}}}};
    form.bytes[0].first = 'r';
    forms.push_back(below_q);
    break;
  }
  return forms;
}

// A quoted string of up to `max` characters of these forms or \", and a 'q' at its end, or none.
std::vector<int32_t> string_of_up_to(int max, const std::vector<CharacterForm>& forms) {
  std::vector<int32_t> numbers;
  const auto add = [&](int32_t op, int32_t a = 0, int32_t b = 0) {
    numbers.insert(numbers.end(), {op, a, b});
  };
  const auto here = [&] { return static_cast<int32_t>(numbers.size() / 3); };
  const int32_t end = 1 + 2 * max;
  const int32_t character = end + 4;
  add(kByte, '"', '"');
  for (int i = 0; i < max; ++i) {
    add(kSplit, here() + 1, end);
    add(kCall, character);
  }
  add(kSplit, end + 1, end + 2);
  add(kByte, 'q', 'q');
  add(kByte, '"', '"');
  add(kReturn);
  for (const CharacterForm& form : forms) {
    add(kSplit, here() + 1, here() + 2 + form.length);
    for (int i = 0; i < form.length; ++i) add(kByte, form.bytes[i].first, form.bytes[i].last);
    add(kReturn);
  }
  add(kByte, '\\', '\\');
  add(kByte, '"', '"');
  add(kReturn);
  return numbers;
}

// Plain text of 1 to 40 characters of 1 to 4 bytes, and all that is not plain: quotes and escapes
// in all places, control characters, parts of characters, bytes that are of none.
std::vector<std::string> text_vocabulary() {
  std::vector<std::string> texts{"",    "\"",  "\\\"", "\\",  "z",      "q",  "aq",  "qa",  "aqa",
                                 "q\"", "a\"", "a\\",  "\"a", "a\\\"b", "\n", "a\n", "\x7f"};
  for (int byte = 0x80; byte <= 0xff; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  const std::string characters[] = {"a", " ", "~", "é", "ß", "你", "한", "€", "😀", "\U0010fffd"};
  for (const std::string& character : characters) {
    std::string text;
    for (int length = 1; length <= 40; ++length) {
      text += length % 3 == 0 ? "x" : character;
      texts.push_back(text);
      texts.push_back(text + "\"");
      texts.push_back(text.substr(0, text.size() - 1));
    }
  }
  return texts;
}

Automaton::State after(Automaton& automaton, Automaton::State state, std::string_view text) {
  for (const char byte : text) {
    if (state == Automaton::kDead) break;
    state = automaton.next(state, static_cast<uint8_t>(byte));
  }
  return state;
}

Automaton::State after_bytes(TokenAutomaton& tokens, const Vocabulary& vocabulary,
                             std::string_view text) {
  Automaton::State state = Automaton::kStart;
  for (size_t i = 0; i < text.size(); ++i) {
    int32_t token = 0;
    while (vocabulary.text(token) != text.substr(i, 1)) ++token;
    state = tokens.next(state, token);
  }
  return state;
}

void masks_within_strings_are_those_of_trying_every_token() {
  const Vocabulary vocabulary(text_vocabulary());
  std::vector<CharacterForm> without_last = all_forms();
  without_last.pop_back();
  const std::vector<CharacterForm> kinds[] = {all_forms(), without_last, forms_without_q()};
  for (const int max : {0, 1, 2, 3, 5, 8, 9, 20, 33, 70}) {
    for (const std::vector<CharacterForm>& forms : kinds) {
      const auto program = program_of(string_of_up_to(max, forms));
      TokenAutomaton tokens(program, vocabulary);
      Automaton automaton(program);
      std::string before = "\"";
      for (int length = 0; length <= max; ++length) {
        const Automaton::State state = after(automaton, Automaton::kStart, before);
        const TokenMask& mask = tokens.allowed(after_bytes(tokens, vocabulary, before));
        for (int32_t token = 0; token < vocabulary.size(); ++token) {
          const std::string_view text = vocabulary.text(token);
          const bool expected = !text.empty() && after(automaton, state, text) != Automaton::kDead;
          CHECK((mask[token / 32] >> (token % 32) & 1) == static_cast<uint32_t>(expected));
        }
        before += length % 4 == 0 ? "é" : "z";
      }
    }
  }
}

}  // namespace
}  // namespace sgmv

int main() { sgmv::masks_within_strings_are_those_of_trying_every_token(); }
