// What the LoRA work of one decode step is to reach on an H100 80GB, in milliseconds.
#pragma once

#include <string>

namespace sgmv {

struct Goal {
  const char* mix;
  int batch;
  int rank;
  double ms;
};
constexpr Goal kGoals[] = {{"distinct", 32, 16, 1.3}, {"uniform", 32, 16, 0.7},
                           {"skewed", 32, 16, 0.7},   {"identical", 32, 16, 0.6},
                           {"distinct", 64, 16, 2.4}, {"distinct", 32, 64, 4.2},
                           {"distinct", 64, 64, 8.2}};

inline double goal_of(const std::string& mix, int batch, int rank) {
  for (const Goal& goal : kGoals) {
    if (mix == goal.mix && batch == goal.batch && rank == goal.rank) return goal.ms;
  }
  return 0;
}

}  // namespace sgmv
