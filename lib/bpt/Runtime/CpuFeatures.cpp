// Does this processor, and the operating system on it, have what the code was compiled for? Asked before the code runs,
// so that a wrong machine is a message and never an illegal instruction. Bits: Intel SDM vol. 2A "CPUID", AMD APM vol.
// 3 app. E; names: LLVM's TargetParser/Host.cpp.
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/MatrixTiles.h"
#include "bpt/Runtime/Program.h"
#include <fmt/format.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace bpt {

namespace {

#if defined(__x86_64__)

enum Register { EAX, EBX, ECX, EDX };

/// What the operating system must save on a context switch for the feature to be usable: bits of XCR0.
enum SavedState : uint64_t { None = 0, Avx = 0x6, Avx512 = 0xe6, Amx = 0x60000, Apx = 0x80000 };

struct FeatureBit {
  std::string_view name;
  uint32_t leaf;
  uint32_t subleaf;
  Register reg;
  int bit;
  SavedState state = None;
};

constexpr FeatureBit featureBits[] = {
    {"cx8", 1, 0, EDX, 8},
    {"cmov", 1, 0, EDX, 15},
    {"mmx", 1, 0, EDX, 23},
    {"fxsr", 1, 0, EDX, 24},
    {"sse", 1, 0, EDX, 25},
    {"sse2", 1, 0, EDX, 26},
    {"sse3", 1, 0, ECX, 0},
    {"pclmul", 1, 0, ECX, 1},
    {"ssse3", 1, 0, ECX, 9},
    {"fma", 1, 0, ECX, 12, Avx},
    {"cx16", 1, 0, ECX, 13},
    {"sse4.1", 1, 0, ECX, 19},
    {"sse4.2", 1, 0, ECX, 20},
    {"crc32", 1, 0, ECX, 20},
    {"movbe", 1, 0, ECX, 22},
    {"popcnt", 1, 0, ECX, 23},
    {"aes", 1, 0, ECX, 25},
    {"xsave", 1, 0, ECX, 27},
    {"avx", 1, 0, ECX, 28, Avx},
    {"f16c", 1, 0, ECX, 29, Avx},
    {"rdrnd", 1, 0, ECX, 30},
    {"fsgsbase", 7, 0, EBX, 0},
    {"sgx", 7, 0, EBX, 2},
    {"bmi", 7, 0, EBX, 3},
    {"avx2", 7, 0, EBX, 5, Avx},
    {"bmi2", 7, 0, EBX, 8},
    {"invpcid", 7, 0, EBX, 10},
    {"rtm", 7, 0, EBX, 11},
    {"avx512f", 7, 0, EBX, 16, Avx512},
    {"evex512", 7, 0, EBX, 16, Avx512},
    {"avx512dq", 7, 0, EBX, 17, Avx512},
    {"rdseed", 7, 0, EBX, 18},
    {"adx", 7, 0, EBX, 19},
    {"avx512ifma", 7, 0, EBX, 21, Avx512},
    {"clflushopt", 7, 0, EBX, 23},
    {"clwb", 7, 0, EBX, 24},
    {"avx512cd", 7, 0, EBX, 28, Avx512},
    {"sha", 7, 0, EBX, 29},
    {"avx512bw", 7, 0, EBX, 30, Avx512},
    {"avx512vl", 7, 0, EBX, 31, Avx512},
    {"avx512vbmi", 7, 0, ECX, 1, Avx512},
    {"pku", 7, 0, ECX, 4},
    {"waitpkg", 7, 0, ECX, 5},
    {"avx512vbmi2", 7, 0, ECX, 6, Avx512},
    {"shstk", 7, 0, ECX, 7},
    {"gfni", 7, 0, ECX, 8},
    {"vaes", 7, 0, ECX, 9, Avx},
    {"vpclmulqdq", 7, 0, ECX, 10, Avx},
    {"avx512vnni", 7, 0, ECX, 11, Avx512},
    {"avx512bitalg", 7, 0, ECX, 12, Avx512},
    {"avx512vpopcntdq", 7, 0, ECX, 14, Avx512},
    {"rdpid", 7, 0, ECX, 22},
    {"kl", 7, 0, ECX, 23},
    {"cldemote", 7, 0, ECX, 25},
    {"movdiri", 7, 0, ECX, 27},
    {"movdir64b", 7, 0, ECX, 28},
    {"enqcmd", 7, 0, ECX, 29},
    {"uintr", 7, 0, EDX, 5},
    {"avx512vp2intersect", 7, 0, EDX, 8, Avx512},
    {"serialize", 7, 0, EDX, 14},
    {"tsxldtrk", 7, 0, EDX, 16},
    {"pconfig", 7, 0, EDX, 18},
    {"amx-bf16", 7, 0, EDX, 22, Amx},
    {"avx512fp16", 7, 0, EDX, 23, Avx512},
    {"amx-tile", 7, 0, EDX, 24, Amx},
    {"amx-int8", 7, 0, EDX, 25, Amx},
    {"sha512", 7, 1, EAX, 0, Avx},
    {"sm3", 7, 1, EAX, 1, Avx},
    {"sm4", 7, 1, EAX, 2, Avx},
    {"raoint", 7, 1, EAX, 3},
    {"avxvnni", 7, 1, EAX, 4, Avx},
    {"avx512bf16", 7, 1, EAX, 5, Avx512},
    {"cmpccxadd", 7, 1, EAX, 7},
    {"amx-fp16", 7, 1, EAX, 21, Amx},
    {"hreset", 7, 1, EAX, 22},
    {"avxifma", 7, 1, EAX, 23, Avx},
    {"movrs", 7, 1, EAX, 31},
    {"avxvnniint8", 7, 1, EDX, 4, Avx},
    {"avxneconvert", 7, 1, EDX, 5, Avx},
    {"amx-complex", 7, 1, EDX, 8, Amx},
    {"avxvnniint16", 7, 1, EDX, 10, Avx},
    {"prefetchi", 7, 1, EDX, 14},
    {"usermsr", 7, 1, EDX, 15},
    {"avx10.1", 7, 1, EDX, 19, Avx512},
    {"avx10.1-512", 7, 1, EDX, 19, Avx512},
    {"egpr", 7, 1, EDX, 21, Apx},
    {"push2pop2", 7, 1, EDX, 21, Apx},
    {"ppx", 7, 1, EDX, 21, Apx},
    {"ndd", 7, 1, EDX, 21, Apx},
    {"ccmp", 7, 1, EDX, 21, Apx},
    {"nf", 7, 1, EDX, 21, Apx},
    {"cf", 7, 1, EDX, 21, Apx},
    {"zu", 7, 1, EDX, 21, Apx},
    {"xsaveopt", 0xd, 1, EAX, 0},
    {"xsavec", 0xd, 1, EAX, 1},
    {"xsaves", 0xd, 1, EAX, 3},
    {"ptwrite", 0x14, 0, EBX, 4},
    {"widekl", 0x19, 0, EBX, 2},
    {"amx-fp8", 0x1e, 1, EAX, 4, Amx},
    {"amx-tf32", 0x1e, 1, EAX, 6, Amx},
    {"amx-avx512", 0x1e, 1, EAX, 7, Amx},
    {"amx-movrs", 0x1e, 1, EAX, 8, Amx},
    {"sahf", 0x80000001, 0, ECX, 0},
    {"lzcnt", 0x80000001, 0, ECX, 5},
    {"sse4a", 0x80000001, 0, ECX, 6},
    {"prfchw", 0x80000001, 0, ECX, 8},
    {"xop", 0x80000001, 0, ECX, 11, Avx},
    {"lwp", 0x80000001, 0, ECX, 15},
    {"fma4", 0x80000001, 0, ECX, 16, Avx},
    {"tbm", 0x80000001, 0, ECX, 21},
    {"mwaitx", 0x80000001, 0, ECX, 29},
    {"64bit", 0x80000001, 0, EDX, 29},
    {"clzero", 0x80000008, 0, EBX, 0},
    {"rdpru", 0x80000008, 0, EBX, 4},
    {"wbnoinvd", 0x80000008, 0, EBX, 9},
};

/// LLVM also calls "features" what only steers its choice among instructions every processor has.
bool isTuning(std::string_view name) {
  for (std::string_view prefix : {"prefer-",     "fast-",
                                  "faster-",     "slow-",
                                  "false-deps-", "use-",
                                  "no-",         "tuning-",
                                  "allow-",      "idiv",
                                  "lea-",        "sbb-",
                                  "macrofusion", "branch",
                                  "pad-",        "vzeroupper",
                                  "ermsb",       "fsrm",
                                  "nopl",        "x87",
                                  "64bit-mode",  "sse-unaligned-mem"})
    if (name.substr(0, prefix.size()) == prefix)
      return true;
  return false;
}

uint64_t savedStates() {
  uint32_t a, b, c, d;
  constexpr uint32_t osxsave = 1u << 27;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave))
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

bool hasFeature(const FeatureBit &feature, uint64_t states) {
  uint32_t registers[4];
  if (!__get_cpuid_count(feature.leaf, feature.subleaf, &registers[EAX], &registers[EBX], &registers[ECX],
                         &registers[EDX]))
    return false;
  bool isThere = (registers[feature.reg] >> feature.bit & 1) && (states & feature.state) == feature.state;
  // The state of tiles is large: Linux saves it for those who ask.
  return isThere && (feature.state != Amx || requestMatrixTiles());
}

enum class Answer { Present, Missing, Unknown };

Answer ask(std::string_view name) {
  static const uint64_t states = savedStates();
  for (const FeatureBit &feature : featureBits)
    if (feature.name == name)
      return hasFeature(feature, states) ? Answer::Present : Answer::Missing;
  return isTuning(name) ? Answer::Present : Answer::Unknown;
}

#else

enum class Answer { Present, Missing, Unknown };
Answer ask(std::string_view) { return Answer::Unknown; }

#endif

} // namespace

Status checkCpuFeatures(const std::vector<std::string> &features) {
  std::vector<std::string> missing, unknown;
  for (const std::string &feature : features) {
    if (feature.empty() || feature.front() == '-')
      continue; // switched off: needs nothing
    std::string name = feature.front() == '+' ? feature.substr(1) : feature;
    Answer answer = ask(name);
    if (answer != Answer::Present)
      (answer == Answer::Missing ? missing : unknown).push_back(name);
  }
  const char *remedy =
      "compile for this machine with bpt-compile --cpu=native, or with --cpu=x86-64-v3 or --cpu=x86-64";
  if (!missing.empty())
    return badInput(
        fmt::format("the code needs CPU features this machine lacks: {}; {}", fmt::join(missing, ", "), remedy));
  if (!unknown.empty())
    return badInput(fmt::format("the code needs CPU features this runtime cannot check: {}; {}",
                                inQuotes(fmt::format("{}", fmt::join(unknown, ", "))), remedy));
  return {};
}

} // namespace bpt
