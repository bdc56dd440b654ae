// Machines by name: vector width, registers, caches, feature strings.
#include "bpt/Analysis/TargetInfo.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"
#include <unistd.h>

using namespace llvm;

namespace bpt {

static void setFeatures(TargetInfo &target, function_ref<bool(StringRef)> has) {
  // Vectors of 512 bits are used only with everything the kernels need: masks on 8 and 16 bit lanes (BW) and shorter vectors (VL).
  target.hasAvx512 = has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512dq");
  target.roundsBfloat = target.hasAvx512 && has("avx512bf16");
  target.hasFma = has("fma");
  target.convertsHalf = has("f16c");
  bool avx2 = has("avx2") && target.hasFma;
  target.vectorBits = target.hasAvx512 ? 512 : avx2 ? 256 : 128;
  target.vectorRegisters = target.hasAvx512 ? 32 : 16;
  target.l2Bytes = target.hasAvx512 ? 1 << 20 : 512 << 10;
}

static TargetInfo getNative() {
  TargetInfo target;
  StringMap<bool> features = sys::getHostCPUFeatures();
  SmallVector<std::string> words;
  for (const auto &feature : features)
    if (!feature.getKey().starts_with("amx-")) // asked for by name
      words.push_back((Twine(feature.getValue() ? "+" : "-") + feature.getKey()).str());
  llvm::sort(words);
  target.cpu = sys::getHostCPUName().str();
  target.features = join(words, ",");
  setFeatures(target, [&](StringRef name) { return features.lookup(name); });
  if (long bytes = sysconf(_SC_LEVEL1_DCACHE_SIZE); bytes > 0)
    target.l1Bytes = bytes;
  if (long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE); bytes > 0)
    target.l2Bytes = bytes;
  return target;
}

/// Hopper. Warps share the second-level cache: blocks are small, so that there are many of them.
static TargetInfo getHopper() {
  TargetInfo target;
  target.cpu = "sm_90a";
  target.features = "+ptx84";
  target.vectorRegisters = 64;
  target.l1Bytes = target.l2Bytes = 64 << 10;
  target.hasFma = target.convertsHalf = target.roundsBfloat = target.hasWarps = true;
  return target;
}

std::optional<TargetInfo> TargetInfo::get(StringRef name) {
  if (name.consume_back("-amx"))
    return name.contains_insensitive("amx") ? std::nullopt : get(name);
  if (name.consume_back("+amx")) {
    std::optional<TargetInfo> target = get(name);
    if (!target || !target->hasAvx512)
      return std::nullopt;
    target->features += target->features.empty() ? "" : ",";
    target->features += "+avx512bf16,+amx-tile,+amx-bf16";
    target->hasMatrixTiles = target->roundsBfloat = true;
    return target;
  }
  if (name == "native")
    return getNative();
  if (name == "sm_90a")
    return getHopper();
  // The psABI levels imply their features; nothing is added to them.
  static const StringRef v3[] = {"avx2", "fma", "f16c"};
  static const StringRef v4[] = {"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512dq"};
  ArrayRef<StringRef> features;
  if (name == "x86-64-v4")
    features = v4;
  else if (name == "x86-64-v3")
    features = v3;
  else if (name != "x86-64")
    return std::nullopt;
  TargetInfo target;
  target.cpu = name.str();
  setFeatures(target, [&](StringRef feature) { return is_contained(features, feature); });
  return target;
}

StringRef TargetInfo::getKnownNames() {
  return "native, native+amx, native-amx, x86-64-v4, x86-64-v4+amx, x86-64-v3, x86-64, sm_90a";
}

} // namespace bpt
