// Random graphs of bpt ops as text.
#pragma once
#include <cstdint>
#include <random>
#include <string>

/// A function on activations [B,S,E], with a parameter wherever an op takes one, and the passes that make its gradient.
struct RandomGraph {
  std::string text;   ///< `func.func @name(..)`
  std::string passes; ///< perhaps bpt-form-blocks, then bpt-differentiate: adds @name.grad
};

/// The graph of `seed`, called `name`, with the element type and the sizes of `family`: graphs of one family share
/// kernels. The same on every machine: only the numbers of std::mt19937 are used.
RandomGraph makeRandomGraph(uint32_t family, uint32_t seed, const std::string &name);
