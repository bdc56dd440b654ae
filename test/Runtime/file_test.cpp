// Files: whole reads with a limit, writes that vanish unless they are closed.
#include "TestFiles.h"
#include "bpt/Runtime/File.h"

using namespace bpt;

TEST(ReadFile, GivesTheBytes) {
  TemporaryFolder folder;
  std::string bytes(200000, 'x');
  bytes[7] = '\0';
  writeBytes(folder.file("a"), bytes);
  Expected<std::string> read = readFile(folder.file("a"), 200000);
  ASSERT_OK(read);
  EXPECT_EQ(*read, bytes);
}

TEST(ReadFile, Mistakes) {
  TemporaryFolder folder;
  writeBytes(folder.file("a"), "12345");
  EXPECT_ERROR(readFile(folder.file("a"), 4), ExitCode::BadInput, "expected at most 4 bytes");
  EXPECT_ERROR(readFile(folder.file("b"), 4), ExitCode::Io, "cannot open: No such file or directory");
  EXPECT_ERROR(readFile(folder.file(""), 4), ExitCode::Io, "cannot read: Is a directory");
  EXPECT_ERROR(readFile("/dev/zero", 100), ExitCode::BadInput, "expected at most 100 bytes");
}

TEST(OutputFile, IsThereWhenClosed) {
  TemporaryFolder folder;
  std::string path = folder.file("a");
  {
    OutputFile file = OutputFile::create(path).take();
    ASSERT_OK(file.write("hello "));
    ASSERT_OK(file.write("world"));
    ASSERT_OK(file.sync());
    ASSERT_OK(file.close());
  }
  EXPECT_EQ(readBytes(path), "hello world");
  ASSERT_OK(syncDirectory(folder.file("")));
}

TEST(OutputFile, IsRemovedWhenNotClosed) {
  TemporaryFolder folder;
  std::string path = folder.file("a");
  {
    OutputFile file = OutputFile::create(path).take();
    ASSERT_OK(file.write("hello"));
    OutputFile moved = std::move(file);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(OutputFile, FullDeviceIsAnErrorAndStays) {
  {
    OutputFile file = OutputFile::create("/dev/full").take();
    EXPECT_ERROR(file.write("x"), ExitCode::Io, "No space left on device; free space there");
  }
  EXPECT_TRUE(std::filesystem::exists("/dev/full"));
}

TEST(InQuotes, KeepsTerminalsSafe) {
  EXPECT_EQ(inQuotes("plain name"), "'plain name'");
  EXPECT_EQ(inQuotes("a\x1b[1m\n\xc3\xa4"), "'a\\x1b[1m\\x0a\\xc3\\xa4'");
  EXPECT_EQ(inQuotes(std::string(300, 'x')), "'" + std::string(200, 'x') + "'...");
}
