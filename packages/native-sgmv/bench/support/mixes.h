#pragma once

#include <string>
#include <vector>

namespace sgmv {

// The paper's four popularities of adapters, after the base model alone.
inline const std::vector<std::string> kMixes = {"base", "identical", "uniform", "skewed",
                                                "distinct"};

// How many of `num_requests` use each adapter: distinct, one each; uniform, ceil(sqrt(n)) adapters
// alike; skewed, each adapter has 1.5 times the requests of the one before it; identical and base,
// all the same. (Punica, section 7; skewed is "Zipf-1.5" there, and geometric.)
std::vector<int> requests_by_adapter(const std::string& mix, int num_requests);

}  // namespace sgmv
