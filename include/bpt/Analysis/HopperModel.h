// What the Hopper kernels should reach, from their tiles and schedules alone: cycles of a tile by resource, time of a
// whole problem. No GPU is asked; performance.md, A4 has the arithmetic.
//
// Assumptions, each of which a run on hardware may refute:
//  * An SM does 4096 bf16 FLOP, 16 exponentials, 128 FP32 or integer lanes and 128 bytes of shared memory a cycle (the
//    first from 989.4 TFLOP/s of 132 SMs at 1.83 GHz; the others from the CUDA programming guide, arithmetic
//    throughput).
//  * Work of different units overlaps fully where the schedule lets it, and not at all where a wait stands between.
//  * Handing the tensor cores over (a named barrier, a fence, the first product's latency) costs 64 cycles; a barrier
//    of two warpgroups with what they wrote 96; a shuffle 24.
//  * Power: products run at no more than 788 TFLOP/s (measured on an H200 with random data, cuBLAS, 8192 cubed), since
//    the clock falls. Other arithmetic takes part of the power: 5 pJ a lane and instruction, where a FLOP of a product
//    takes 0.76 pJ (600 W above idle / 788 TFLOP/s). Traffic takes none beyond the GEMM's, which moves more bytes a
//    FLOP.
//  * It is an upper estimate. FlashAttention-3's published figures on an H100 (D 128, 16k: 648 TFLOP/s forward, 561
//    backward) are 0.87 and 0.73 of what this gives for kernels of its structure: latencies that no unit's rate shows
//    are left out, most of them in the gradient.
//  * A launch costs 3 us; the L2 cache gives an SM 64 bytes a cycle, and what a tile loads is there.
#pragma once

#include "bpt/Analysis/HopperTiles.h"

namespace bpt {

/// Cycles an SM's units are busy for one step of a kernel, and what the step takes with its schedule.
struct HopperStepCycles {
  double tensor = 0;
  double exponentials = 0;
  double lanes = 0;        ///< FP32 and integer instructions
  double sharedReads = 0;  ///< operands of products
  double sharedWrites = 0; ///< by the TMA unit and by threads, and what the TMA unit reads back
  double l2 = 0;
  double total = 0; ///< of the step
  double edge = 0;  ///< of a tile besides its steps: what begins and ends it
  /// FLOP of the step's products, and instructions of lanes: what takes power.
  double flops = 0, instructions = 0;
};

/// One block of keys for all queries of a tile.
HopperStepCycles getForwardStep(const HopperAttentionTiles &tiles);
/// One block of queries for all keys of a tile.
HopperStepCycles getGradientStep(const HopperAttentionTiles &tiles);
/// One step over the summed dim.
HopperStepCycles getGemmStep(const HopperGemmTiles &tiles);

/// A whole problem.
struct HopperPrediction {
  HopperStepCycles step;
  double seconds = 0;
  double teraflops = 0;     ///< model FLOPs (visible scores) a second
  double cyclesSeconds = 0; ///< were there power enough for 1.83 GHz
  double powerSeconds = 0;  ///< were there SMs enough
  double use = 0;           ///< of the SMs by their tiles, in time
};

/// Attention, or its gradient, of `heads` planes of `length` queries and keys; `causal` halves the visible scores.
HopperPrediction predictAttention(const HopperAttentionTiles &tiles, bool isGradient, bool causal, int64_t length,
                                  int64_t heads);
/// C (rows x columns) = A B, summed over `depth`.
HopperPrediction predictGemm(const HopperGemmTiles &tiles, int64_t rows, int64_t columns, int64_t depth);

} // namespace bpt
