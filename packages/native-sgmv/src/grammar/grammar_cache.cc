#include "grammar/grammar_cache.h"

#include <algorithm>
#include <exception>
#include <stdexcept>

namespace sgmv {
namespace {

constexpr size_t kMaxGrammars = 32;

}  // namespace

GrammarCache::GrammarCache(const std::string& model_folder, int vocab_size) {
  try {
    vocabulary_ = read_vocabulary(model_folder, vocab_size);
  } catch (const std::exception& error) {
    why_not_ = error.what();
  }
}

std::shared_ptr<Grammar> GrammarCache::get(std::span<const int32_t> program) {
  if (!vocabulary_) {
    throw std::invalid_argument("grammar: this model has no tokenizer to hold answers to one: " +
                                why_not_);
  }
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(
      grammars_, [&](const auto& entry) { return std::ranges::equal(entry.first, program); });
  if (found != grammars_.end()) {
    grammars_.splice(grammars_.begin(), grammars_, found);
  } else {
    auto grammar = std::make_shared<Grammar>(std::make_shared<const Program>(read_program(program)),
                                             *vocabulary_);
    grammars_.emplace_front(std::vector(program.begin(), program.end()), std::move(grammar));
    if (grammars_.size() > kMaxGrammars) grammars_.pop_back();
  }
  return grammars_.front().second;
}

}  // namespace sgmv
