#pragma once

#include <cstdint>

namespace sgmv {

// What SGMV computed for one module beside the dense product. It is still to be added to the
// product's outputs, by whoever reads these next: y + delta in f32 has the bits that SGMV leaves
// where it adds to y itself.
struct Delta {
  const float* values = nullptr;     // [rows, outputs of the module]; null: nothing is to be added
  int stride = 0;                    // of values
  const uint8_t* targets = nullptr;  // [rows]: with bit `module` where there are values
  int module = 0;                    // of the group
};

}  // namespace sgmv
