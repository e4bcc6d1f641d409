#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "grammar/vocabulary.h"
#include "model/json.h"

namespace sgmv {
namespace {

constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr JsonLimits kLimits{.max_depth = 64, .max_values = size_t{1} << 24};

const std::string* string_member(const Json& json, std::string_view key) {
  const Json* member = json.find(key);
  return member == nullptr ? nullptr : member->get_if<std::string>();
}

// Whether `decoder`, or one of the sequence that it is, has this type.
bool has_decoder(const Json& decoder, std::string_view type) {
  if (const std::string* own = string_member(decoder, "type"); own != nullptr && *own == type) {
    return true;
  }
  const Json* parts = decoder.find("decoders");
  const auto* list = parts == nullptr ? nullptr : parts->get_if<Json::Array>();
  return list != nullptr &&
         std::ranges::any_of(*list, [&](const Json& part) { return has_decoder(part, type); });
}

// The characters of `text`, which is valid UTF-8 (parse_json sees to that).
std::vector<uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> points;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<uint8_t>(text[i]);
    const int length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t point = length == 1 ? first : first & (0x7f >> length);
    for (int j = 1; j < length; ++j)
      point = point << 6 | (static_cast<uint8_t>(text[i + j]) & 0x3f);
    points.push_back(point);
    i += length;
  }
  return points;
}

// GPT-2's byte-level BPE writes every byte as one printable character: those of Latin-1 that are
// visible as themselves, the others as U+0100 and up, in order.
std::array<int, 0x200> byte_of_character() {
  std::array<int, 0x200> bytes;
  bytes.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool visible = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    bytes[visible ? byte : next++] = byte;
  }
  return bytes;
}

std::string byte_level_text(std::string_view token) {
  static const std::array<int, 0x200> kBytes = byte_of_character();
  std::string text;
  for (const uint32_t point : code_points(token)) {
    const int byte = point < kBytes.size() ? kBytes[point] : -1;
    if (byte < 0) return std::string(token);  // Added without its bytes being spelled.
    text.push_back(static_cast<char>(byte));
  }
  return text;
}

std::optional<char> byte_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int byte = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

std::string sentence_piece_text(std::string_view token) {
  if (const std::optional<char> byte = byte_token(token)) return {*byte};
  constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581
  std::string text;
  for (size_t i = 0; i < token.size();) {
    if (token.substr(i).starts_with(kSpace)) {
      text.push_back(' ');
      i += kSpace.size();
    } else {
      text.push_back(token[i++]);
    }
  }
  return text;
}

class Reader {
 public:
  Reader(const Json& tokenizer, int vocab_size) : json_(tokenizer), texts_(vocab_size) {}

  std::vector<std::string> read() && {
    const Json* decoder = json_.find("decoder");
    const Json* model = json_.find("model");
    if (decoder == nullptr || model == nullptr) throw std::runtime_error("has no model or decoder");
    if (has_decoder(*decoder, "ByteLevel")) {
      text_of_ = byte_level_text;
    } else if (has_decoder(*decoder, "ByteFallback")) {
      text_of_ = sentence_piece_text;
    } else {
      throw std::runtime_error("is neither byte-level nor has it a token for each byte");
    }
    read_model(*model);
    read_added_tokens();
    return std::move(texts_);
  }

 private:
  void read_model(const Json& model) {
    const Json* vocab = model.find("vocab");
    if (vocab == nullptr) throw std::runtime_error("has no model.vocab");
    if (const auto* by_text = vocab->get_if<Json::Object>()) {
      for (const auto& [token, id] : *by_text) set(id, text_of_(token));
      return;
    }
    // Unigram: [[token, score], ...] in the order of their ids.
    const auto* list = vocab->get_if<Json::Array>();
    if (list == nullptr)
      throw std::runtime_error("has a model.vocab that is no object and no list");
    for (size_t id = 0; id < list->size(); ++id) {
      const auto* entry = (*list)[id].get_if<Json::Array>();
      const auto* token =
          entry == nullptr || entry->empty() ? nullptr : (*entry)[0].get_if<std::string>();
      if (token != nullptr && id < texts_.size()) texts_[id] = text_of_(*token);
    }
  }

  // Special tokens stand for no text; others that were added are written as they are.
  void read_added_tokens() {
    const Json* added = json_.find("added_tokens");
    const auto* list = added == nullptr ? nullptr : added->get_if<Json::Array>();
    if (list == nullptr) return;
    for (const Json& token : *list) {
      const Json* id = token.find("id");
      const Json* special = token.find("special");
      const std::string* content = string_member(token, "content");
      if (id == nullptr || content == nullptr) continue;
      const bool* is_special = special == nullptr ? nullptr : special->get_if<bool>();
      set(*id, is_special != nullptr && *is_special ? std::string() : *content);
    }
  }

  void set(const Json& id, std::string text) {
    const double* number = id.get_if<double>();
    if (number == nullptr || !(*number >= 0 && *number < static_cast<double>(texts_.size())))
      return;
    texts_[static_cast<size_t>(*number)] = std::move(text);
  }

  const Json& json_;
  std::vector<std::string> texts_;
  std::string (*text_of_)(std::string_view) = nullptr;
};

}  // namespace

Vocabulary read_vocabulary(const std::string& folder, int vocab_size) {
  const std::string path = folder + "/tokenizer.json";
  const Json json = read_json_file(path, kMaxBytes, kLimits);
  try {
    return Vocabulary(Reader(json, vocab_size).read());
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
}

}  // namespace sgmv
