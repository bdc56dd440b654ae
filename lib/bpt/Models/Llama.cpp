// Llama: parameters in the order and layout of Hugging Face's LlamaForCausalLM, weights [out, in].
#include "Builder.h"
#include "bpt/Models/Models.h"

using namespace mlir;

namespace bpt {
namespace {
class LlamaBuilder {
public:
  LlamaBuilder(MLIRContext *context, const LlamaOptions &options)
      : options(options), embed(options.embed), groups(options.kvHeads ? options.kvHeads : options.heads),
        hidden(options.hidden ? options.hidden : getDefaultHidden(options)),
        graph(context, options.dtype, {options.batch, options.context, embed, options.heads, groups, options.vocab}) {}

  OwningOpRef<ModuleOp> build() {
    declareParameters();
    graph.begin(/*dropout=*/0);
    Value x = graph.embedding("model.embed_tokens");
    for (int64_t layer = 0; layer != options.layers; ++layer)
      x = buildLayer(x, "model.layers." + std::to_string(layer) + ".");
    x = graph.rmsNorm(x, "model.norm", options.normEps);
    return graph.finish(graph.crossEntropy(x, "lm_head"));
  }

private:
  void declareParameters() {
    constexpr double std = 0.02; // initializer_range of Hugging Face's LlamaConfig
    int64_t narrow = embed / options.heads * groups;
    graph.declareNormal("model.embed_tokens.weight", {options.vocab, embed}, std);
    for (int64_t layer = 0; layer != options.layers; ++layer) {
      std::string prefix = "model.layers." + std::to_string(layer) + ".";
      graph.declareNormal(prefix + "self_attn.q_proj.weight", {embed, embed}, std);
      graph.declareNormal(prefix + "self_attn.k_proj.weight", {narrow, embed}, std);
      graph.declareNormal(prefix + "self_attn.v_proj.weight", {narrow, embed}, std);
      graph.declareNormal(prefix + "self_attn.o_proj.weight", {embed, embed}, std);
      graph.declareNormal(prefix + "mlp.gate_proj.weight", {hidden, embed}, std);
      graph.declareNormal(prefix + "mlp.up_proj.weight", {hidden, embed}, std);
      graph.declareNormal(prefix + "mlp.down_proj.weight", {embed, hidden}, std);
      graph.declareOnes(prefix + "input_layernorm.weight", {embed});
      graph.declareOnes(prefix + "post_attention_layernorm.weight", {embed});
    }
    graph.declareOnes("model.norm.weight", {embed});
    graph.declareNormal("lm_head.weight", {options.vocab, embed}, std);
  }

  Value buildLayer(Value x, const std::string &prefix) {
    Value normed = graph.rmsNorm(x, prefix + "input_layernorm", options.normEps);
    auto project = [&](int64_t heads, const std::string &name) {
      Value columns = graph.linear(normed, prefix + "self_attn." + name + "_proj", /*transposed=*/true);
      return graph.splitHeads(columns, heads, prefix + "self_attn." + name);
    };
    Value q = graph.rotary(project(options.heads, "q"), options.ropeTheta, prefix + "self_attn.q.rotary");
    Value k = graph.rotary(project(groups, "k"), options.ropeTheta, prefix + "self_attn.k.rotary");
    Value v = project(groups, "v");
    Value mixed = graph.mergeHeads(graph.attention(q, k, v, prefix + "self_attn"), prefix + "self_attn.merged");
    mixed = graph.linear(mixed, prefix + "self_attn.o_proj", /*transposed=*/true);
    x = graph.add(x, mixed, prefix + "self_attn.residual");

    normed = graph.rmsNorm(x, prefix + "post_attention_layernorm", options.normEps);
    Value mlp = graph.feedForward(normed, prefix + "mlp.up_proj", prefix + "mlp.gate_proj", prefix + "mlp.down_proj",
                                  Activation::Silu, /*transposed=*/true, prefix + "mlp");
    return graph.add(x, mlp, prefix + "mlp.residual");
  }

  const LlamaOptions &options;
  int64_t embed, groups, hidden;
  GraphBuilder graph;
};
} // namespace

OwningOpRef<ModuleOp> buildLlama(MLIRContext *context, const LlamaOptions &options) {
  if (std::optional<std::string> mistake = findMistake(options)) {
    emitError(UnknownLoc::get(context)) << *mistake;
    return nullptr;
  }
  return LlamaBuilder(context, options).build();
}

} // namespace bpt
