#pragma once

namespace sgmv {

// Batches of more rows than this are not worth a graph.
constexpr int kMaxGraphRows = 256;

// The rows of the graph for a batch of num_rows: fine steps where a row is dear, coarse ones above.
// For more than kMaxGraphRows rows, as many as there are.
constexpr int graph_rows_for(int num_rows) {
  if (num_rows > kMaxGraphRows) return num_rows;
  const int step = num_rows <= 2    ? 1
                   : num_rows <= 4  ? 2
                   : num_rows <= 8  ? 4
                   : num_rows <= 64 ? 8
                                    : 32;
  return (num_rows + step - 1) / step * step;
}

}  // namespace sgmv
