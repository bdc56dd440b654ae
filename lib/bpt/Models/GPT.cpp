// GPT-2: parameters in the order and layout of Hugging Face's GPT2LMHeadModel, weights [in, out].
#include "Builder.h"
#include "bpt/Models/Models.h"
#include <cmath>

using namespace mlir;

namespace bpt {
namespace {
constexpr double layerNormEps = 1e-5;
constexpr double rotaryTheta = 10000;

class GPTBuilder {
public:
  GPTBuilder(MLIRContext *context, const GPTOptions &options)
      : options(options), embed(options.embed), hidden(options.hidden ? options.hidden : 4 * options.embed),
        graph(context, options.dtype,
              {options.batch, options.context, embed, options.heads, options.heads, options.vocab}) {}

  OwningOpRef<ModuleOp> build() {
    declareParameters();
    graph.begin(options.dropout);
    Value x = graph.embedding("transformer.wte");
    if (options.position == "learned")
      x = graph.addPositions(x, "transformer.wpe");
    x = graph.dropout(x, "drop");
    for (int64_t layer = 0; layer != options.layers; ++layer)
      x = buildLayer(x, "transformer.h." + std::to_string(layer) + ".");
    x = graph.layerNorm(x, "transformer.ln_f", layerNormEps);
    return graph.finish(graph.crossEntropy(x, options.tied ? "transformer.wte" : "lm_head"));
  }

private:
  void declareNorm(const std::string &name) {
    graph.declareOnes(name + ".weight", {embed});
    if (options.bias)
      graph.declareZeros(name + ".bias", {embed});
  }
  void declareLinear(const std::string &name, int64_t in, int64_t out, double std) {
    graph.declareNormal(name + ".weight", {in, out}, std);
    if (options.bias)
      graph.declareZeros(name + ".bias", {out});
  }
  void declareParameters() {
    // Projections into the residual stream are scaled by the number of residual additions (Radford et al. 2019, 2.3).
    constexpr double std = 0.02;
    double residual = std / std::sqrt(2.0 * options.layers);
    graph.declareNormal("transformer.wte.weight", {options.vocab, embed}, std);
    if (options.position == "learned")
      graph.declareNormal("transformer.wpe.weight", {options.context, embed}, std);
    for (int64_t layer = 0; layer != options.layers; ++layer) {
      std::string prefix = "transformer.h." + std::to_string(layer) + ".";
      declareNorm(prefix + "ln_1");
      declareLinear(prefix + "attn.c_attn", embed, 3 * embed, std);
      declareLinear(prefix + "attn.c_proj", embed, embed, residual);
      declareNorm(prefix + "ln_2");
      declareLinear(prefix + "mlp.c_fc", embed, hidden, std);
      declareLinear(prefix + "mlp.c_proj", hidden, embed, residual);
    }
    declareNorm("transformer.ln_f");
    if (!options.tied)
      graph.declareNormal("lm_head.weight", {options.vocab, embed}, std);
  }

  Value buildLayer(Value x, const std::string &prefix) {
    Value normed = graph.layerNorm(x, prefix + "ln_1", layerNormEps);
    Value fused = graph.linear(normed, prefix + "attn.c_attn", /*transposed=*/false);
    auto head = [&](int64_t third, const std::string &name) {
      Value columns = graph.slice(fused, third * embed, embed, name + ".columns");
      Value heads = graph.splitHeads(columns, options.heads, name);
      bool turned = options.position == "rotary" && third < 2;
      return turned ? graph.rotary(heads, rotaryTheta, name + ".rotary") : heads;
    };
    Value q = head(0, prefix + "attn.q"), k = head(1, prefix + "attn.k"), v = head(2, prefix + "attn.v");
    Value mixed = graph.mergeHeads(graph.attention(q, k, v, prefix + "attn"), prefix + "attn.merged");
    mixed = graph.linear(mixed, prefix + "attn.c_proj", /*transposed=*/false);
    mixed = graph.dropout(mixed, prefix + "attn.resid_dropout");
    x = graph.add(x, mixed, prefix + "attn.residual");

    normed = graph.layerNorm(x, prefix + "ln_2", layerNormEps);
    Value mlp = graph.feedForward(normed, prefix + "mlp.c_fc", "", prefix + "mlp.c_proj", Activation::GeluTanh,
                                  /*transposed=*/false, prefix + "mlp");
    mlp = graph.dropout(mlp, prefix + "mlp.dropout");
    return graph.add(x, mlp, prefix + "mlp.residual");
  }

  const GPTOptions &options;
  int64_t embed, hidden;
  GraphBuilder graph;
};
} // namespace

OwningOpRef<ModuleOp> buildGPT(MLIRContext *context, const GPTOptions &options) {
  if (std::optional<std::string> mistake = findMistake(options)) {
    emitError(UnknownLoc::get(context)) << *mistake;
    return nullptr;
  }
  return GPTBuilder(context, options).build();
}

} // namespace bpt
