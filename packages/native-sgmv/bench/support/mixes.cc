#include "support/mixes.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace sgmv {

std::vector<int> requests_by_adapter(const std::string& mix, int num_requests) {
  if (mix == "base" || mix == "identical") return {num_requests};
  if (mix == "distinct") return std::vector<int>(num_requests, 1);
  std::vector<int> counts;
  if (mix == "uniform") {
    const int num_adapters = static_cast<int>(std::ceil(std::sqrt(num_requests)));
    for (int i = 0; i < num_adapters; ++i) counts.push_back((num_requests + i) / num_adapters);
    return counts;
  }
  if (mix != "skewed") throw std::invalid_argument("there is no mix " + mix);
  int left = num_requests;
  for (double count = 1; left > 0; count *= 1.5) {
    counts.push_back(std::min(left, static_cast<int>(count)));
    left -= counts.back();
  }
  return counts;
}

}  // namespace sgmv
