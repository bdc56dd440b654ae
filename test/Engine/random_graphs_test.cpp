// Two hundred random programs, with their gradients: what the plan says is what is allocated, and nothing outside it is
// touched.
#include "RandomGraph.h"
#include "bpt/Engine/Compiler.h"
#include "bpt/Runtime/Random.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr int Modules = 10, GraphsOfModule = 20;

/// Memory whose end is the end of what may be touched: the page behind it is not there, what is before it is watched.
class GuardedMemory {
public:
  explicit GuardedMemory(int64_t bytes) : size(bytes), page(::getpagesize()) {
    mapped = (bytes + page - 1) / page * page + 2 * page;
    base = static_cast<uint8_t *>(::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_EQ(::mprotect(base + mapped - page, page, PROT_NONE), 0);
    std::memset(base, Watched, data() - base);
  }
  ~GuardedMemory() { ::munmap(base, mapped); }
  GuardedMemory(const GuardedMemory &) = delete;
  uint8_t *data() const { return base + mapped - page - size; }
  bool isWatchedWhole() const {
    return std::all_of(base, data(), [](uint8_t byte) { return byte == Watched; });
  }

private:
  static constexpr uint8_t Watched = 0xA5;
  int64_t size, page, mapped;
  uint8_t *base;
};

std::vector<bpt::Tensor> makeArguments(const bpt::EntryInfo &info, uint64_t seed) {
  std::vector<bpt::Tensor> arguments;
  for (const bpt::ArgumentInfo &argument : info.arguments) {
    arguments.push_back(bpt::Tensor::allocate(argument.type, argument.shape).take());
    if (argument.type == bpt::DataType::I64)
      *arguments.back().as<int64_t>() = 7;
    else
      bpt::fillNormal(arguments.back(), seed, static_cast<uint32_t>(arguments.size()));
  }
  return arguments;
}

std::string bytesOf(const std::vector<bpt::Tensor> &tensors) {
  std::string bytes;
  for (const bpt::Tensor &tensor : tensors)
    bytes.append(tensor.as<char>(), static_cast<size_t>(tensor.bytes()));
  return bytes;
}

/// Runs in exactly the planned bytes, which hold `fill` before.
std::string runGuarded(const bpt::Program &program, const std::string &name, const std::vector<bpt::Tensor> &arguments,
                       const std::vector<bpt::Shape> &shapes, int64_t bytes, uint8_t fill) {
  GuardedMemory memory(bytes);
  std::memset(memory.data(), fill, bytes);
  bpt::Entry entry = program.entry(name).take();
  bpt::PrepareOptions options{2, bytes, std::make_shared<bpt::Arena>(bpt::Arena::borrow(memory.data(), bytes))};
  EXPECT_TRUE(entry.prepare(shapes, options)) << name;
  auto results = entry.run(arguments);
  EXPECT_TRUE(results) << name;
  EXPECT_TRUE(memory.isWatchedWhole()) << name << " writes before its arena";
  return results ? bytesOf(*results) : "";
}

void checkEntry(const bpt::Program &program, const bpt::EntryInfo &info, uint64_t seed) {
  std::vector<bpt::Tensor> arguments = makeArguments(info, seed);
  std::vector<bpt::Shape> shapes;
  for (const bpt::ArgumentInfo &argument : info.arguments)
    shapes.push_back(argument.shape);
  bpt::resetPeakAllocatedBytes();
  int64_t before = bpt::allocatedBytes();
  bpt::Entry entry = program.entry(info.name).take();
  ASSERT_TRUE(entry.prepare(shapes, {2, 0, nullptr})) << info.name;
  const bpt::Plan &plan = entry.plan();
  auto results = entry.run(arguments);
  ASSERT_TRUE(results) << info.name << ": " << results.error().message;
  EXPECT_EQ(bpt::peakAllocatedBytes() - before, plan.arenaBytes) << info.name << ": allocated is not what was planned";
  EXPECT_GE(plan.arenaBytes, plan.lowerBound) << info.name;
  int64_t end = 0;
  for (const bpt::PlannedSlot &slot : plan.slots)
    end = std::max(end, slot.offset + slot.bytes);
  EXPECT_LE(end, plan.arenaBytes) << info.name;
  EXPECT_GT(end, plan.arenaBytes - 64) << info.name << ": the arena is larger than its last slot and its alignment";
  std::string expected = bytesOf(*results);
  for (uint8_t fill : {0x00, 0xFF}) // the latter are NaNs: what is read before it is written shows
    EXPECT_EQ(runGuarded(program, info.name, arguments, shapes, plan.arenaBytes, fill), expected)
        << info.name << " depends on what its arena held before";
}

class RandomGraphs : public testing::TestWithParam<int> {};

TEST_P(RandomGraphs, AllocateWhatWasPlanned) {
  bpt::Compiler compiler;
  std::string text, passes;
  bpt::CompileOptions options;
  options.threads = 2;
  options.optLevel = 1;
  for (int i = 0; i < GraphsOfModule; ++i) {
    std::string name = "g" + std::to_string(i);
    RandomGraph graph = makeRandomGraph(static_cast<uint32_t>(GetParam()),
                                        static_cast<uint32_t>(GetParam() * GraphsOfModule + i), name);
    text += graph.text;
    passes += (passes.empty() ? "" : ",") + graph.passes;
    options.entries.push_back(name + ".grad");
  }
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &compiler.getContext());
  ASSERT_TRUE(module) << text;
  bpt::Status formed = compiler.runPipeline(*module, "builtin.module(" + passes + ")");
  ASSERT_TRUE(formed) << formed.error().message << "\n" << text;
  ASSERT_TRUE(compiler.selectEntries(*module, options));
  bpt::Expected<bpt::Program> program = compiler.load(*module, options);
  ASSERT_TRUE(program) << program.error().message << "\n" << text;
  ASSERT_EQ(program->manifest().entries.size(), static_cast<size_t>(GraphsOfModule));
  for (const bpt::EntryInfo &info : program->manifest().entries)
    checkEntry(*program, info, static_cast<uint64_t>(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, testing::Range(0, Modules));

} // namespace
