// A folder of its own for a test, removed in the end, and small helpers on files.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>

class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string name = ::testing::TempDir() + "bpt-XXXXXX";
    folder = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(folder); }

  std::string file(const std::string &name) const { return folder + "/" + name; }

private:
  std::string folder;
};

inline void writeBytes(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string readBytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Expects a failed Status or Expected with exit code `exitCode` whose message contains `text`.
#define EXPECT_ERROR(result, exitCode, text)                                                                           \
  do {                                                                                                                 \
    const auto &outcome = (result);                                                                                    \
    ASSERT_FALSE(outcome.ok());                                                                                        \
    EXPECT_EQ(outcome.error().code, exitCode) << outcome.error().message;                                              \
    EXPECT_NE(outcome.error().message.find(text), std::string::npos) << outcome.error().message;                       \
  } while (false)

#define ASSERT_OK(result) ASSERT_TRUE((result).ok()) << (result).error().message
