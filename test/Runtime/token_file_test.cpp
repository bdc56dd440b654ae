// Token files: the formats that are read, and what is wrong with those that are not.
#include "TestFiles.h"
#include "bpt/Runtime/TokenFile.h"
#include <cstring>
#include <unistd.h>
#include <vector>

using namespace bpt;

namespace {

template <typename T> std::string raw(const std::vector<T> &tokens) {
  return {reinterpret_cast<const char *>(tokens.data()), tokens.size() * sizeof(T)};
}

template <typename T> std::string llmc(int32_t magic, int32_t version, int32_t count, const std::vector<T> &tokens) {
  std::vector<int32_t> header(256, 0);
  header[0] = magic;
  header[1] = version;
  header[2] = count;
  return raw(header) + raw(tokens);
}

class TokenFileTest : public ::testing::Test {
protected:
  Expected<TokenFile> open(const std::string &bytes, const std::string &type, std::optional<int64_t> range = 50000) {
    writeBytes(path(), bytes);
    return TokenFile::open(path(), type, range);
  }
  std::string path() const { return folder.file("tokens"); }

  TemporaryFolder folder;
};

std::vector<int32_t> all(const TokenFile &file) {
  std::vector<int32_t> ids(static_cast<size_t>(file.count()));
  EXPECT_TRUE(file.read(0, file.count(), ids.data()).ok());
  return ids;
}

} // namespace

TEST_F(TokenFileTest, RawTypesAreRead) {
  EXPECT_EQ(all(open(raw<uint8_t>({1, 255, 3}), "u8", 256).take()), (std::vector<int32_t>{1, 255, 3}));
  EXPECT_EQ(all(open(raw<uint16_t>({1, 40000, 3}), "u16").take()), (std::vector<int32_t>{1, 40000, 3}));
  EXPECT_EQ(all(open(raw<uint32_t>({1, 100000, 3}), "u32", 128256).take()), (std::vector<int32_t>{1, 100000, 3}));
}

TEST_F(TokenFileTest, BothFormatsOfLlmcAreRead) {
  TokenFile gpt2 = open(llmc<uint16_t>(20240520, 1, 2, {7, 50256}), "llmc", 50257).take();
  EXPECT_EQ(all(gpt2), (std::vector<int32_t>{7, 50256}));
  EXPECT_EQ(gpt2.width(), 2);
  TokenFile llama = open(llmc<uint32_t>(20240801, 7, 2, {7, 128000}), "llmc", 128256).take();
  EXPECT_EQ(all(llama), (std::vector<int32_t>{7, 128000}));
  EXPECT_EQ(llama.width(), 4);
}

TEST_F(TokenFileTest, APartIsReadFromItsPosition) {
  TokenFile file = open(llmc<uint16_t>(20240520, 1, 4, {5, 6, 7, 8}), "llmc").take();
  int32_t ids[2] = {};
  ASSERT_OK(file.read(1, 2, ids));
  EXPECT_EQ(ids[0], 6);
  EXPECT_EQ(ids[1], 7);
}

TEST_F(TokenFileTest, AutoKnowsHeadersEndingsAndVocabularies) {
  EXPECT_EQ(open(llmc<uint16_t>(20240520, 1, 2, {7, 8}), "auto")->width(), 2);
  EXPECT_EQ(open("abcd", "auto", 256)->width(), 1);
  EXPECT_EQ(open(raw<uint16_t>({7, 8}), "auto", 50257)->width(), 2);
  EXPECT_EQ(open(raw<uint32_t>({7, 8}), "auto", 128256)->width(), 4);
  writeBytes(folder.file("tokens.u32"), raw<uint32_t>({7, 8}));
  EXPECT_EQ(TokenFile::open(folder.file("tokens.u32"), "auto", 100)->width(), 4);
}

TEST_F(TokenFileTest, SizesThatDoNotFitAreRefused) {
  EXPECT_ERROR(open("", "u16"), ExitCode::BadInput, "the file is empty");
  EXPECT_ERROR(open("abc", "u16"), ExitCode::BadInput, "expected a multiple of 2 bytes (u16 tokens), but got 3");
  EXPECT_ERROR(open(llmc<uint16_t>(20240520, 1, 3, {7, 8}), "llmc"), ExitCode::BadInput,
               "expected 3 tokens of 2 bytes");
  EXPECT_ERROR(open(llmc<uint16_t>(20240520, 1, 0, {}), "llmc"), ExitCode::BadInput, "expected 0 tokens");
  EXPECT_ERROR(open(llmc<uint16_t>(20240520, 1, -1, {7, 8}), "llmc"), ExitCode::BadInput, "expected -1 tokens");
  EXPECT_ERROR(open(llmc<uint32_t>(20240801, 7, 0x7fffffff, {7}), "llmc"), ExitCode::BadInput,
               "expected 2147483647 tokens");
}

TEST_F(TokenFileTest, HeadersThatDoNotFitAreRefused) {
  EXPECT_ERROR(open(llmc<uint16_t>(20240521, 1, 2, {7, 8}), "llmc"), ExitCode::BadInput, "magic 20240521");
  EXPECT_ERROR(open(llmc<uint16_t>(20240520, 2, 2, {7, 8}), "llmc"), ExitCode::BadInput, "expected version 1");
  EXPECT_ERROR(open("abcd", "llmc"), ExitCode::BadInput, "expected an llm.c token file");
  EXPECT_ERROR(open(llmc<uint16_t>(20240520, 1, 2, {7, 8}), "u16"), ExitCode::BadInput, "use --token-type=llmc");
}

TEST_F(TokenFileTest, EveryPrefixOfAFileIsAnErrorOrAFile) {
  std::string whole = llmc<uint16_t>(20240520, 1, 2, {7, 8});
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(open(whole.substr(0, length), "llmc").ok()) << length;
}

TEST_F(TokenFileTest, AWidthThatCannotHoldTheVocabularyIsRefused) {
  EXPECT_ERROR(open("abcd", "u8", 50257), ExitCode::BadInput, "wide enough for the vocabulary of 50257, but got u8");
  EXPECT_ERROR(open("abcd", "u16", 128256), ExitCode::BadInput, "but got u16, which ends at 65535");
  EXPECT_TRUE(open("abcd", "u16", 65536).ok());
}

TEST_F(TokenFileTest, IdsOutsideTheVocabularyAreNamedWithTheirPosition) {
  EXPECT_ERROR(open(raw<uint16_t>({1, 2, 97, 3}), "u16", 97), ExitCode::BadInput,
               "below 97, but got 97 at position 2 (byte 4)");
  EXPECT_ERROR(open(llmc<uint16_t>(20240520, 1, 2, {7, 99}), "llmc", 97), ExitCode::BadInput,
               "got 99 at position 1 (byte 1026)");
  EXPECT_ERROR(open(raw<uint32_t>({1, 0xffffff9c}), "u32", std::nullopt), ExitCode::BadInput,
               "got 4294967196 at position 1");
}

TEST_F(TokenFileTest, AFileThatShrinksIsAnError) {
  TokenFile file = open(raw<uint16_t>({1, 2, 3, 4}), "u16").take();
  ASSERT_EQ(::truncate(path().c_str(), 4), 0);
  int32_t ids[4];
  EXPECT_ERROR(file.read(0, 4, ids), ExitCode::Io, "has become shorter");
}

TEST_F(TokenFileTest, WhatIsNoFileIsRefused) {
  EXPECT_ERROR(TokenFile::open(folder.file("none"), "u8", 256), ExitCode::Io, "none");
  EXPECT_ERROR(TokenFile::open(folder.file("."), "u8", 256), ExitCode::BadInput, "not a regular file");
}
