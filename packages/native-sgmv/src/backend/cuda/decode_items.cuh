#pragma once

#include "backend/cuda/decode_tile.cuh"

// The work of decode attention, and the tiles that a warp needs for its share of it.

namespace sgmv {

constexpr int kStages = 2;  // tiles that a warp keeps in flight

// One chunk of keys, for one tile of the query heads of one KV head of one sequence. The chunks of
// the same queries follow each other.
struct Item {
  int index;  // of all items
  AttentionSequence sequence;
  int sequence_index;
  int kv_head;
  int tile;
  int chunk;  // of num_chunks
  int num_chunks;
  int first_key;
  int end_key;

  // The items of the same queries.
  __device__ int first() const { return index - chunk; }
  __device__ int end() const { return first() + num_chunks; }
};

class Items {
 public:
  __device__ explicit Items(const AttentionArgs& args)
      : args_(args),
        tiles_(args.num_heads / args.kv.num_kv_heads),
        count_(*args.num_tasks * args.kv.num_kv_heads * tiles_.count) {}

  __device__ int count() const { return count_; }
  __device__ const QueryTiles& tiles() const { return tiles_; }

  __device__ Item at(int index) const {
    Item item;
    item.index = index;
    const int per_chunk = args_.kv.num_kv_heads * tiles_.count;
    item.sequence_index = find_sequence(args_.sequences, *args_.num_sequences, index / per_chunk);
    item.sequence = args_.sequences[item.sequence_index];
    const int context_len = item.sequence.context_len;
    const int visible = first_visible(context_len - 1, args_.sliding_window);
    const int first_chunk = visible / kChunkKeys;
    item.num_chunks = (context_len + kChunkKeys - 1) / kChunkKeys - first_chunk;
    const int in_sequence = index - item.sequence.first_task * per_chunk;
    item.chunk = in_sequence % item.num_chunks;
    item.tile = in_sequence / item.num_chunks % tiles_.count;
    item.kv_head = in_sequence / item.num_chunks / tiles_.count;
    const int first_key = (first_chunk + item.chunk) * kChunkKeys;
    item.first_key = max(first_key, visible / kDecodeKeys * kDecodeKeys);
    item.end_key = min(first_key + kChunkKeys, context_len);
    return item;
  }

  // Where the share of the `part`-th of `num_parts` begins. Queries of two chunks are not divided,
  // since adding up the sums of two warps costs them more than a chunk more or less.
  __device__ int begin_of(int part, int num_parts) const {
    const int begin = static_cast<int>(int64_t{part} * count_ / num_parts);
    if (begin == count_) return begin;
    const Item item = at(begin);
    return item.num_chunks == 2 ? item.first() : begin;
  }

 private:
  const AttentionArgs& args_;
  QueryTiles tiles_;
  int count_;
};

// Runs ahead of the sums and keeps the warp's ring of tiles full.
template <int kDim>
class TileStream {
 public:
  // Of the items [begin, end).
  __device__ TileStream(const AttentionArgs& args, const Items& items, uint32_t ring, int begin,
                        int end)
      : args_(args), items_(items), ring_(ring), index_(begin), end_(end) {
    if (index_ < end_) begin_item();
#pragma unroll 1
    for (int i = 0; i < kStages; ++i) refill();
  }

  // The shared address of the oldest tile, once it has arrived.
  __device__ uint32_t front() const {
    wait_copies<kStages - 1>();
    __syncwarp();
    return ring_ + slot_ * kTileBytes<kDim, kDecodeKeys>;
  }

  // Gives the place of the oldest tile to the next.
  __device__ void pop() {
    __syncwarp();
    refill();
  }

 private:
  __device__ void begin_item() {
    item_ = items_.at(index_);
    key_ = item_.first_key;
  }

  __device__ void refill() {
    const int lane = threadIdx.x % kWarpSize;
    if (index_ >= end_) {
      asm volatile("cp.async.commit_group;" ::: "memory");
    } else {
      // All but the last token were written by earlier steps.
      if (key_ + kDecodeKeys >= item_.sequence.context_len) wait_for_previous_kernels();
      start_tile<kDim, kDecodeKeys>(ring_ + slot_ * kTileBytes<kDim, kDecodeKeys>, args_.kv,
                                    args_.pages + item_.sequence.first_page, key_, item_.end_key,
                                    args_.layer, item_.kv_head, 0, kDecodeKeys, lane);
      key_ += kDecodeKeys;
      if (key_ >= item_.end_key) {
        if (++index_ < end_) begin_item();
      }
    }
    slot_ = slot_ + 1 == kStages ? 0 : slot_ + 1;
  }

  const AttentionArgs& args_;
  const Items& items_;
  uint32_t ring_;
  int index_;
  int end_;
  Item item_;
  int key_ = 0;
  int slot_ = 0;  // the oldest, which is the next to be filled
};

}  // namespace sgmv
