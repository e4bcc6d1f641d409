#include "model/pattern_compiler.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <string>

#include "model/json.h"

namespace sgmv {
namespace {

class Compiler {
 public:
  explicit Compiler(std::string_view source) : source_(source) {}

  PatternProgram compile() {
    if (source_.size() > kMaxSource) fail("is longer than 1000 characters");
    Fragment program = parse_alternatives();
    if (at_ != source_.size()) fail("has a ')' without its '('");
    return program;
  }

 private:
  using Op = PatternInstruction::Op;
  using Fragment = PatternProgram;
  using Characters = std::bitset<256>;

  static constexpr size_t kMaxSource = 1000;
  static constexpr size_t kMaxProgram = 20000;
  static constexpr int kMaxRepeat = 1000;
  static constexpr int kNoLimit = std::numeric_limits<int>::max();
  static constexpr int kMaxDepth = 50;  // of groups; bounds the recursion

  [[noreturn]] void fail(const std::string& problem) const {
    throw std::runtime_error("pattern " + in_quotes(source_) + " " + problem);
  }

  bool at_end() const { return at_ == source_.size(); }
  char peek() const { return at_end() ? '\0' : source_[at_]; }
  bool skip(std::string_view text) {
    if (!source_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  char next() {
    if (at_end()) fail("ends too early");
    return source_[at_++];
  }

  void append(Fragment& to, const Fragment& more) const {
    if (to.size() + more.size() > kMaxProgram) fail("repeats too much");
    to.insert(to.end(), more.begin(), more.end());
  }

  Fragment parse_alternatives() {
    Fragment left = parse_sequence();
    while (skip("|")) {
      const Fragment right = parse_sequence();
      Fragment both{{Op::kSplit, static_cast<int>(left.size()) + 2}};
      append(both, left);
      both.push_back({Op::kJump, static_cast<int>(right.size()) + 1});
      append(both, right);
      left = std::move(both);
    }
    return left;
  }

  Fragment parse_sequence() {
    Fragment sequence;
    while (!at_end() && peek() != '|' && peek() != ')') append(sequence, parse_repeated());
    return sequence;
  }

  Fragment parse_repeated() {
    const Fragment atom = parse_atom();
    int min = 1;
    int max = 1;
    if (skip("*")) {
      min = 0;
      max = kNoLimit;
    } else if (skip("+")) {
      max = kNoLimit;
    } else if (skip("?")) {
      min = 0;
    } else if (peek() == '{') {
      parse_bounds(min, max);
    } else {
      return atom;
    }
    skip("?");  // Lazy or not makes no difference to whether a whole text matches.
    if (!at_end() && std::string_view("*+?{").find(peek()) != std::string_view::npos) {
      fail("repeats a repetition");
    }
    return repeat(atom, min, max);
  }

  void parse_bounds(int& min, int& max) {
    const size_t close = source_.find('}', at_);
    if (close == std::string_view::npos) fail("has a '{' without its '}'");
    const std::string_view bounds = source_.substr(at_ + 1, close - at_ - 1);
    const size_t comma = std::min(bounds.find(','), bounds.size());
    const auto parse = [this](std::string_view digits) {
      int number = 0;
      const auto [stop, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), number);
      if (error != std::errc() || stop != digits.data() + digits.size() || number < 0 ||
          number > kMaxRepeat) {
        fail("has a repetition that is not {m,n} with numbers up to 1000");
      }
      return number;
    };
    min = comma == 0 && comma < bounds.size() ? 0 : parse(bounds.substr(0, comma));
    if (comma == bounds.size()) {
      max = min;
    } else if (comma + 1 == bounds.size()) {
      max = kNoLimit;
    } else {
      max = parse(bounds.substr(comma + 1));
    }
    if (max < min) fail("has a repetition {m,n} with m > n");
    at_ = close + 1;
  }

  Fragment repeat(const Fragment& atom, int min, int max) const {
    const int size = static_cast<int>(atom.size());
    Fragment out;
    for (int i = 0; i < min; ++i) append(out, atom);
    if (max == kNoLimit) {
      out.push_back({Op::kSplit, size + 2});
      append(out, atom);
      out.push_back({Op::kJump, -(size + 1)});
      return out;
    }
    for (int i = min; i < max; ++i) {
      out.push_back({Op::kSplit, size + 1});
      append(out, atom);
    }
    return out;
  }

  Fragment parse_atom() {
    const char c = next();
    switch (c) {
      case '(':
        return parse_group();
      case '[':
        return {{Op::kCharacter, 0, parse_class()}};
      case '.':
        return {{Op::kCharacter, 0, ~Characters().set('\n')}};
      case '^':
        return {{Op::kBegin}};
      case '$':
        return {{Op::kEnd}};
      case '\\':
        return {{Op::kCharacter, 0, parse_escape()}};
      case '*':
      case '+':
      case '?':
      case '{':
        fail("repeats nothing");
      default:
        return {{Op::kCharacter, 0, single(c)}};
    }
  }

  Fragment parse_group() {
    if (skip("?P<")) {
      while (next() != '>') {
      }
    } else if (!skip("?:") && peek() == '?') {
      fail("uses a group (?...) that is not supported; (?:...) and (?P<name>...) are");
    }
    if (++depth_ > kMaxDepth) fail("nests groups deeper than 50 levels");
    Fragment group = parse_alternatives();
    --depth_;
    if (!skip(")")) fail("has a '(' without its ')'");
    return group;
  }

  static Characters single(char c) { return Characters().set(static_cast<uint8_t>(c)); }

  static Characters range(char first, char last) {
    Characters out;
    for (int c = static_cast<uint8_t>(first); c <= static_cast<uint8_t>(last); ++c) out.set(c);
    return out;
  }

  // After the backslash.
  Characters parse_escape() {
    const char c = next();
    const Characters digits = range('0', '9');
    const Characters word = digits | range('a', 'z') | range('A', 'Z') | single('_');
    const Characters space = range('\t', '\r') | single(' ');
    switch (c) {
      case 'd':
        return digits;
      case 'D':
        return ~digits;
      case 'w':
        return word;
      case 'W':
        return ~word;
      case 's':
        return space;
      case 'S':
        return ~space;
      default:
        // Other letters and digits mean references, boundaries and code points.
        if (word.test(static_cast<uint8_t>(c)) && c != '_') {
          fail(std::string("uses \\") + c + ", which is not supported");
        }
        return single(c);
    }
  }

  // After the opening bracket.
  Characters parse_class() {
    Characters out;
    const bool negated = skip("^");
    bool first = true;
    while (first || peek() != ']') {
      first = false;
      const char c = next();
      if (c == '\\') {
        out |= parse_escape();
      } else if (peek() == '-' && at_ + 1 < source_.size() && source_[at_ + 1] != ']') {
        ++at_;
        const char last = next();
        if (last == '\\' || static_cast<uint8_t>(last) < static_cast<uint8_t>(c)) {
          fail("has a range in [...] that is not supported");
        }
        out |= range(c, last);
      } else {
        out |= single(c);
      }
    }
    ++at_;
    return negated ? ~out : out;
  }

  std::string_view source_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

PatternProgram compile_pattern(std::string_view source) { return Compiler(source).compile(); }

}  // namespace sgmv
