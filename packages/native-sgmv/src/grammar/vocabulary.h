#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sgmv {

// One bit a token: bit (i % 32) of word i / 32.
using TokenMask = std::vector<uint32_t>;

inline void allow(TokenMask& mask, int32_t token) { mask[token / 32] |= 1u << (token % 32); }

// The bytes that each token stands for, as a tree of their common beginnings.
class Vocabulary {
 public:
  // A node of a tree in preorder: a node's subtree is what follows it up to `subtree_end`.
  struct Node {
    uint8_t byte;
    int32_t depth;  // of the root's children: 0
    int32_t subtree_end;
    int32_t tokens_begin;  // of `tokens`: those whose bytes end here
    int32_t tokens_end;
  };
  struct Tree {
    std::vector<Node> nodes;
    std::vector<int32_t> tokens;  // by their bytes
  };
  // Tokens of plain text of at most so many characters, and the tree of all others. Most tokens of
  // a vocabulary are plain text, and where any text may follow they need not be looked at one by
  // one.
  struct Slice {
    int max_characters;
    TokenMask tokens;
    Tree others;
  };

  // `texts[i]` are the bytes of token i; empty where it stands for none, as special tokens do.
  explicit Vocabulary(std::vector<std::string> texts);

  int size() const { return static_cast<int>(texts_.size()); }
  std::string_view text(int32_t token) const { return texts_[token]; }
  const Tree& tree() const { return tree_; }
  const std::vector<Slice>& slices() const { return slices_; }  // the longest first
  int max_depth() const { return max_depth_; }

 private:
  Tree make_tree(std::vector<int32_t> tokens) const;

  std::vector<std::string> texts_;
  Tree tree_;
  std::vector<Slice> slices_;
  int max_depth_ = 0;
};

// Reads `folder`/tokenizer.json (Hugging Face tokenizers) of byte-level BPE, or of SentencePiece
// style with bytes written <0x00>. Tokens from `vocab_size` on are left out. Throws
// std::runtime_error naming the file and what is missing or not supported.
Vocabulary read_vocabulary(const std::string& folder, int vocab_size);

}  // namespace sgmv
