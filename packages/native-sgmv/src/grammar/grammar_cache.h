#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "grammar/grammar.h"

namespace sgmv {

// The grammars of the last requests, so that requests with the same one share what is found out
// about it. For any thread.
class GrammarCache {
 public:
  // Without a tokenizer that can be read there are no grammars, and get() says why.
  GrammarCache(const std::string& model_folder, int vocab_size);

  // Throws std::invalid_argument where the program is wrong or there is no tokenizer.
  std::shared_ptr<Grammar> get(std::span<const int32_t> program);

 private:
  std::optional<Vocabulary> vocabulary_;
  std::string why_not_;
  std::mutex mutex_;
  // The last used comes first.
  std::list<std::pair<std::vector<int32_t>, std::shared_ptr<Grammar>>> grammars_;
};

}  // namespace sgmv
