#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define SGMV_HOST_DEVICE __host__ __device__
#else
#define SGMV_HOST_DEVICE
#endif

namespace sgmv {

struct Philox {
  uint32_t x[4];
};

// Philox4x32 with 10 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"):
// 128 random bits as a pure function of key and counter, the same on every backend.
SGMV_HOST_DEVICE inline Philox philox(uint64_t key, Philox counter) {
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
  Philox c = counter;
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c.x[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c.x[2];
    c = {{static_cast<uint32_t>(p1 >> 32) ^ c.x[1] ^ k0, static_cast<uint32_t>(p1),
          static_cast<uint32_t>(p0 >> 32) ^ c.x[3] ^ k1, static_cast<uint32_t>(p0)}};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// The uniform number in [0, 1), in steps of 2^-53, that chooses the token at `position` of a
// sequence sampled with `seed`. Nothing else of a step enters it, so neither the rest of the batch
// nor the node changes what is sampled.
SGMV_HOST_DEVICE inline double philox_uniform(uint64_t seed, int32_t position) {
  const Philox r = philox(seed, {{static_cast<uint32_t>(position), 0, 0, 0}});
  const uint64_t bits = (uint64_t{r.x[0]} << 32 | r.x[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace sgmv
