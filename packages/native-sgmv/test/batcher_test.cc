// Which rows a step has, and how they lie in the batch's flat arrays.
#include "engine/batcher.h"

#include <memory>
#include <vector>

#include "check.h"
#include "fake_model.h"

using namespace sgmv;

namespace {

Sequence sequence_of(AdapterHandle adapter, int num_tokens, int num_computed, int first_page) {
  Sequence sequence;
  sequence.request.adapter = adapter;
  sequence.request.num_prompt_tokens = 1;
  for (int i = 0; i < num_tokens; ++i) sequence.request.tokens.push_back(100 * first_page + i);
  for (int i = 0; i < pages_for(num_tokens, kFakePageSize); ++i) {
    sequence.pages.push_back(first_page + i);
  }
  sequence.num_computed = num_computed;
  return sequence;
}

template <typename T>
bool equal(const T* data, const std::vector<T>& expected) {
  return std::vector<T>(data, data + expected.size()) == expected;
}

void decode_rows_come_first_then_prompts_in_order() {
  Sequence first = sequence_of(0, 10, 0, 0);
  Sequence second = sequence_of(0, 6, 5, 0);
  Sequence third = sequence_of(0, 9, 4, 0);
  Sequence* const sequences[] = {&first, &second, &third};

  PrefillBudget any(0, 100);
  const std::vector<Chunk> all = plan_step(sequences, 100, any);
  CHECK(all.size() == 3 && all[0].sequence == &second);
  CHECK(all[1].num_rows == 10 && all[1].completes());
  CHECK(all[2].num_rows == 5 && all[2].completes());

  const std::vector<Chunk> some = plan_step(sequences, 4, any);
  CHECK(some.size() == 2 && some[0].sequence == &second && some[0].num_rows == 1);
  CHECK(some[1].sequence == &first && some[1].num_rows == 3 && !some[1].completes());
  CHECK(plan_step({}, 4, any).empty());
}

void each_adapter_is_one_segment() {
  ResidentAdapters::Resident resident_seven{};
  resident_seven.device = std::make_unique<FakeAdapter>();
  ResidentAdapters::Resident resident_nine{};
  resident_nine.device = std::make_unique<FakeAdapter>();

  Sequence a = sequence_of(9, 6, 5, 10);
  a.resident = &resident_nine;
  Sequence b = sequence_of(0, 8, 0, 20);
  Sequence c = sequence_of(7, 2, 1, 30);
  c.resident = &resident_seven;
  Sequence d = sequence_of(9, 5, 2, 40);
  d.resident = &resident_nine;
  std::vector<Chunk> chunks{{&a, 1}, {&b, 5}, {&c, 1}, {&d, 3}};

  Batcher batcher(kFakePageSize);
  for (int i = 0; i < 2; ++i) {  // the second time over the arrays of the first
    const Batch& batch = batcher.build(chunks);
    CHECK(batch.num_rows == 10 && batch.num_seqs == 4);
    CHECK(equal(batch.tokens, {2000, 2001, 2002, 2003, 2004, 3001, 1005, 4002, 4003, 4004}));
    CHECK(equal(batch.positions, {0, 1, 2, 3, 4, 1, 5, 2, 3, 4}));
    CHECK(equal(batch.row_start, {0, 5, 6, 7, 10}));
    CHECK(equal(batch.context_len, {5, 2, 6, 5}));
    CHECK(equal(batch.page_start, {0, 2, 3, 5, 7}));
    CHECK(equal(batch.pages, {20, 21, 30, 10, 11, 40, 41}));
    CHECK(batch.segments.num_segments == 3);
    CHECK(equal(batch.segments.s, {0, 5, 6, 10}));
    CHECK(batch.adapters[0] == nullptr);
    CHECK(batch.adapters[1] == resident_seven.device.get());
    CHECK(batch.adapters[2] == resident_nine.device.get());
    CHECK(batch.samples.size() == 3);  // b's prompt goes on
    CHECK(batch.samples[0].row == 5 && batch.samples[0].position == 2);
    CHECK(batch.samples[1].row == 6 && batch.samples[1].tokens.size() == 6);
    CHECK(batch.samples[2].row == 9 && batch.samples[2].params == &d.request.sampling);
  }
}

}  // namespace

int main() {
  decode_rows_come_first_then_prompts_in_order();
  each_adapter_is_one_segment();
}
