#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sgmv {

// The bytes that each token stands for, as a tree of their common beginnings.
class Vocabulary {
 public:
  // A node of the tree in preorder: a node's subtree is what follows it up to `subtree_end`.
  struct Node {
    uint8_t byte;
    int32_t depth;  // of the root's children: 0
    int32_t subtree_end;
    int32_t tokens_begin;  // of ordered_tokens(): those whose bytes end here
    int32_t tokens_end;
  };

  // `texts[i]` are the bytes of token i; empty where it stands for none, as special tokens do.
  explicit Vocabulary(std::vector<std::string> texts);

  int size() const { return static_cast<int>(texts_.size()); }
  std::string_view text(int32_t token) const { return texts_[token]; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<int32_t>& ordered_tokens() const { return ordered_; }
  int max_depth() const { return max_depth_; }

 private:
  std::vector<std::string> texts_;
  std::vector<int32_t> ordered_;  // by their bytes, those without left out
  std::vector<Node> nodes_;
  int max_depth_ = 0;
};

// Reads `folder`/tokenizer.json (Hugging Face tokenizers) of byte-level BPE, or of SentencePiece
// style with bytes written <0x00>. Tokens from `vocab_size` on are left out. Throws
// std::runtime_error naming the file and what is missing or not supported.
Vocabulary read_vocabulary(const std::string& folder, int vocab_size);

}  // namespace sgmv
