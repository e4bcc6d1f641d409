// What holding an answer to a grammar takes of the step thread, over a made-up vocabulary of the
// size that large models have. A program is what @punica/grammar makes of a schema, as numbers in a
// file:
//   bench_grammar PROGRAM [VOCAB_SIZE]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

#include "grammar/constraint.h"
#include "grammar/vocabulary.h"

using namespace sgmv;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int kStopToken = 0;
constexpr int kMaxTokens = 256;
constexpr int kNumAnswers = 200;

// Every byte, then words with and without a space in front, numbers, punctuation and runs of
// spaces, about as often and as long as in the vocabularies of Llama 3 and Qwen.
Vocabulary make_vocabulary(int size) {
  std::mt19937 random(1);
  const auto below = [&](int n) { return static_cast<int>(random() % n); };
  std::vector<std::string> texts{""};
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  std::unordered_set<std::string> known(texts.begin(), texts.end());
  const std::string punctuation = "{}[]():,.\"'-_/\\ \n";
  const std::string letters = "etaoinshrdlucmfwypvbgkjqxz";
  while (static_cast<int>(texts.size()) < size) {
    std::string text;
    const int kind = below(100);
    if (kind < 80) {
      if (below(2) == 0) text = " ";
      for (int n = 2 + below(9); n > 0; --n) text += letters[std::min(below(26), below(26))];
      if (below(4) == 0 && text[0] != ' ') text[0] = static_cast<char>(text[0] - 'a' + 'A');
    } else if (kind < 84) {
      for (int n = 1 + below(3); n > 0; --n) text += static_cast<char>('0' + below(10));
    } else if (kind < 92) {
      for (int n = 2 + below(4); n > 0; --n) text += punctuation[below(punctuation.size())];
    } else if (kind < 93) {
      text.assign(2 + below(60), ' ');
    } else {
      // Two or three characters of a script of three bytes each.
      for (int n = 2 + below(2); n > 0; --n) {
        text += {static_cast<char>(0xe4 + below(5)), static_cast<char>(0x80 + below(64)),
                 static_cast<char>(0x80 + below(64))};
      }
    }
    if (known.insert(text).second) texts.push_back(text);
  }
  return Vocabulary(std::move(texts));
}

std::vector<int32_t> read_numbers(const char* path) {
  std::ifstream file(path);
  return {std::istream_iterator<int32_t>(file), {}};
}

double micros_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// One of the allowed tokens at random; a model chooses among them, too.
int32_t choose(std::span<const uint32_t> mask, std::mt19937& random) {
  std::vector<int32_t> allowed;
  for (size_t i = 0; i < mask.size() * 32; ++i) {
    if (mask[i / 32] >> (i % 32) & 1) allowed.push_back(static_cast<int32_t>(i));
  }
  return allowed.empty() ? kStopToken : allowed[random() % allowed.size()];
}

void print(const char* what, std::vector<double> micros) {
  if (micros.empty()) return;
  std::ranges::sort(micros);
  const auto at = [&](double share) {
    return micros[std::min(micros.size() - 1, static_cast<size_t>(share * micros.size()))];
  };
  std::printf("%-28s %7zu   p50 %8.1f us   p99 %8.1f us   max %8.1f us\n", what, micros.size(),
              at(0.5), at(0.99), micros.back());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_grammar PROGRAM [VOCAB_SIZE]\n");
    return 2;
  }
  const Vocabulary vocabulary = make_vocabulary(argc > 2 ? std::atoi(argv[2]) : 128'256);
  const std::vector<int32_t> numbers = read_numbers(argv[1]);
  const auto grammar =
      std::make_shared<Grammar>(std::make_shared<const Program>(read_program(numbers)), vocabulary);
  std::printf("%d tokens, %zu nodes, %zu instructions, %d answers of up to %d tokens\n",
              vocabulary.size(), vocabulary.tree().nodes.size(), numbers.size() / 3, kNumAnswers,
              kMaxTokens);

  std::mt19937 random(2);
  std::vector<double> first;  // of the first answer: every state is new
  std::vector<double> later;
  for (int answer = 0; answer < kNumAnswers; ++answer) {
    Constraint constraint(grammar);
    std::vector<int32_t> generated;
    while (static_cast<int>(generated.size()) < kMaxTokens) {
      const auto start = Clock::now();
      const bool is_complete = constraint.is_complete(generated);
      const auto mask = constraint.allowed(generated, {&kStopToken, 1});
      (answer == 0 ? first : later).push_back(micros_since(start));
      if (is_complete) break;
      const int32_t token = choose(mask, random);
      if (token == kStopToken) break;
      generated.push_back(token);
    }
  }
  print("tokens of the first answer", first);
  print("tokens of the others", later);
}
