// From MLIR text to a stage, to LLVM IR, to an object, or to a program in memory.
#pragma once

#include "bpt/Engine/EmulatorOptions.h"
#include "bpt/Runtime/Program.h"
#include "bpt/Transforms/Transforms.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include <memory>
#include <string>
#include <vector>

namespace bpt {

/// What the code is for.
enum class Target { Reference, CPU, Emulator, CUDA };
/// `reference`, `cpu`, `emulator` or `cuda`; exit 2 naming what is supported for anything else.
Expected<Target> parseTarget(llvm::StringRef name);

/// Whether the code is kernels for a GPU, real or emulated.
inline bool hasKernels(Target target) { return target == Target::Emulator || target == Target::CUDA; }
llvm::StringRef getTargetName(Target target);

/// The stage called `name`; exit 2 with the list of names.
Expected<Stage> parseStage(llvm::StringRef name);
llvm::StringRef getStageName(Stage stage);

/// Whether what the backward needs much later waits in host memory; only for targets with kernels.
enum class Offload { Auto, No, Yes };
/// `auto`, `true` or `false`; exit 2 for another name, and for `true` with a target that computes in host memory.
Expected<Offload> parseOffload(llvm::StringRef name, Target target);

/// Whether `level` of CompileOptions::optLevel is one for the target; exit 2 if not: only the CPU's code has two.
Status checkOptLevel(int64_t level, Target target);

/// Whether a program that was compiled with Offload::Yes has something in host memory.
bool offloadsAnything(const Manifest &manifest);
/// What a user is told where it has not.
inline constexpr const char *idleOffloadWarning =
    "warning: --offload=true moves nothing: no buffer of 256 KiB or more rests while three layers run";

struct PolicyCost; // bpt/Runtime/TrainPlan.h

struct CompileOptions {
  Target target = Target::CPU;
  std::string cpu = "native";       ///< see TargetInfo::get; `native` includes matrix tiles where they pay
  std::vector<std::string> entries; ///< functions to compile; empty: every public function
  int64_t memory = 0;               ///< bytes the arena may have; 0: any
  int64_t threads = 1;              ///< threads the budget is checked for
  int optLevel = 2;                 ///< 1: made fast rather than fast, with the same results; so is the reference
  bool profile = false;             ///< code reports to the runtime where its time goes (CPU only)
  Offload offload = Offload::Auto;  ///< Auto: as formGradientEntry chooses, else no
  std::string keptActivations;      ///< what layers keep for their backward, for the manifest; empty: not recorded
  /// Of Target::Emulator; null: the defaults. Loaded programs read them at each launch.
  std::shared_ptr<EmulatorOptions> emulator;
  std::string dumpStagesTo; ///< folder that gets <number>-<stage>.mlir; empty: none
};

/// Owns the context with every dialect bpt knows. Diagnostics go to stderr with the line they are about, and the first
/// error of each call is the returned message.
class Compiler {
public:
  Compiler();
  ~Compiler();
  mlir::MLIRContext &getContext() { return *context; }

  /// Reads a module from a file, `-` is standard input. Errors: exit 5 when it cannot be read, exit 1 when it is not
  /// valid IR.
  Expected<mlir::OwningOpRef<mlir::ModuleOp>> read(const std::string &path);
  /// Runs a textual pass pipeline, `builtin.module(...)`.
  Status runPipeline(mlir::ModuleOp module, llvm::StringRef pipeline);
  /// Where the one entry of `options` is `f.grad` and the module has only `f`: forms blocks and the gradient. For a
  /// *graph*, with the policy (kept activations, segments) that is fastest among those whose plan fits into
  /// options.memory (0: nine tenths of what is free) with options.threads, or the smallest; options.offload becomes
  /// what was chosen. `considered` gets the policies that were tried, from the fastest on.
  Status formGradientEntry(mlir::OwningOpRef<mlir::ModuleOp> &module, CompileOptions &options,
                           std::vector<PolicyCost> *considered = nullptr);
  /// Keeps `options.entries` as the public functions and drops what they do not use. Exit 1 with the nearest name for
  /// an unknown entry.
  Status selectEntries(mlir::ModuleOp module, const CompileOptions &options);
  /// Lowers in place, from *step* or *buffers* up to `last`. Exit 4 when a plan is over the budget.
  Status lower(mlir::ModuleOp module, const CompileOptions &options, Stage last = Stage::LLVM);
  /// The description of a module lowered to *buffers* or further.
  Expected<Manifest> getManifest(mlir::ModuleOp module, const CompileOptions &options);
  /// Translates a module in the LLVM dialect for `options.cpu`.
  Expected<std::unique_ptr<llvm::Module>> translate(mlir::ModuleOp module, llvm::LLVMContext &llvmContext,
                                                    const CompileOptions &options);
  /// Optimises a translated module as a whole.
  void optimize(llvm::Module &module, const CompileOptions &options);
  /// Machine code of an optimised module: the bytes of an object file.
  Expected<std::string> emitObject(llvm::Module &module, const CompileOptions &options);
  /// The same as assembly text, with LLVM's remarks on what went to the stack.
  Expected<std::string> emitAssembly(llvm::Module &module, const CompileOptions &options);
  /// Optimises a translated module (consumed) and gives its machine code as object files that belong together: parts of
  /// a large module are compiled on several threads. The same bytes whatever the machine.
  Expected<std::vector<std::string>> emitObjects(llvm::Module &module, const CompileOptions &options);
  /// Lowers `module` (consumed) and loads it into this process.
  Expected<Program> load(mlir::ModuleOp module, const CompileOptions &options);

private:
  Status runPasses(mlir::ModuleOp module, llvm::function_ref<void(mlir::OpPassManager &)> build);
  std::unique_ptr<mlir::MLIRContext> context;
};

/// Adds the manifest as the data symbols `bpt_manifest` and `bpt_manifest_size`.
void embedManifest(llvm::Module &module, const Manifest &manifest);
/// Links object files into a shared library with the system's linker (ld.lld, ld or cc). Exit 1 when none is found,
/// exit 5 when the file cannot be written.
Status linkSharedObject(const std::vector<std::string> &objects, const std::string &path);

} // namespace bpt
