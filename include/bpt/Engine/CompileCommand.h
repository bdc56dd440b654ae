// What bpt-compile does, without its command line.
#pragma once

#include "bpt/Engine/Compiler.h"

namespace bpt {
struct CompileCommand {
  std::string input;            ///< .mlir file, `-` is standard input
  std::string output = "-";     ///< `-` is standard output (text only)
  std::string emit = "so";      ///< mlir | llvm | asm | obj | so
  std::string stopAfter = "llvm"; ///< last stage, for emit=mlir
  CompileOptions options;
};
/// Compiles and writes. Exit codes as in DESIGN 6; nothing is left at `output` when it fails.
Status runCompileCommand(const CompileCommand &command);
} // namespace bpt
