#include "grammar/plain_text.h"

#include <algorithm>

namespace sgmv {
namespace {

constexpr ByteRange kFollowing{0x80, 0xbf};
constexpr CharacterForm kForms[] = {
    {1, {{{0x20, 0x21}}}},
    {1, {{{0x23, 0x5b}}}},
    {1, {{{0x5d, 0x7e}}}},
    {2, {{{0xc2, 0xdf}, kFollowing}}},
    {3, {{{0xe0, 0xe0}, {0xa0, 0xbf}, kFollowing}}},
    {3, {{{0xe1, 0xec}, kFollowing, kFollowing}}},
    {3, {{{0xed, 0xed}, {0x80, 0x9f}, kFollowing}}},
    {3, {{{0xee, 0xef}, kFollowing, kFollowing}}},
    {4, {{{0xf0, 0xf0}, {0x90, 0xbf}, kFollowing, kFollowing}}},
    {4, {{{0xf1, 0xf3}, kFollowing, kFollowing, kFollowing}}},
    {4, {{{0xf4, 0xf4}, {0x80, 0x8f}, kFollowing, kFollowing}}},
};

bool begins_with(std::string_view text, const CharacterForm& form) {
  if (text.size() < static_cast<size_t>(form.length)) return false;
  for (int i = 0; i < form.length; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < form.bytes[i].first || byte > form.bytes[i].last) return false;
  }
  return true;
}

}  // namespace

std::span<const CharacterForm> plain_characters() { return kForms; }

int count_plain_characters(std::string_view text) {
  int count = 0;
  while (!text.empty()) {
    const auto form = std::ranges::find_if(
        kForms, [&](const CharacterForm& candidate) { return begins_with(text, candidate); });
    if (form == std::end(kForms)) return -1;
    text.remove_prefix(form->length);
    ++count;
  }
  return count;
}

}  // namespace sgmv
