#include "grammar/vocabulary.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "grammar/plain_text.h"

namespace sgmv {
namespace {

// Characters of the tokens that a slice has at most: fine steps near the end of what may follow.
constexpr int kSliceCharacters[] = {32, 16, 8, 4, 2};

size_t common_length(std::string_view a, std::string_view b) {
  const size_t length = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + length, b.begin()).first - a.begin();
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> texts) : texts_(std::move(texts)) {
  std::vector<int32_t> ordered;
  for (int32_t token = 0; token < size(); ++token) {
    if (texts_[token].empty()) continue;
    ordered.push_back(token);
    max_depth_ = std::max(max_depth_, static_cast<int>(texts_[token].size()));
  }
  std::ranges::stable_sort(ordered, {},
                           [this](int32_t token) -> std::string_view { return texts_[token]; });
  std::vector<int> num_characters;
  for (const std::string& text : texts_) num_characters.push_back(count_plain_characters(text));
  for (const int max_characters : kSliceCharacters) {
    Slice slice{max_characters, TokenMask((texts_.size() + 31) / 32), {}};
    std::vector<int32_t> others;
    for (const int32_t token : ordered) {
      const int count = num_characters[token];
      if (count >= 0 && count <= max_characters) {
        allow(slice.tokens, token);
      } else {
        others.push_back(token);
      }
    }
    slice.others = make_tree(std::move(others));
    slices_.push_back(std::move(slice));
  }
  tree_ = make_tree(std::move(ordered));
}

// `tokens` are in the order of their bytes.
Vocabulary::Tree Vocabulary::make_tree(std::vector<int32_t> tokens) const {
  Tree tree{{}, std::move(tokens)};
  std::vector<int32_t> open;  // the nodes of the last text's bytes
  const auto close_to = [&](size_t depth) {
    while (open.size() > depth) {
      tree.nodes[open.back()].subtree_end = static_cast<int32_t>(tree.nodes.size());
      open.pop_back();
    }
  };
  std::string_view last;
  for (size_t i = 0; i < tree.tokens.size(); ++i) {
    const std::string_view text = texts_[tree.tokens[i]];
    close_to(common_length(last, text));
    const auto index = static_cast<int32_t>(i);
    while (open.size() < text.size()) {
      const size_t depth = open.size();
      open.push_back(static_cast<int32_t>(tree.nodes.size()));
      tree.nodes.push_back({.byte = static_cast<uint8_t>(text[depth]),
                            .depth = static_cast<int32_t>(depth),
                            .subtree_end = 0,
                            .tokens_begin = index,
                            .tokens_end = index});
    }
    tree.nodes[open.back()].tokens_end = index + 1;
    last = text;
  }
  close_to(0);
  return tree;
}

}  // namespace sgmv
