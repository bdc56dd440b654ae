// What bpt-run does, without its command line: compile one function in memory, run it, compare it with the oracle.
#pragma once

#include "bpt/Engine/Compiler.h"
#include "bpt/Runtime/RunCommand.h"

namespace bpt {
struct SessionRequest {
  std::string input;                    ///< .mlir file, `-` is standard input
  bool check = false;                   ///< also run the reference in f64
  bool naive = false;                   ///< with check: also the error of the reference in the program's own types
  std::string runs;                     ///< file with the arguments of many runs to check (`readRuns`); empty: one run
  std::string emulatorMode = "eager";   ///< eager | random | late | all (with check: the worst of them is reported)
  int64_t emulatorSeed = 1;             ///< of the mode random
  std::string emulatorCode = "emitted"; ///< or optimized: as NVPTX leaves it
  CompileOptions options;
  RunRequest run;
};
/// Prints on standard output, warnings and errors on standard error after `tool`; returns the exit code.
int runSession(const std::string &tool, const SessionRequest &request);

/// Turns every floating-point type of `module` (graph .. step) into f64, so that its reference is exact to f64.
void promoteToF64(mlir::ModuleOp module);
} // namespace bpt
