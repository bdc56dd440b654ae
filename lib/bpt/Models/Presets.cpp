// Presets and the validation of options.
#include "bpt/Models/Models.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <limits>

namespace bpt {

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;

//===-- Presets -------------------------------------------------------------------------------------------------===//

namespace {
struct Preset {
  StringRef name;
  int64_t layers, heads, embed, vocab, context;
  bool rotary; // and untied, without biases
};
// The byte-level ones are ours; GPT-2: Radford et al. 2019; gpt-1b to gpt-70b: Liu & Abbeel 2023, table 2, hidden = 4
// embed.
constexpr Preset presets[] = {
    {"byte-tiny", 2, 4, 64, 256, 64, false},          {"byte-small", 4, 4, 128, 256, 128, false},
    {"gpt2", 12, 12, 768, 50257, 1024, false},        {"gpt2-medium", 24, 16, 1024, 50257, 1024, false},
    {"gpt2-large", 36, 20, 1280, 50257, 1024, false}, {"gpt2-xl", 48, 25, 1600, 50257, 1024, false},
    {"gpt-1b", 24, 16, 2048, 50432, 16384, true},     {"gpt-3b", 32, 32, 2560, 50432, 16384, true},
    {"gpt-7b", 32, 32, 4096, 50432, 16384, true},     {"gpt-13b", 40, 40, 5120, 50432, 16384, true},
    {"gpt-30b", 48, 56, 7168, 50432, 16384, true},    {"gpt-70b", 80, 64, 8192, 50432, 16384, true},
};
/// The sizes that fit any architecture.
const ArrayRef<Preset> bytePresets = ArrayRef(presets).take_front(2);

std::vector<std::string> namesOf(ArrayRef<Preset> known) {
  std::vector<std::string> names;
  for (const Preset &preset : known)
    names.push_back(preset.name.str());
  return names;
}

/// Sets `found`, or says what is wrong with `name`.
std::optional<std::string> find(StringRef name, ArrayRef<Preset> known, const Preset *&found) {
  found = llvm::find_if(known, [&](const Preset &preset) { return preset.name == name; });
  if (found != known.end())
    return std::nullopt;
  const Preset *nearest = llvm::min_element(
      known, [&](const Preset &a, const Preset &b) { return a.name.edit_distance(name) < b.name.edit_distance(name); });
  std::string mistake =
      "expected --preset to be one of " + llvm::join(namesOf(known), ", ") + ", but got '" + name.str() + "'";
  if (nearest->name.edit_distance(name) <= 3)
    mistake += "; did you mean " + nearest->name.str();
  return mistake;
}

template <typename Options> void setSizes(const Preset &preset, Options &options) {
  options.layers = preset.layers;
  options.heads = preset.heads;
  options.embed = preset.embed;
  options.vocab = preset.vocab;
  options.context = preset.context;
}
} // namespace

std::vector<std::string> getPresetNames(const GPTOptions &) { return namesOf(presets); }
std::vector<std::string> getPresetNames(const LlamaOptions &) { return namesOf(bytePresets); }

std::optional<std::string> applyPreset(StringRef name, GPTOptions &options) {
  const Preset *preset;
  if (std::optional<std::string> mistake = find(name, presets, preset))
    return mistake;
  setSizes(*preset, options);
  options.hidden = 0;
  options.position = preset->rotary ? "rotary" : "learned";
  options.tied = options.bias = !preset->rotary;
  return std::nullopt;
}

std::optional<std::string> applyPreset(StringRef name, LlamaOptions &options) {
  const Preset *preset;
  if (std::optional<std::string> mistake = find(name, bytePresets, preset))
    return mistake;
  setSizes(*preset, options);
  options.kvHeads = 0;
  options.hidden = 4 * preset->embed;
  return std::nullopt;
}

int64_t getDefaultHidden(const LlamaOptions &options) { return llvm::alignTo(options.embed * 8 / 3, 256); }

//===-- Validation ----------------------------------------------------------------------------------------------===//

namespace {
using Mistake = std::optional<std::string>;

std::string expected(const Twine &what, const Twine &got) { return ("expected " + what + ", but got " + got).str(); }

Mistake findNonPositive(ArrayRef<std::pair<StringRef, int64_t>> sizes) {
  // Token ids and positions are i32; more layers than this is a slip of the finger, not a model.
  constexpr int64_t largest = std::numeric_limits<int32_t>::max(), mostLayers = 10000;
  for (auto [flag, size] : sizes) {
    int64_t limit = flag == "layers" ? mostLayers : largest;
    if (size <= 0 || size > limit)
      return expected("--" + flag + " from 1 to " + Twine(limit), Twine(size));
  }
  return std::nullopt;
}

Mistake findIndivisible(StringRef divisorFlag, int64_t divisor, StringRef flag, int64_t value) {
  if (value % divisor == 0)
    return std::nullopt;
  return expected("--" + divisorFlag + " to divide --" + flag + " = " + Twine(value), Twine(divisor));
}

Mistake findUnknown(StringRef flag, StringRef value, ArrayRef<StringRef> known) {
  if (llvm::is_contained(known, value))
    return std::nullopt;
  return expected("--" + flag + " to be " + llvm::join(known, ", "), "'" + value + "'");
}

/// The largest tensors must have sizes in bytes that fit 63 bits.
Mistake findOverflow(ArrayRef<std::pair<StringRef, ArrayRef<int64_t>>> tensors) {
  for (auto [name, shape] : tensors) {
    std::optional<int64_t> bytes = 8;
    for (int64_t size : shape)
      bytes = bytes ? llvm::checkedMul(*bytes, size) : bytes;
    if (!bytes)
      return expected("sizes whose tensors have fewer than 2^63 bytes", Twine(name) + " beyond that");
  }
  return std::nullopt;
}

/// What both models ask for.
template <typename Options> Mistake findCommonMistake(const Options &o) {
  if (Mistake mistake = findNonPositive({{"layers", o.layers},
                                         {"heads", o.heads},
                                         {"embed", o.embed},
                                         {"vocab", o.vocab},
                                         {"context", o.context},
                                         {"batch", o.batch}}))
    return mistake;
  if (o.hidden != 0)
    if (Mistake mistake = findNonPositive({{"hidden", o.hidden}}))
      return mistake;
  if (Mistake mistake = findIndivisible("heads", o.heads, "embed", o.embed))
    return mistake;
  return findUnknown("dtype", o.dtype, {"f32", "bf16", "f16", "f64"});
}
} // namespace

Mistake findMistake(const GPTOptions &o) {
  if (Mistake mistake = findCommonMistake(o))
    return mistake;
  if (Mistake mistake = findUnknown("position", o.position, {"learned", "rotary"}))
    return mistake;
  if (o.position == "rotary" && o.embed / o.heads % 2 != 0)
    return expected("--embed / --heads to be even with --position=rotary", Twine(o.embed / o.heads));
  if (!(o.dropout >= 0 && o.dropout < 1))
    return expected("--dropout from 0 to less than 1", std::to_string(o.dropout));
  int64_t hidden = o.hidden ? o.hidden : 4 * o.embed;
  return findOverflow({{"batch x context x 3 embed", {o.batch, o.context, 3, o.embed}},
                       {"batch x heads x context", {o.batch, o.heads, o.context}},
                       {"vocab x embed", {o.vocab, o.embed}},
                       {"embed x 3 embed", {3, o.embed, o.embed}},
                       {"embed x hidden", {o.embed, hidden}}});
}

Mistake findMistake(const LlamaOptions &o) {
  if (Mistake mistake = findCommonMistake(o))
    return mistake;
  if (o.kvHeads != 0) {
    if (Mistake mistake = findNonPositive({{"kv-heads", o.kvHeads}}))
      return mistake;
    if (Mistake mistake = findIndivisible("kv-heads", o.kvHeads, "heads", o.heads))
      return mistake;
  }
  if (o.embed / o.heads % 2 != 0)
    return expected("--embed / --heads to be even for rotary positions", Twine(o.embed / o.heads));
  if (!(std::isfinite(o.ropeTheta) && o.ropeTheta > 0))
    return expected("a finite --rope-theta > 0", std::to_string(o.ropeTheta));
  if (!(std::isfinite(o.normEps) && o.normEps > 0))
    return expected("a finite --norm-eps > 0", std::to_string(o.normEps));
  int64_t hidden = o.hidden ? o.hidden : getDefaultHidden(o);
  return findOverflow({{"batch x context x embed", {o.batch, o.context, o.embed}},
                       {"batch x heads x context", {o.batch, o.heads, o.context}},
                       {"vocab x embed", {o.vocab, o.embed}},
                       {"embed x embed", {o.embed, o.embed}},
                       {"hidden x embed", {hidden, o.embed}}});
}

} // namespace bpt
