#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/for_rows.h"

namespace sgmv {

// A task is some consecutive rows of one sequence and all query heads that share one KV head: they
// read the same keys and values, in pages whose blocks have their fixed places, whoever asks.
void CpuBackend::attention(Matrix y, Matrix q, int layer) {
  const int heads_per_kv = shape_.num_heads / shape_.num_kv_heads;
  const int task_rows = std::max(1, kMaxAttentionRows / heads_per_kv);
  attention_tasks_.clear();
  int64_t work = 0;
  for (int s = 0; s < batch_->num_seqs; ++s) {
    for (int t = batch_->row_start[s]; t < batch_->row_start[s + 1]; t += task_rows) {
      const int end = std::min(t + task_rows, batch_->row_start[s + 1]);
      attention_tasks_.push_back({s, t, end});
      work += int64_t{2} * (end - t) * q.num_cols * batch_->positions[end - 1];
    }
  }
  // The heads of one task lie side by side in its pages, so one thread takes them all where that
  // leaves enough to share out: it finds in cache what was fetched along with the head before.
  const int num_tasks = static_cast<int>(attention_tasks_.size());
  const int num_heads = shape_.num_kv_heads;
  const int heads_per_task = num_tasks >= 4 * pool_.num_threads() ? num_heads : 1;
  const int tasks_per_row = num_heads / heads_per_task;
  const auto attend = [&](int index, int thread) {
    const AttentionTask& task = attention_tasks_[index / tasks_per_row];
    const int first_head = index % tasks_per_row * heads_per_task;
    for (int h = first_head; h < first_head + heads_per_task; ++h) {
      attend_task(y, q, layer, task, h, attention_scratch_[thread]);
    }
  };
  if (is_worth_sharing(work)) {
    pool_.run(num_tasks * tasks_per_row, attend);
  } else {
    for (int i = 0; i < num_tasks * tasks_per_row; ++i) attend(i, 0);
  }
}

void CpuBackend::attend_task(Matrix y, Matrix q, int layer, const AttentionTask& task, int kv_head,
                             AttentionScratch& scratch) {
  const int window = shape_.sliding_window;
  const auto first_key = [&](int position) {
    return window > 0 ? std::max(0, position - window + 1) : 0;
  };
  find_blocks(scratch.blocks, task.seq, layer, kv_head,
              first_key(batch_->positions[task.first_row]),
              batch_->positions[task.end_row - 1] + 1);

  const int num_blocks = static_cast<int>(scratch.blocks.size());
  scratch.reserve(num_blocks * kKvBlock, padded_head_dim_);
  const int heads_per_kv = shape_.num_heads / shape_.num_kv_heads;
  AttentionRow rows[kMaxAttentionRows];
  AttentionArgs args{.blocks = scratch.blocks.data(),
                     .num_blocks = num_blocks,
                     .head_dim = shape_.head_dim,
                     .scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)),
                     .rows = rows,
                     .num_rows = 0,
                     .scores = scratch.scores(),
                     .sums = scratch.sums()};
  for (int t = task.first_row; t < task.end_row; ++t) {
    const int position = batch_->positions[t];
    for (int h = 0; h < heads_per_kv; ++h) {
      const int col = (kv_head * heads_per_kv + h) * shape_.head_dim;
      rows[args.num_rows++] = {row(q, t) + col, row(y, t) + col, first_key(position), position + 1};
      if (args.num_rows == kMaxAttentionRows) {
        kernels_.attention(args);
        args.num_rows = 0;
      }
    }
  }
  if (args.num_rows > 0) kernels_.attention(args);
}

// The blocks that hold keys [begin, end) of a sequence, from the block of `begin` on.
void CpuBackend::find_blocks(std::vector<KvBlock>& blocks, int seq, int layer, int kv_head,
                             int begin, int end) const {
  blocks.clear();
  const int page_size = shape_.page_size;
  const int32_t* pages = batch_->pages + batch_->page_start[seq];
  for (int first_key = begin; first_key < end;) {
    const int slot = first_key % page_size;
    const int block = slot / kKvBlock;
    first_key -= slot % kKvBlock;
    const int num_keys = std::min(kKvBlock, page_size - block * kKvBlock);
    const int page = pages[first_key / page_size];
    blocks.push_back({kv_block(page, layer, false, kv_head, block),
                      kv_block(page, layer, true, kv_head, block), first_key, num_keys});
    first_key += num_keys;
  }
}

void AttentionScratch::reserve(int num_keys, int width) {
  num_score_floats_ = static_cast<size_t>(kMaxAttentionRows) * num_keys;
  const size_t num_floats = num_score_floats_ + static_cast<size_t>(kMaxAttentionRows) * width;
  if (num_floats <= num_floats_) return;
  num_floats_ = std::max(num_floats, 2 * num_floats_);
  memory_ = allocate_aligned(num_floats_ * sizeof(float));
}

}  // namespace sgmv
