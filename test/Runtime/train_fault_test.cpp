// Every system call that writes fails once, at every position of a run: the run says so and ends with exit 5, a
// complete checkpoint is there afterwards, and resuming ends in the same bytes. The calls of the runtime library
// resolve to the functions of this program first.
#include "FakeTraining.h"
#include "TestFiles.h"
#include "bpt/Runtime/Checkpoint.h"
#include "bpt/Runtime/Signals.h"
#include "bpt/Runtime/Trainer.h"
#include <cerrno>
#include <cstdarg>
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

using namespace bpt;
namespace fs = std::filesystem;

namespace {

/// Counts the calls while armed; the one numbered `failAt` (from 1) fails with `error`, and after `lasting` all later
/// ones.
struct Faults {
  bool armed = false;
  int failAt = 0, error = 0, calls = 0;
  bool lasting = false, half = false;
  std::string what; ///< the call that failed

  bool hit(const char *name) {
    if (!armed)
      return false;
    ++calls;
    bool now = calls == failAt || (lasting && failAt > 0 && calls > failAt);
    if (!now)
      return false;
    if (calls == failAt)
      what = name;
    errno = error;
    return true;
  }
} faults;

template <typename Function> Function next(const char *name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

} // namespace

extern "C" {

ssize_t write(int file, const void *data, size_t bytes) {
  static auto real = next<ssize_t (*)(int, const void *, size_t)>("write");
  if (faults.hit("write")) {
    if (!faults.half || bytes < 2)
      return -1;
    (void)!real(file, data, bytes / 2); // a full disk takes what it can
    faults.half = false;
    return -1;
  }
  return real(file, data, bytes);
}

int fsync(int) { return faults.hit("fsync") ? -1 : 0; } // waiting for the disk would only make this test slow

int ftruncate(int file, off_t length) noexcept {
  static auto real = next<int (*)(int, off_t)>("ftruncate");
  return faults.hit("ftruncate") ? -1 : real(file, length);
}

int rename(const char *from, const char *to) noexcept {
  static auto real = next<int (*)(const char *, const char *)>("rename");
  return faults.hit("rename") ? -1 : real(from, to);
}

int open(const char *path, int flags, ...) {
  static auto real = next<int (*)(const char *, int, ...)>("open");
  va_list list;
  va_start(list, flags);
  mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
  va_end(list);
  // Refusing to read is another matter: it may mean that a file is not there.
  bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_DIRECTORY);
  return writes && faults.hit("open") ? -1 : real(path, flags, mode);
}

} // extern "C"

namespace {

class TrainFaultTest : public ::testing::Test {
protected:
  void SetUp() override {
    fake = FakeTraining();
    installSignalHandlers();
    clearInterrupt();
    std::string tokens;
    for (int i = 0; i < 2000; ++i)
      tokens += static_cast<char>((i * i / 7 + i) % 16);
    writeBytes(folder.file("tokens.u8"), tokens);
    options.tokens = folder.file("tokens.u8");
    options.model = "gpt";
    options.batch = 2;
    options.context = 8;
    options.steps = 4;
    options.checkpointEvery = 1;
    options.keep = 2;
    options.validTokens = options.tokens;
    output = std::fopen("/dev/null", "w");
  }
  void TearDown() override { std::fclose(output); }

  Status run(const std::string &out, bool resume, int64_t stopAt = 0) {
    TrainOptions what = options;
    what.out = folder.file(out);
    what.resume = resume;
    what.stopAt = stopAt;
    TrainEnvironment environment;
    environment.output = output;
    ProgramSource source;
    source.signature = []() -> Expected<std::vector<ArgumentInfo>> { return fakeSignature(); };
    source.compile = [] { return fakeCompiledTraining(); };
    faults.calls = 0;
    faults.armed = faults.failAt > 0;
    Status status = train(what, source, environment);
    faults.armed = false;
    return status;
  }

  std::string bytes(const std::string &out) const {
    std::string all;
    for (const char *file : {"model.safetensors", "optimizer.safetensors", "state.json"})
      all += readBytes(folder.file(out + "/checkpoints/step-4/" + file));
    return all;
  }

  /// Fails the calls one after the other; returns how many a run has.
  int failEach(int error, bool half, bool lasting) {
    EXPECT_TRUE(run("start", false, 2).ok());
    EXPECT_TRUE(run("whole", false).ok());
    std::string want = bytes("whole");
    EXPECT_FALSE(want.empty());
    for (int at = 1;; ++at) {
      std::string out = "out";
      fs::remove_all(folder.file(out));
      fs::copy(folder.file("start"), folder.file(out), fs::copy_options::recursive);
      faults = Faults();
      faults.failAt = at;
      faults.error = error;
      faults.half = half;
      faults.lasting = lasting;
      Status status = run(out, true);
      std::string what = faults.what;
      faults = Faults();
      if (what.empty()) {
        EXPECT_TRUE(status.ok());
        return at - 1;
      }
      // The process id in the lock file is a courtesy: whether that can be written does not matter.
      if (!status.ok())
        EXPECT_EQ(status.error().code, ExitCode::Io) << what << " number " << at << ": " << status.error().message;
      else
        EXPECT_EQ(what, "ftruncate") << at;
      Expected<NewestCheckpoint> newest = findNewestCheckpoint(folder.file(out + "/checkpoints"), true);
      EXPECT_TRUE(newest.ok() && newest->checkpoint && newest->skipped.empty()) << what << " number " << at;
      Status resumed = run(out, true);
      EXPECT_TRUE(resumed.ok()) << what << " number " << at << ": " << (resumed.ok() ? "" : resumed.error().message);
      EXPECT_EQ(bytes(out), want) << what << " number " << at;
      if (::testing::Test::HasFailure())
        return 0;
    }
  }

  TemporaryFolder folder;
  TrainOptions options;
  std::FILE *output = nullptr;
};

} // namespace

TEST_F(TrainFaultTest, OneRefusedCall) { EXPECT_GT(failEach(EIO, false, false), 40); }

TEST_F(TrainFaultTest, ADiskThatIsFullFromSomeMomentOn) { EXPECT_GT(failEach(ENOSPC, true, true), 40); }
