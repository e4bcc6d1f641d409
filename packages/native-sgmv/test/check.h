#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

// Ends the test with file and line if `condition` does not hold.
#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                      \
    }                                                                                    \
  } while (0)
