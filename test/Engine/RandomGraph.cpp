#include "RandomGraph.h"
#include <vector>

namespace {

class Builder {
public:
  Builder(uint32_t family, uint32_t seed, std::string name) : random(family), name(std::move(name)) {
    element = std::vector<std::string>{"f32", "f64", "bf16"}[family % 3];
    batch = 1 + draw(2);
    rows = std::vector<int>{1, 8, 13, 24}[draw(4)];
    heads = 1 << draw(3);
    width = heads * (draw(2) ? 4 : 6);
    activation = tensor({batch, rows, width});
    random.seed(seed);
  }

  RandomGraph build() {
    values.push_back(argument("x", activation));
    for (int op = 0, count = 1 + draw(3); op < count; ++op)
      values.push_back(addOp());
    std::string passes;
    if (draw(2)) {
      const char *strategies[] = {"vanilla", "memory-efficient", "blockwise"},
                 *keeps[] = {"input", "attention", "qkv", "all"};
      passes = "bpt-form-blocks{function=" + name + " strategy=" + strategies[draw(3)] + " keep=" + keeps[draw(4)] +
               " block=" + std::to_string(draw(2) ? 8 : 64) + "},";
    } else if (draw(3) == 0) {
      passes = "bpt-form-blocks{function=" + name + " heads=1 block=8},";
    }
    return {"func.func @" + name + "(" + arguments + ") -> " + activation + " {\n  %zero = arith.constant 0.0 : " +
                element + "\n" + body + "  return " + values.back() + " : " + activation + "\n}\n",
            passes + "bpt-differentiate{function=" + name + "}"};
  }

private:
  /// One of 0 .. n-1. std::uniform_int_distribution differs between libraries.
  int draw(int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); }
  const std::string &any() { return values[static_cast<size_t>(draw(static_cast<int>(values.size())))]; }

  std::string tensor(const std::vector<int> &shape, const std::string &of = "") const {
    std::string text = "tensor<";
    for (int size : shape)
      text += std::to_string(size) + "x";
    return text + (of.empty() ? element : of) + ">";
  }

  std::string argument(const std::string &what, const std::string &type) {
    std::string value = "%" + what + std::to_string(next++);
    arguments += (arguments.empty() ? "" : ", ") + value + ": " + type;
    return value;
  }
  /// ` what(%w : type)` of a new parameter.
  std::string parameter(const std::string &what, const std::vector<int> &shape) {
    std::string type = tensor(shape);
    return " " + what + "(" + argument(what, type) + " : " + type + ")";
  }

  std::string add(const std::string &type, const std::string &text) {
    std::string value = "%" + std::to_string(next++) + "v";
    value = "%v" + value.substr(1, value.size() - 2);
    body += "  " + value + " = " + text + "\n";
    return value;
  }
  std::string empty(const std::string &type) { return add(type, "tensor.empty() : " + type); }
  /// `op ins(value) rest outs(empty) -> type`
  std::string addRowOp(const std::string &op, const std::string &value, const std::string &rest,
                       const std::string &type) {
    std::string out = empty(type);
    return add(type, op + " ins(" + value + " : " + type + ")" + rest + " outs(" + out + " : " + type + ") -> " + type);
  }

  std::string addOp() {
    switch (draw(8)) {
    case 0:
      return addRowOp("bpt.layer_norm {eps = 1.0e-5 : f64}", any(),
                      parameter("weight", {width}) + parameter("bias", {width}), activation);
    case 1:
      return addRowOp("bpt.rms_norm {eps = 1.0e-6 : f64}", any(), draw(2) ? parameter("weight", {width}) : "",
                      activation);
    case 2:
      return addProduct(any());
    case 3: {
      std::string a = any(), b = any(), out = empty(activation);
      return add(activation, std::string(draw(2) ? "linalg.add" : "linalg.mul") + " ins(" + a + ", " + b + " : " +
                                 activation + ", " + activation + ") outs(" + out + " : " + activation + ") -> " +
                                 activation);
    }
    case 4:
      return addFeedForward();
    case 5:
      return addRowOp("bpt.dropout {probability = 0.25 : f64, stream = " + std::to_string(next) + " : i64}", any(),
                      " seed(" + argument("seed", "tensor<i64>") + " : tensor<i64>)", activation);
    default:
      return addAttention();
    }
  }

  std::string addProduct(const std::string &value) {
    std::string weight = tensor({width, width}), w = argument("w", weight);
    std::string out = add(activation, "linalg.fill ins(%zero : " + element + ") outs(" + empty(activation) + " : " +
                                          activation + ") -> " + activation);
    return add(
        activation,
        "linalg.contract indexing_maps = [affine_map<(b, s, n, k) -> (b, s, k)>, affine_map<(b, s, n, k) -> (k, n)>, "
        "affine_map<(b, s, n, k) -> (b, s, n)>] ins(" +
            value + ", " + w + " : " + activation + ", " + weight + ") outs(" + out + " : " + activation + ") -> " +
            activation);
  }

  std::string addFeedForward() {
    const char *activations[] = {"gelu_tanh", "gelu_erf", "relu", "silu", "identity"};
    int hidden = draw(2) ? 5 : 40;
    std::string rest = parameter("up", {width, hidden});
    if (draw(2))
      rest += parameter("gate", {width, hidden});
    rest += parameter("down", {hidden, width});
    return addRowOp(std::string("bpt.feed_forward {activation = #bpt.activation<") + activations[draw(5)] + ">}", any(),
                    rest, activation);
  }

  std::string addAttention() {
    std::string type = tensor({batch, rows, heads, width / heads}),
                statistics = tensor({batch, heads, rows}, element == "f64" ? "f64" : "f32");
    std::string operands[3];
    for (std::string &operand : operands) {
      operand = draw(2) ? addProduct(any()) : any();
      operand = add(type, "tensor.expand_shape " + operand + " [[0], [1], [2, 3]] output_shape [" +
                              std::to_string(batch) + ", " + std::to_string(rows) + ", " + std::to_string(heads) +
                              ", " + std::to_string(width / heads) + "] : " + activation + " into " + type);
      if (&operand < operands + 2 && draw(3) == 0)
        operand = addRowOp("bpt.rotary {theta = 10000.0 : f64}", operand, "", type);
    }
    const char *masks[] = {"#bpt.full", "#bpt.causal", "#bpt.sliding_window<3>", "#bpt.prefix<2>"};
    bool drops = draw(3) == 0;
    std::string attributes = std::string("{mask = ") + masks[draw(4)] + ", scale = 0.5 : f64" +
                             (drops ? ", dropout = 0.125 : f64" : "") + "}";
    std::string seed = drops ? " seed(" + argument("seed", "tensor<i64>") + " : tensor<i64>)" : "";
    std::string out = empty(type), lse = empty(statistics);
    std::string both =
        add(type, "bpt.attention " + attributes + " ins(" + operands[0] + ", " + operands[1] + ", " + operands[2] +
                      " : " + type + ", " + type + ", " + type + ")" + seed + " outs(" + out + ", " + lse + " : " +
                      type + ", " + statistics + ") -> " + type + ", " + statistics);
    // Two results: the name stands for both.
    body.replace(body.rfind("  " + both + " = "), both.size() + 5, "  " + both + ":2 = ");
    std::string merged =
        add(activation, "tensor.collapse_shape " + both + "#0 [[0], [1], [2, 3]] : " + type + " into " + activation);
    return draw(2) ? addProduct(merged) : merged;
  }

  std::mt19937 random;
  std::string name, element, activation, arguments, body;
  std::vector<std::string> values;
  int batch, rows, heads, width, next = 0;
};

} // namespace

RandomGraph makeRandomGraph(uint32_t family, uint32_t seed, const std::string &name) {
  return Builder(family, seed, name).build();
}
