#include "grammar/vocabulary.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace sgmv {
namespace {

size_t common_length(std::string_view a, std::string_view b) {
  const size_t length = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + length, b.begin()).first - a.begin();
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> texts) : texts_(std::move(texts)) {
  for (int32_t token = 0; token < size(); ++token) {
    if (!texts_[token].empty()) ordered_.push_back(token);
  }
  std::ranges::stable_sort(ordered_, {},
                           [this](int32_t token) -> std::string_view { return texts_[token]; });

  std::vector<int32_t> open;  // the nodes of the last text's bytes
  const auto close_to = [&](size_t depth) {
    while (open.size() > depth) {
      nodes_[open.back()].subtree_end = static_cast<int32_t>(nodes_.size());
      open.pop_back();
    }
  };
  std::string_view last;
  for (size_t i = 0; i < ordered_.size(); ++i) {
    const std::string_view text = texts_[ordered_[i]];
    close_to(common_length(last, text));
    const auto index = static_cast<int32_t>(i);
    while (open.size() < text.size()) {
      const size_t depth = open.size();
      open.push_back(static_cast<int32_t>(nodes_.size()));
      nodes_.push_back({.byte = static_cast<uint8_t>(text[depth]),
                        .depth = static_cast<int32_t>(depth),
                        .subtree_end = 0,
                        .tokens_begin = index,
                        .tokens_end = index});
    }
    nodes_[open.back()].tokens_end = index + 1;
    max_depth_ = std::max(max_depth_, static_cast<int>(text.size()));
    last = text;
  }
  close_to(0);
}

}  // namespace sgmv
