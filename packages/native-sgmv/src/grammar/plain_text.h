#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace sgmv {

// Plain text: UTF-8 without control characters, quotes and backslashes, which is what a JSON string
// may hold as it is.

struct ByteRange {
  uint8_t first;
  uint8_t last;
};

// The bytes of one character, as a range for each of them; `length` ranges are used.
struct CharacterForm {
  int length;
  std::array<ByteRange, 4> bytes;
};

// Every form that a character of plain text has (RFC 3629, section 4).
std::span<const CharacterForm> plain_characters();

// The number of characters of `text`, or -1 where it is not plain or ends within a character.
int count_plain_characters(std::string_view text);

}  // namespace sgmv
