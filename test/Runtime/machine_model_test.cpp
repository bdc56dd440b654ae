// Machines by name.
#include "bpt/Runtime/MachineModel.h"
#include <gtest/gtest.h>

using namespace bpt;

TEST(MachineModel, EveryNameIsKnown) {
  for (const std::string &name : machineNames()) {
    std::optional<MachineModel> machine = findMachine(name, 2);
    ASSERT_TRUE(machine) << name;
    EXPECT_EQ(machine->name, name);
    EXPECT_GT(machine->flopsPerSecond, 1e9);
    EXPECT_FALSE(machine->description.empty());
  }
  EXPECT_FALSE(findMachine("abacus", 2));
}

TEST(MachineModel, ThreadsCountHereOnly) {
  EXPECT_DOUBLE_EQ(findMachine("this", 4)->flopsPerSecond, 4 * findMachine("this", 1)->flopsPerSecond);
  EXPECT_EQ(findMachine("h200", 4)->flopsPerSecond, findMachine("h200", 1)->flopsPerSecond);
}
