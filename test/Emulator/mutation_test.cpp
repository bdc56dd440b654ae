// The proof of the emulator: mistakes made on purpose in the kernels that bpt emits are reported, or give results that
// are wrong by more than four times the tolerance.
#include "MutationSubject.h"
#include <cstdio>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace bpt::test {
namespace {

/// Seconds of a core a mutant may take: the slowest take two. One that does not end would hang the GPU.
constexpr rlim_t mostSeconds = 20;
/// Mutants of a kind in a kernel.
constexpr size_t eachKind = 1;

/// `text` with the types of queries ($X), of keys and values ($Y) and of the statistics of a query ($L), and the mask
/// ($M).
std::string fill(std::string text, const std::string &queries, const std::string &keys, const std::string &statistics,
                 const std::string &mask) {
  for (auto [name, value] :
       {std::pair("$X", &queries), std::pair("$Y", &keys), std::pair("$L", &statistics), std::pair("$M", &mask)})
    for (size_t at; (at = text.find(name)) != std::string::npos;)
      text.replace(at, 2, *value);
  return text;
}

const char *const attention = R"(
func.func @f(%q: $X, %k: $Y, %v: $Y) -> ($X, $L) {
  %offset = arith.constant 13 : index
  %o = tensor.empty() : $X
  %l = tensor.empty() : $L
  %out, %lse = bpt.attention {mask = $M, scale = 0.1 : f64} ins(%q, %k, %v : $X, $Y, $Y) offset(%offset)
    outs(%o, %l : $X, $L) -> $X, $L
  return %out, %lse : $X, $L
})";

const char *const attentionGradient = R"(
func.func @f(%do: $X, %q: $X, %k: $X, %v: $X, %o: $X, %l: $L, %a: $X, %b: $X, %c: $X) -> ($X, $X, $X) {
  %dq, %dk, %dv = bpt.attention_grad {mask = $M, scale = 0.1 : f64} cotangent(%do : $X)
    ins(%q, %k, %v, %o, %l : $X, $X, $X, $X, $L) outs(%a, %b, %c : $X, $X, $X) -> $X, $X, $X
  return %dq, %dk, %dv : $X, $X, $X
})";

const char *const product = R"(
func.func @f(%a: tensor<200x456xbf16>, %b: tensor<456x320xbf16>) -> tensor<200x320xbf16> {
  %zero = arith.constant 0.0 : bf16
  %empty = tensor.empty() : tensor<200x320xbf16>
  %c = linalg.fill ins(%zero : bf16) outs(%empty : tensor<200x320xbf16>) -> tensor<200x320xbf16>
  %d = linalg.matmul ins(%a, %b : tensor<200x456xbf16>, tensor<456x320xbf16>)
    outs(%c : tensor<200x320xbf16>) -> tensor<200x320xbf16>
  return %d : tensor<200x320xbf16>
})";

const char *const norm = R"(
func.func @f(%dy: tensor<40x96xf32>, %x: tensor<40x96xf32>, %w: tensor<96xf32>, %b: tensor<96xf32>,
             %dx: tensor<40x96xf32>, %dw: tensor<96xf32>, %db: tensor<96xf32>)
             -> (tensor<40x96xf32>, tensor<96xf32>, tensor<96xf32>) {
  %a, %c, %d = bpt.layer_norm_grad {eps = 1.0e-5 : f64} cotangent(%dy : tensor<40x96xf32>) ins(%x : tensor<40x96xf32>)
    weight(%w : tensor<96xf32>) bias(%b : tensor<96xf32>)
    outs(%dx, %dw, %db : tensor<40x96xf32>, tensor<96xf32>, tensor<96xf32>)
    -> tensor<40x96xf32>, tensor<96xf32>, tensor<96xf32>
  return %a, %c, %d : tensor<40x96xf32>, tensor<96xf32>, tensor<96xf32>
})";

/// Sizes: several turns of each ring, several tiles of a block, and edges in every dim.
std::vector<SubjectSource> getSources() {
  auto type = [](const char *shape, const char *element) { return std::string("tensor<") + shape + element + ">"; };
  return {
      {"causal attention",
       fill(attention, type("1x400x1x128x", "bf16"), type("1x396x1x128x", "bf16"), type("1x1x400x", "f32"),
            "#bpt.causal"),
       {"attention"},
       true},
      {"full attention",
       fill(attention, type("1x447x1x64x", "bf16"), type("1x447x1x64x", "bf16"), type("1x1x447x", "f32"), "#bpt.full"),
       {"attention"},
       true},
      {"causal attention's gradient",
       fill(attentionGradient, type("1x456x1x64x", "bf16"), "", type("1x1x456x", "f32"), "#bpt.causal"),
       {"attention_grad"},
       false},
      {"product", product, {"contraction"}, true},
      {"layer norm's gradient", norm, {""}, false}};
}

/// Mutants that change nothing, with the reason.
struct Equivalent {
  const char *subject, *kind, *place, *reason;
};
const std::vector<Equivalent> equivalents = {
    {"causal attention", "drop a wgmma fence", "#1",
     "the fence that is tied to the registers stands before it, and nothing is written in between"},
    {"full attention", "drop a wgmma fence", "#1",
     "the fence that is tied to the registers stands before it, and nothing is written in between"},
    {"causal attention", "meet at the next named barrier", "#1",
     "one place, where the threads of a warpgroup meet, and nobody has the next number"},
    {"full attention", "meet at the next named barrier", "#1",
     "one place, where the threads of a warpgroup meet, and nobody has the next number"},
    {"causal attention", "arrive at the next named barrier", "#0",
     "the other warpgroup goes first; their order is for speed only"},
    {"full attention", "arrive at the next named barrier", "#0",
     "the other warpgroup goes first; their order is for speed only"},
    {"full attention", "a tile at the edge is not masked", "#1",
     "the last keys come first, before the loop over the other tiles"},
    {"causal attention's gradient", "drop a wgmma fence", "#1",
     "the fence of the products before stands before it, and nothing is written in between"},
    {"causal attention's gradient", "drop a wgmma commit", "#2",
     "its products join the next group, which the same wait ends"},
    {"causal attention's gradient", "meet at the next named barrier", "#1",
     "one place, where all threads meet, and nobody has the next number"},
    {"causal attention's gradient", "edge of the mask off by one", "sgt",
     "keys behind the last are zeros, and what they get is not stored"},
    {"causal attention's gradient", "shuffle from another lane", "#0",
     "20 for 16: steps of 20, 8, 4, 2 and 1 reach all lanes as well"},
    {"layer norm's gradient", "drop a barrier of the warp", "#0", "it stands before the first access to memory"}};

const Equivalent *getEquivalent(const Mutant &mutant) {
  for (const Equivalent &known : equivalents)
    if (mutant.kind == known.kind && (known.subject[0] == 0 || mutant.subject == known.subject) &&
        (known.place[0] == 0 || mutant.place == known.place))
      return &known;
  return nullptr;
}

/// Runs a mutant in a process of its own; where its outcome comes from.
std::pair<pid_t, int> start(MutationSubject &subject, const Mutant &mutant) {
  int ends[2];
  if (pipe(ends))
    std::abort();
  std::fflush(stdout);
  pid_t process = fork();
  if (process == 0) {
    rlimit limit{mostSeconds, RLIM_INFINITY};
    setrlimit(RLIMIT_CPU, &limit);
    std::string outcome = subject.run(mutant);
    bool written = write(ends[1], outcome.data(), outcome.size()) == ssize_t(outcome.size());
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  return {process, ends[0]};
}

std::string finish(int from, int status) {
  char text[4096];
  ssize_t length = read(from, text, sizeof text);
  close(from);
  if (WIFSIGNALED(status))
    return WTERMSIG(status) == SIGXCPU ? "does not end" : "crashes the emulator";
  return std::string(text, size_t(std::max<ssize_t>(length, 0)));
}

/// As many at a time as there are processors.
void runAll(MutationSubject &subject, std::vector<Mutant> &mutants) {
  struct Running {
    Mutant *mutant;
    int from;
  };
  std::map<pid_t, Running> running;
  size_t next = 0, most = std::max(1u, std::thread::hardware_concurrency());
  while (next < mutants.size() || !running.empty()) {
    if (next < mutants.size() && running.size() < most) {
      auto [process, from] = start(subject, mutants[next]);
      running[process] = {&mutants[next++], from};
      continue;
    }
    int status;
    pid_t process = waitpid(-1, &status, 0);
    auto found = running.find(process);
    if (found == running.end())
      continue;
    found->second.mutant->outcome = finish(found->second.from, status);
    running.erase(found);
  }
}

TEST(Mutation, MistakesInKernelsAreFound) {
  size_t counted = 0, caught = 0;
  for (SubjectSource &source : getSources()) {
    MutationSubject subject(source);
    ASSERT_EQ(subject.getFailure(), "") << source.name;
    std::vector<Mutant> mutants = subject.listMutants(eachKind);
    EXPECT_FALSE(mutants.empty()) << source.name;
    runAll(subject, mutants);
    for (const Mutant &mutant : mutants) {
      const Equivalent *equivalent = getEquivalent(mutant);
      std::string name = mutant.subject + ", " + mutant.kernel + ": " + mutant.kind + " " + mutant.place;
      std::printf("%-100s %s\n", name.c_str(),
                  mutant.isCaught() ? mutant.outcome.c_str()
                  : equivalent      ? (std::string("changes nothing: ") + equivalent->reason).c_str()
                                    : "NOT FOUND");
      std::fflush(stdout);
      if (equivalent) {
        EXPECT_FALSE(mutant.isCaught()) << name << " is said to change nothing, but: " << mutant.outcome;
        continue;
      }
      ++counted;
      caught += mutant.isCaught();
    }
  }
  std::printf("%zu mutants, %zu found\n", counted, caught);
  EXPECT_GE(counted, 60u);
  EXPECT_GE(double(caught), 0.95 * double(counted));
}

} // namespace
} // namespace bpt::test
