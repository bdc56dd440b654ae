// Checkpoints: complete or absent, every damage is found, old ones go only when told.
#include "TestFiles.h"
#include "bpt/Runtime/Checkpoint.h"
#include "bpt/Runtime/Checksum.h"
#include <csignal>
#include <sys/resource.h>

using namespace bpt;
namespace fs = std::filesystem;

namespace {

class CheckpointTest : public ::testing::Test {
protected:
  void SetUp() override {
    weights = {{"w", Tensor::zeros(DataType::F32, {3, 2}).take()}, {"b", Tensor::zeros(DataType::F32, {2}).take()}};
    moments = {{"w.m", Tensor::zeros(DataType::F32, {3, 2}).take()}};
    for (int i = 0; i < 6; ++i)
      weights[0].tensor.set(i, i + 0.5);
    store = folder.file("checkpoints");
  }

  Status write(int64_t step) { return writeCheckpoint(store, {step, 7, R"({"lr":0.1})"}, weights, moments); }
  std::string path(int64_t step) const { return store + "/step-" + std::to_string(step); }
  std::vector<int64_t> steps() const { return listCheckpoints(store).take(); }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto &entry : fs::directory_iterator(store))
      result.push_back(entry.path().filename().string());
    return result;
  }

  TemporaryFolder folder;
  std::string store;
  std::vector<NamedTensor> weights, moments;
};

} // namespace

TEST(Checksum, IsXXH64) {
  // Values of libxxhash 0.8.1.
  auto sum = [](size_t n) {
    std::string bytes;
    for (size_t i = 0; i < n; ++i)
      bytes += static_cast<char>(i * 7);
    Checksum whole, pieces;
    whole.update(bytes.data(), n);
    for (size_t i = 0; i < n; i += 13)
      pieces.update(bytes.data() + i, std::min<size_t>(13, n - i));
    EXPECT_EQ(whole.text(), pieces.text());
    return whole.text();
  };
  EXPECT_EQ(sum(0), "ef46db3751d8e999");
  EXPECT_EQ(sum(31), "0f187c62b1e722b7");
  EXPECT_EQ(sum(32), "91b0cb0931a8c629");
  EXPECT_EQ(sum(33), "931b043cf8d65b94");
  EXPECT_EQ(sum(39), "39c20d6f000a8ff7");
  EXPECT_EQ(sum(44), "a9af7c776b75ef86");
  EXPECT_EQ(sum(1000), "25275608a9cfc168");
}

TEST_F(CheckpointTest, ReadsBackWhatWasWritten) {
  ASSERT_OK(write(12));
  CheckpointInfo info = verifyCheckpoint(path(12), true).take();
  EXPECT_EQ(info.state.step, 12);
  EXPECT_EQ(info.state.seed, 7);
  EXPECT_EQ(info.state.configuration, R"({"lr":0.1})");
  std::vector<NamedTensor> read = {{"w", Tensor::zeros(DataType::F32, {3, 2}).take()},
                                   {"b", Tensor::zeros(DataType::F32, {2}).take()}};
  std::vector<NamedTensor> readMoments = {{"w.m", Tensor::zeros(DataType::F32, {3, 2}).take()}};
  ASSERT_OK(loadCheckpoint(info, read, readMoments));
  EXPECT_EQ(read[0].tensor.get(5), 5.5);
  EXPECT_EQ(names(), (std::vector<std::string>{"step-12"}));
}

TEST_F(CheckpointTest, TheSameStateHasTheSameBytes) {
  ASSERT_OK(write(1));
  std::string first = readBytes(path(1) + "/state.json");
  fs::remove_all(store);
  ASSERT_OK(write(1));
  EXPECT_EQ(readBytes(path(1) + "/state.json"), first);
}

TEST_F(CheckpointTest, EveryFlippedByteIsFound) {
  ASSERT_OK(write(1));
  for (const char *file : {"state.json", "model.safetensors", "optimizer.safetensors"}) {
    std::string name = path(1) + "/" + file, bytes = readBytes(name);
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] ^= 1;
      writeBytes(name, bytes);
      // White space between the parts of the JSON carries nothing.
      if (bytes[i] != '!' && bytes[i] != '\v')
        EXPECT_FALSE(verifyCheckpoint(path(1), true).ok()) << file << " byte " << i;
      bytes[i] ^= 1;
    }
    writeBytes(name, bytes);
  }
  ASSERT_OK(verifyCheckpoint(path(1), true));
}

TEST_F(CheckpointTest, EveryTruncationIsFound) {
  ASSERT_OK(write(1));
  for (const char *file : {"state.json", "model.safetensors", "optimizer.safetensors"}) {
    std::string name = path(1) + "/" + file, bytes = readBytes(name);
    for (size_t length = 0; length + 1 < bytes.size(); ++length) { // the last byte of state.json is a line break
      writeBytes(name, bytes.substr(0, length));
      EXPECT_FALSE(verifyCheckpoint(path(1), false).ok()) << file << " of " << length << " bytes";
    }
    fs::remove(name);
    EXPECT_ERROR(verifyCheckpoint(path(1), false), ExitCode::BadInput, "missing");
    writeBytes(name, bytes);
  }
}

TEST_F(CheckpointTest, AMovedCheckpointIsNotItsNewName) {
  ASSERT_OK(write(1));
  fs::rename(path(1), path(2));
  EXPECT_ERROR(verifyCheckpoint(path(2), true), ExitCode::BadInput, "its state says step 1");
}

TEST_F(CheckpointTest, TheNewestCompleteOneIsFound) {
  EXPECT_FALSE(findNewestCheckpoint(store, true)->checkpoint);
  for (int64_t step : {9, 10, 100})
    ASSERT_OK(write(step));
  fs::create_directory(store + "/step-0200");
  fs::create_directory(store + "/step-x");
  fs::create_directory(store + "/.step-300.new");
  EXPECT_EQ(steps(), (std::vector<int64_t>{9, 10, 100}));
  fs::remove(path(100) + "/model.safetensors");
  NewestCheckpoint newest = findNewestCheckpoint(store, true).take();
  EXPECT_EQ(newest.checkpoint->state.step, 10);
  ASSERT_EQ(newest.skipped.size(), 1u);
  EXPECT_NE(newest.skipped[0].find("step-100/model.safetensors: the checkpoint is damaged: the file is missing"),
            std::string::npos)
      << newest.skipped[0];
}

TEST_F(CheckpointTest, ADamagedOneIsReplaced) {
  ASSERT_OK(write(5));
  writeBytes(path(5) + "/state.json", "{}");
  ASSERT_OK(write(5));
  ASSERT_OK(verifyCheckpoint(path(5), true));
  EXPECT_EQ(names(), (std::vector<std::string>{"step-5"}));
}

TEST_F(CheckpointTest, PruningKeepsTheNewestAndDropsDamagedLaterOnes) {
  for (int64_t step : {1, 2, 3, 4})
    ASSERT_OK(write(step));
  fs::create_directory(path(9));
  ASSERT_OK(pruneCheckpoints(store, 2, 4));
  EXPECT_EQ(steps(), (std::vector<int64_t>{3, 4}));
  ASSERT_OK(pruneCheckpoints(store, 0, 4));
  EXPECT_EQ(steps(), (std::vector<int64_t>{3, 4}));
}

TEST_F(CheckpointTest, LeftoversOfACrashAreRemoved) {
  ASSERT_OK(write(1));
  fs::create_directories(store + "/.step-2.new");
  writeBytes(store + "/.step-2.new/model.safetensors", "half");
  fs::create_directories(store + "/.step-0.old");
  ASSERT_OK(removeLeftovers(store));
  EXPECT_EQ(names(), (std::vector<std::string>{"step-1"}));
}

TEST_F(CheckpointTest, ARefusedWriteLeavesNothing) {
  ASSERT_OK(write(1));
  rlim_t largest = 0;
  for (const auto &entry : fs::directory_iterator(path(1)))
    largest = std::max<rlim_t>(largest, entry.file_size());
  rlimit unlimited = {};
  getrlimit(RLIMIT_FSIZE, &unlimited);
  for (rlim_t limit = 0; limit < largest + 50; limit += 23) {
    rlimit small = {limit, unlimited.rlim_max};
    std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    Status status = write(2);
    setrlimit(RLIMIT_FSIZE, &unlimited);
    if (status.ok()) {
      EXPECT_GE(limit, largest);
      ASSERT_OK(verifyCheckpoint(path(2), true));
      ASSERT_OK(removeCheckpoint(store, 2));
      continue;
    }
    EXPECT_EQ(status.error().code, ExitCode::Io) << limit;
    EXPECT_EQ(names(), (std::vector<std::string>{"step-1"})) << limit;
  }
  ASSERT_OK(verifyCheckpoint(path(1), true));
}

TEST_F(CheckpointTest, AnotherModelIsRefusedWithBothSides) {
  ASSERT_OK(write(1));
  CheckpointInfo info = verifyCheckpoint(path(1), true).take();
  std::vector<NamedTensor> other = weights;
  other[0].tensor = Tensor::zeros(DataType::F64, {3, 2}).take();
  EXPECT_ERROR(loadCheckpoint(info, other, moments), ExitCode::BadInput,
               "'w' is 3x2xf64 in this model and 3x2xf32 in the checkpoint");
  other = {weights[0]};
  EXPECT_ERROR(loadCheckpoint(info, other, moments), ExitCode::BadInput, "it has 'b' of 2xf32, this model does not");
  other = weights;
  other.push_back({"c", weights[1].tensor});
  EXPECT_ERROR(loadCheckpoint(info, other, moments), ExitCode::BadInput,
               "this model has 'c' of 2xf32, the checkpoint does not");
}
