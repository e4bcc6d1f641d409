#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "check.h"
#include "expect_error.h"
#include "model/pattern.h"

namespace sgmv {
namespace {

void expect_match(const char* source, std::string_view text, bool matches) {
  if (Pattern(source).matches(text) == matches) return;
  std::fprintf(stderr, "'%s' should %smatch\n", source, matches ? "" : "not ");
  std::exit(1);
}

constexpr std::string_view kQ = "model.layers.11.self_attn.q_proj";

void test_full_match() {
  for (const char* source :
       {".*", ".*q_proj", R"(model\.layers\.\d+\.self_attn\.q_proj)", R"(.*\.(q|k|v)_proj)",
        R"(.*layers\.(1|11)\..*(q_proj|v_proj))", R"(.*\.1{2}\..*)", R"(.*\.\d{1,3}\..*)",
        R"(.*\.\d{2,}\..*)", R"(.*\.\d{,2}\..*)", R"(^model.+?q_proj$)",
        R"((?:model|transformer)\.[a-z]+\.[0-9]*\.[\w.]+)", R"((?P<a>m)odel.*[^k]_proj)",
        R"(.*self_attn\.[qkvo]_proj|.*mlp\..*)", R"(.*[]\d-]1.*)", R"(\w+\W.*\S\D)"}) {
    expect_match(source, kQ, true);
  }
  for (const char* source : {"", "q_proj", "model", R"(.*\.(k|v)_proj)", R"(.*\.1\..*)",
                             R"(.*\.\d{3}\..*)", "(a*)*b", R"(.*[^q]_proj)", "$.*", ".*^q_proj"}) {
    expect_match(source, kQ, false);
  }
  CHECK(Pattern("").matches("") && Pattern("(|a)").matches("a") && Pattern("a{0}").matches(""));
  CHECK(Pattern("a?b*?c+?").matches("bbc") && !Pattern("a{2,3}").matches("aaaa"));
  CHECK(Pattern(R"([a\-z\]]+)").matches("-]az") && Pattern("[a-]+").matches("-a"));
}

void test_tail_match() {
  for (const char* source : {"q_proj", "self_attn.q_proj", R"(11\.self_attn\.q_proj)", "^model.*",
                             "^model.layers.11.self_attn.q_proj", "k_proj|q_proj", "q_.*", ".*"}) {
    CHECK(Pattern(source).matches_tail(kQ));
  }
  for (const char* source :
       {"proj", "_proj", "1.self_attn.q_proj", "^q_proj", "self_attn", "k_proj", R"(layers\.11)"}) {
    CHECK(!Pattern(source).matches_tail(kQ));
  }
}

// A backtracking matcher would take 2^60 steps and the memory of a billion states.
void test_hostile_patterns() {
  CHECK(!Pattern("(a|a)*(a|a)*(a*)*(a+)+b").matches(std::string(60, 'a')));
  expect_error([] { Pattern("((a{1000}){1000}){1000}"); }, {"repeats too much"});
  expect_error([] { Pattern(std::string(1001, 'a')); }, {"longer than 1000"});
  expect_error([] { Pattern(std::string(1000, '(')); }, {"deeper than 50"});
}

void test_errors() {
  const std::pair<const char*, const char*> cases[] = {
      {"(a", "'(' without its ')'"}, {"a)", "')' without its '('"},
      {"[a", "ends too early"},      {"a\\", "ends too early"},
      {"*a", "repeats nothing"},     {"a**", "repeats a repetition"},
      {"a{2}{3}", "repetition"},     {"a{3,2}", "m > n"},
      {"a{x}", "not {m,n}"},         {"a{2", "without its '}'"},
      {"a{1001}", "up to 1000"},     {"(?=a)", "(?...)"},
      {"(?!a)", "(?...)"},           {R"(\bq)", "\\b"},
      {R"((a)\1)", "\\1"},           {"[z-a]", "range"},
      {"(?P<n", "ends too early"},
  };
  for (const auto& [source, message] : cases) {
    expect_error([&] { Pattern{source}; }, {"pattern", message});
  }
}

}  // namespace
}  // namespace sgmv

int main() {
  sgmv::test_full_match();
  sgmv::test_tail_match();
  sgmv::test_hostile_patterns();
  sgmv::test_errors();
}
