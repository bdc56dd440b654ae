// Loss graphs of language models: options, presets, builders. Names and layouts of parameters are those of the Hugging
// Face state dicts, so that a checkpoint of one is a checkpoint of the other.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bpt {
/// GPT-2 (Radford et al. 2019): layer norm, learned positions, gelu_tanh, eps 1e-5. The defaults are the preset
/// byte-small.
struct GPTOptions {
  int64_t layers = 4;
  int64_t heads = 4;
  int64_t embed = 128;
  /// 0: 4 embed.
  int64_t hidden = 0;
  int64_t vocab = 256;
  int64_t context = 128;
  int64_t batch = 8;
  std::string dtype = "f32";
  double dropout = 0;
  /// learned | rotary (theta 10000).
  std::string position = "learned";
  /// The loss uses the token embedding instead of lm_head.weight.
  bool tied = true;
  /// Biases of products and layer norms.
  bool bias = true;
};

/// Llama (Touvron et al. 2023): RMS norm, rotary positions, SwiGLU, grouped key/value heads, no biases.
struct LlamaOptions {
  int64_t layers = 4;
  int64_t heads = 4;
  /// 0: as many as heads.
  int64_t kvHeads = 0;
  int64_t embed = 128;
  /// 0: 8/3 embed, rounded up to a multiple of 256.
  int64_t hidden = 0;
  int64_t vocab = 256;
  int64_t context = 128;
  int64_t batch = 8;
  std::string dtype = "f32";
  double ropeTheta = 10000;
  double normEps = 1e-6;
};

/// Calls `visit(flag, field, help)` for every option, in the order of --help: command lines, TOML keys and bindings
/// come from this list.
template <typename Visitor> void visitOptions(GPTOptions &options, Visitor &&visit) {
  visit("layers", options.layers, "number of layers");
  visit("heads", options.heads, "attention heads; divides --embed");
  visit("embed", options.embed, "width of the model");
  visit("hidden", options.hidden, "width of the feed-forward hidden; 0: 4 times --embed");
  visit("vocab", options.vocab, "size of the vocabulary");
  visit("context", options.context, "tokens in a sequence");
  visit("batch", options.batch, "sequences in a batch");
  visit("dtype", options.dtype, "f32 | bf16 | f16 | f64");
  visit("dropout", options.dropout, "probability of dropout of attention, residuals and embedding, in [0, 1)");
  visit("position", options.position, "learned | rotary");
  visit("tied", options.tied, "true | false: the loss uses the token embedding");
  visit("bias", options.bias, "true | false: biases of products and norms");
}
template <typename Visitor> void visitOptions(LlamaOptions &options, Visitor &&visit) {
  visit("layers", options.layers, "number of layers");
  visit("heads", options.heads, "query heads; divides --embed");
  visit("kv-heads", options.kvHeads, "key/value heads; divides --heads; 0: as many as --heads");
  visit("embed", options.embed, "width of the model");
  visit("hidden", options.hidden, "width of the feed-forward hidden; 0: 8/3 of --embed, up to a multiple of 256");
  visit("vocab", options.vocab, "size of the vocabulary");
  visit("context", options.context, "tokens in a sequence");
  visit("batch", options.batch, "sequences in a batch");
  visit("dtype", options.dtype, "f32 | bf16 | f16 | f64");
  visit("rope-theta", options.ropeTheta, "base of the rotary frequencies");
  visit("norm-eps", options.normEps, "epsilon of the RMS norms");
}

/// Names of the presets of a model, smallest first.
std::vector<std::string> getPresetNames(const GPTOptions &);
std::vector<std::string> getPresetNames(const LlamaOptions &);

/// Sets what the preset fixes (all sizes but batch, and position, tied and bias). Returns what is wrong with `name`, if
/// anything, with the nearest known name.
std::optional<std::string> applyPreset(llvm::StringRef name, GPTOptions &options);
std::optional<std::string> applyPreset(llvm::StringRef name, LlamaOptions &options);

/// What is wrong with the options, if anything: "expected X, but got Y" with the flag to change.
std::optional<std::string> findMistake(const GPTOptions &options);
std::optional<std::string> findMistake(const LlamaOptions &options);

/// The width `hidden` = 0 stands for.
int64_t getDefaultHidden(const LlamaOptions &options);

/// A module with `@loss(parameters.., tokens, targets[, seed]) -> loss` (DESIGN 6: bpt-gen) in the stage *graph*, or
/// null after emitting findMistake(options) as an error. Loads the dialects it needs.
mlir::OwningOpRef<mlir::ModuleOp> buildGPT(mlir::MLIRContext *context, const GPTOptions &options);
mlir::OwningOpRef<mlir::ModuleOp> buildLlama(mlir::MLIRContext *context, const LlamaOptions &options);

/// Prints the module with parameters and activations under their names.
void printModel(mlir::ModuleOp module, llvm::raw_ostream &os);
} // namespace bpt
