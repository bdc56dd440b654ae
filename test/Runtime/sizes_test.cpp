// Byte counts as people write and read them.
#include "TestFiles.h"
#include "bpt/Runtime/MachineMemory.h"
#include "bpt/Runtime/Sizes.h"
#include <unistd.h>

using namespace bpt;

TEST(ParseBytes, Units) {
  std::pair<const char *, int64_t> cases[] = {{"0", 0},
                                              {"123", 123},
                                              {"123B", 123},
                                              {"2kB", 2000},
                                              {"3MB", 3000000},
                                              {"4GB", 4000000000},
                                              {"1TB", 1000000000000},
                                              {"2KiB", 2048},
                                              {"1MiB", 1048576},
                                              {"1.5GiB", 1610612736},
                                              {"1 GiB", 1073741824},
                                              {"2k", 2048},
                                              {"2m", 2097152},
                                              {"2g", 2147483648},
                                              {"9223372036854775807", INT64_MAX},
                                              {"0.5k", 512}};
  for (auto [text, bytes] : cases) {
    Expected<int64_t> parsed = parseBytes(text);
    ASSERT_OK(parsed);
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(ParseBytes, MistakesAreUsageErrors) {
  for (const char *text : {"", "x", "-1", "1x", "1..5g", "GB", ".", "1.2.3", "9223372036854775808", "10000000TiB",
                           "1e3", "nan", "1 000", "12 345 k", "9999999999999.5t"})
    EXPECT_ERROR(parseBytes(text), ExitCode::Usage, "expected a size such as");
}

TEST(FormatBytes, ThreeDigitsAndAUnit) {
  EXPECT_EQ(formatBytes(0), "0 B");
  EXPECT_EQ(formatBytes(1023), "1023 B");
  EXPECT_EQ(formatBytes(1024), "1.00 KiB");
  EXPECT_EQ(formatBytes(1610612736), "1.50 GiB");
  EXPECT_EQ(formatBytes((int64_t(1) << 20) - 1), "1.00 MiB");
  EXPECT_EQ(formatBytes(INT64_MAX), "8.00 EiB");
}

TEST(Sizes, AvailableMemoryIsPartOfTheMachines) {
  int64_t machine = int64_t(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  EXPECT_GT(availableMemory(), 0);
  EXPECT_LE(availableMemory(), machine);
}
