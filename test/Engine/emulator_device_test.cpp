// Copies to and from host memory on the emulator.
#include "bpt/Engine/EmulatorDevice.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace bpt;

namespace {
std::shared_ptr<Device> makeDevice(emulator::Mode mode) {
  auto options = std::make_shared<EmulatorOptions>();
  options->mode = mode;
  Expected<std::shared_ptr<Device>> device =
      createEmulatorDevice(Manifest(), [](const std::string &) -> void * { return nullptr; }, options);
  return device ? device.take() : nullptr;
}
} // namespace

TEST(EmulatorDevice, LateCopiesAreThereOnlyWhenTheyWereWaitedFor) {
  std::shared_ptr<Device> device = makeDevice(emulator::Mode::Late);
  ASSERT_TRUE(device);
  float from[2] = {1, 2}, to[2] = {0, 0};
  ASSERT_TRUE(device->beginRun({{to, sizeof(to), "to", true}}));
  Expected<int64_t> first = device->beginCopy(&to[0], &from[0], sizeof(float)),
                    second = device->beginCopy(&to[1], &from[1], sizeof(float));
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(std::isnan(to[0]) && std::isnan(to[1]));
  from[1] = 3; // what is copied must stay until then
  ASSERT_TRUE(device->waitCopy(*first));
  EXPECT_EQ(to[0], 1);
  EXPECT_TRUE(std::isnan(to[1]));
  Status ended = device->endRun();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "1 copies were never waited for");
  ASSERT_TRUE(device->waitCopy(*second));
  EXPECT_EQ(to[1], 3);
  EXPECT_TRUE(device->endRun());
}

TEST(EmulatorDevice, EagerCopiesAreThereAtOnce) {
  std::shared_ptr<Device> device = makeDevice(emulator::Mode::Eager);
  ASSERT_TRUE(device);
  float from = 1, to = 0;
  ASSERT_TRUE(device->beginRun({{&to, sizeof(to), "to", false}}));
  Expected<int64_t> number = device->beginCopy(&to, &from, sizeof(to));
  ASSERT_TRUE(number);
  EXPECT_EQ(to, 1);
  ASSERT_TRUE(device->waitCopy(*number));
  EXPECT_TRUE(device->endRun());
}
