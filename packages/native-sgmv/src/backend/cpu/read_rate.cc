#include <algorithm>
#include <chrono>
#include <vector>

#include "backend/cpu/cpu_backend.h"

namespace sgmv {
namespace {

// More than most caches hold, little enough for a small machine.
constexpr size_t kReadBytes = 64 << 20;
constexpr int kNumReadings = 5;
constexpr int kNumTasks = 64;

}  // namespace

// The median of some readings of one block by all threads.
double CpuBackend::measure_read_rate() const {
  const std::vector<uint64_t> block(kReadBytes / sizeof(uint64_t), 1);
  const size_t words_each = block.size() / kNumTasks;
  std::vector<uint64_t> sums(kNumTasks);
  std::vector<double> rates;
  for (int reading = 0; reading < kNumReadings; ++reading) {
    const auto begin = std::chrono::steady_clock::now();
    pool_.run(kNumTasks, [&](int index, int /*thread*/) {
      const uint64_t* words = block.data() + index * words_each;
      uint64_t sum = 0;
      for (size_t i = 0; i < words_each; ++i) sum += words[i];
      sums[index] += sum;
    });
    const std::chrono::duration<double> duration = std::chrono::steady_clock::now() - begin;
    rates.push_back(kReadBytes / duration.count());
  }
  // The sums are looked at, so that they are made.
  const bool is_whole = std::ranges::all_of(sums, [](uint64_t sum) { return sum > 0; });
  std::ranges::nth_element(rates, rates.begin() + kNumReadings / 2);
  return is_whole ? rates[kNumReadings / 2] : 0;
}

}  // namespace sgmv
