// Named barriers and mbarriers: what they order, and their misuse.
#include "Harness.h"
#include <gtest/gtest.h>

using namespace bpt::emulator;
using namespace bpt::test;

namespace {

const char *const store =
    "  %p = getelementptr i32, ptr addrspace(3) @bpt_shared, i32 $tid\n  store i32 $tid, ptr addrspace(3) %p\n";
/// Loads what the thread 32 further on stored, in a block of 64.
const char *const loadOther =
    "  %q = xor i32 $tid, 32\n  %r = getelementptr i32, ptr addrspace(3) @bpt_shared, i32 %q\n"
    "  %v = load i32, ptr addrspace(3) %r\n  %o = getelementptr i32, ptr %out, i32 $tid\n"
    "  store i32 %v, ptr %o\n";

LaunchResult run64(const std::string &body, std::vector<int> *values = nullptr, Options options = inMode(Mode::Eager)) {
  Kernel kernel(kernelText("ptr %out", body + "  ret void\n"));
  std::vector<int> out(64);
  void *pointer = out.data();
  LaunchResult result = kernel.run({&pointer}, 64, 1024, options);
  if (values)
    *values = out;
  return result;
}

const char *const syncAll = "  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)\n";

/// Thread 0 initialises the mbarrier at shared + 512 for `count` arrivals; then all meet.
std::string initialise(int count, bool meet = true) {
  return "  %bar = getelementptr i8, ptr addrspace(3) @bpt_shared, i32 512\n  %first = icmp eq i32 $tid, 0\n"
         "  br i1 %first, label %init, label %ready\ninit:\n  call void @llvm.nvvm.mbarrier.init.shared(ptr "
         "addrspace(3) %bar, i32 " +
         std::to_string(count) + ")\n  br label %ready\nready:\n" + (meet ? syncAll : "");
}
const char *const arrive = "  %s = call i64 @llvm.nvvm.mbarrier.arrive.shared(ptr addrspace(3) %bar)\n";
std::string waitFor(int parity) {
  return "  call void asm sideeffect \"{ .reg .pred P1; LAB_WAIT: mbarrier.try_wait.parity.shared.b64 P1, [$0], $1, "
         "$2; @P1 bra.uni DONE; "
         "bra.uni LAB_WAIT; DONE: }\", \"r,n,n\"(ptr addrspace(3) %bar, i32 " +
         std::to_string(parity) + ", i32 1000)\n";
}

} // namespace

TEST(EmulatorBarrier, SyncOrdersSharedMemory) {
  for (const char *barrier : {syncAll, "  call void asm sideeffect \"bar.sync 3, 64;\", \"\"()\n",
                              "  call void @llvm.nvvm.barrier.cta.sync.count(i32 2, i32 64)\n"}) {
    std::vector<int> values;
    EXPECT_EQ(texts(run64(std::string(store) + barrier + loadOther, &values)), "");
    for (int i = 0; i < 64; ++i)
      EXPECT_EQ(values[i], i ^ 32);
  }
}

TEST(EmulatorBarrier, WithoutSyncItIsARace) {
  // In order of threads the first warp reads what nobody has written yet; in another order it would be a race.
  LaunchResult result = run64(std::string(store) + "  call void @llvm.nvvm.bar.warp.sync(i32 -1)\n" + loadOther);
  EXPECT_EQ(kinds(result), "UninitialisedRead DataRace");
}

TEST(EmulatorBarrier, AWriteThatOthersReadIsARace) {
  std::string body = std::string(store) + syncAll + loadOther + "  store i32 5, ptr addrspace(3) %p\n";
  EXPECT_EQ(kinds(run64(body)), "DataRace");
  EXPECT_EQ(texts(run64(std::string(store) + syncAll + loadOther + syncAll + "  store i32 5, ptr addrspace(3) %p\n")),
            "");
}

TEST(EmulatorBarrier, WarpSyncOrdersItsWarpOnly) {
  std::string other = "  %q = xor i32 $tid, 1\n  %r = getelementptr i32, ptr addrspace(3) @bpt_shared, i32 %q\n"
                      "  %v = load i32, ptr addrspace(3) %r\n";
  EXPECT_EQ(texts(run64(std::string(store) + "  call void @llvm.nvvm.bar.warp.sync(i32 -1)\n" + other)), "");
  // A shuffle makes the lanes meet but orders no memory.
  std::string shuffle = "  %x = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 0, i32 0, i32 31)\n";
  EXPECT_EQ(kinds(run64(store + shuffle + other)), "DataRace");
}

TEST(EmulatorBarrier, ArriveAndSync) {
  // The first warp arrives, the second waits and reads.
  std::string tail = "  %low = icmp ult i32 $tid, 32\n  br i1 %low, label %a, label %b\na:\n"
                     "  call void asm sideeffect \"bar.arrive $0, $1;\", \"n,n\"(i32 1, i32 64)\n  ret void\nb:\n"
                     "  call void asm sideeffect \"bar.sync $0, $1;\", \"n,n\"(i32 1, i32 64)\n";
  EXPECT_EQ(texts(run64(store + tail + loadOther)), "");
}

TEST(EmulatorBarrier, CountsAndIdsAreChecked) {
  EXPECT_EQ(kinds(run64("  call void @llvm.nvvm.barrier.cta.sync.count(i32 16, i32 64)\n")), "BarrierMisuse");
  EXPECT_EQ(kinds(run64("  call void @llvm.nvvm.barrier.cta.sync.count(i32 1, i32 48)\n")), "BarrierMisuse");
  EXPECT_EQ(kinds(run64("  call void @llvm.nvvm.barrier.cta.sync.count(i32 1, i32 96)\n")), "BarrierMisuse");
  // 64 here, 32 there.
  EXPECT_NE(kinds(run64("  %low = icmp ult i32 $tid, 32\n  %n = select i1 %low, i32 64, i32 32\n"
                        "  call void @llvm.nvvm.barrier.cta.sync.count(i32 1, i32 %n)\n"))
                .find("BarrierMisuse"),
            std::string::npos);
  std::string twice = "  %low = icmp ult i32 $tid, 32\n  br i1 %low, label %a, label %b\na:\n"
                      "  call void @llvm.nvvm.barrier.cta.arrive.count(i32 1, i32 96)\n"
                      "  call void @llvm.nvvm.barrier.cta.arrive.count(i32 1, i32 96)\n  br label %b\nb:\n";
  EXPECT_EQ(kinds(run64(twice)), "BarrierMisuse"); // 96 threads do not exist
}

TEST(EmulatorBarrier, ArrivingTwiceIsReported) {
  std::string arriveHere = "  call void @llvm.nvvm.barrier.cta.arrive.count(i32 1, i32 64)\n";
  std::string body = "  %low = icmp ult i32 $tid, 16\n  br i1 %low, label %a, label %b\na:\n" + arriveHere +
                     arriveHere + "  br label %b\nb:\n";
  EXPECT_EQ(kinds(run64(body)), "BarrierMisuse");
}

TEST(EmulatorBarrier, TwoWarpsCannotShareANumberWithoutOrder) {
  // Each warp meets for itself, but with the number of the other: 16 of each would do as well.
  const char *const warpSync = "  call void @llvm.nvvm.barrier.cta.sync.count(i32 1, i32 32)\n";
  EXPECT_EQ(kinds(run64(warpSync)), "BarrierMisuse");
  // One after the other.
  std::string inTurns = std::string("  %low = icmp ult i32 $tid, 32\n  br i1 %low, label %a, label %b\na:\n") +
                        warpSync + "  br label %b\nb:\n" + syncAll + "  br i1 %low, label %d, label %c\nc:\n" +
                        warpSync + "  br label %d\nd:\n";
  EXPECT_EQ(texts(run64(inTurns)), "");
}

TEST(EmulatorMbarrier, ArrivalsCompleteAPhaseAndOrderMemory) {
  std::vector<int> values;
  EXPECT_EQ(texts(run64(initialise(64) + store + arrive + waitFor(0) + loadOther, &values)), "");
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(values[i], i ^ 32);
}

TEST(EmulatorMbarrier, IntrinsicWaitsAndStates) {
  std::string loop = "  br label %again\nagain:\n  %done = call i1 @llvm.nvvm.mbarrier.test.wait.shared(ptr "
                     "addrspace(3) %bar, i64 %s)\n"
                     "  br i1 %done, label %go, label %again\ngo:\n";
  EXPECT_EQ(texts(run64(initialise(64) + store + arrive + loop + loadOther)), "");
  std::string tryParity =
      "  %d = call i1 @llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta(ptr addrspace(3) %bar, i32 0)\n";
  EXPECT_EQ(texts(run64(initialise(64) + store + arrive + tryParity + loadOther)), "");
}

TEST(EmulatorMbarrier, FreshBarrierPassesParityOne) { EXPECT_EQ(texts(run64(initialise(64) + waitFor(1))), ""); }

TEST(EmulatorMbarrier, MissingArrivalIsADeadlockThatSaysWho) {
  LaunchResult result = run64(initialise(65) + arrive + waitFor(0));
  EXPECT_EQ(kinds(result), "Deadlock");
  EXPECT_NE(texts(result).find("parity 0 of mbarrier shared+512 (phase 0, 64 of 65 arrivals"), std::string::npos)
      << texts(result);
}

TEST(EmulatorMbarrier, PollingForeverIsADeadlock) {
  std::string loop = "  br label %again\nagain:\n  %done = call i1 @llvm.nvvm.mbarrier.test.wait.shared(ptr "
                     "addrspace(3) %bar, i64 0)\n"
                     "  br i1 %done, label %go, label %again\ngo:\n";
  EXPECT_EQ(kinds(run64(initialise(65) + arrive + loop)), "Deadlock");
}

TEST(EmulatorMbarrier, TooManyArrivals) {
  std::string drop = "  %low = icmp ult i32 $tid, 2\n  br i1 %low, label %a, label %b\na:\n"
                     "  %x = call i64 @llvm.nvvm.mbarrier.arrive.scope.cta.space.cta(ptr addrspace(3) %bar, i32 3)\n  "
                     "br label %b\nb:\n";
  EXPECT_EQ(kinds(run64(initialise(5) + drop)), "TooManyArrivals");
}

TEST(EmulatorMbarrier, UsedBeforeItsInitialisationIsOrdered) {
  LaunchResult result = run64(initialise(64, /*meet=*/false) + arrive);
  EXPECT_EQ(kinds(result), "BadMbarrier");
}

TEST(EmulatorMbarrier, NotInitialisedTwiceInitialisedOverwritten) {
  std::string bare = "  %bar = getelementptr i8, ptr addrspace(3) @bpt_shared, i32 512\n";
  EXPECT_EQ(kinds(run64(bare + arrive)), "BadMbarrier");
  EXPECT_EQ(
      kinds(run64(initialise(64) + "  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %bar, i32 64)\n")),
      "BadMbarrier DataRace");
  std::string overwrite =
      "  br i1 %first, label %bad, label %on\nbad:\n  store i32 0, ptr addrspace(3) %bar\n  br label %on\non:\n";
  EXPECT_EQ(kinds(run64(initialise(64) + overwrite)), "BadMbarrier");
  std::string misplaced = "  %bar = getelementptr i8, ptr addrspace(3) @bpt_shared, i32 516\n"
                          "  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %bar, i32 64)\n";
  EXPECT_EQ(kinds(run64(misplaced)), "Misaligned");
}

TEST(EmulatorMbarrier, InvalidatedMayBeUsedAgain) {
  std::string again =
      "  br i1 %first, label %re, label %on\nre:\n  call void @llvm.nvvm.mbarrier.inval.shared(ptr addrspace(3) %bar)\n"
      "  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %bar, i32 64)\n  br label %on\non:\n";
  EXPECT_EQ(texts(run64(initialise(64) + arrive + waitFor(0) + syncAll + again + syncAll +
                        "  %s2 = call i64 @llvm.nvvm.mbarrier.arrive.shared(ptr addrspace(3) %bar)\n" + waitFor(0))),
            "");
}

TEST(EmulatorMbarrier, EveryModeAndSeedGivesTheSame) {
  for (Mode mode : {Mode::Eager, Mode::Random, Mode::Late})
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      std::vector<int> values;
      EXPECT_EQ(texts(run64(initialise(64) + store + arrive + waitFor(0) + loadOther, &values, inMode(mode, seed))),
                "");
      for (int i = 0; i < 64; ++i)
        EXPECT_EQ(values[i], i ^ 32);
    }
}
