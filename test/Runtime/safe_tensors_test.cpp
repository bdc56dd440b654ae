// safetensors: what is written comes back, and no bad file gets through.
#include "TestFiles.h"
#include "bpt/Runtime/Random.h"
#include "bpt/Runtime/SafeTensors.h"
#include <algorithm>
#include <csignal>
#include <cstring>
#include <sys/resource.h>

using namespace bpt;

namespace {

std::string withHeader(const std::string &header, const std::string &data) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i)
    bytes[i] = static_cast<char>(uint64_t(header.size()) >> (8 * i));
  return bytes + header + data;
}

NamedTensor filled(const std::string &name, DataType type, Shape shape) {
  Tensor tensor = Tensor::allocate(type, std::move(shape)).take();
  isFloat(type) ? fillNormal(tensor, 1, 2) : fillIntegers(tensor, 1, 2, 1000);
  return {name, tensor};
}

std::vector<NamedTensor> oneOfEach() {
  return {filled("weights.b", DataType::BF16, {3, 5}), filled("weights.a", DataType::BF16, {2}),
          filled("half", DataType::F16, {1, 1, 7}),    filled("x", DataType::F32, {4, 4}),
          filled("empty", DataType::F32, {0, 9}),      filled("tokens", DataType::I32, {6}),
          filled("step", DataType::I64, {}),           filled("wide", DataType::F64, {3})};
}

} // namespace

TEST(SafeTensors, WrittenTensorsComeBack) {
  TemporaryFolder folder;
  std::string path = folder.file("a.safetensors");
  std::vector<NamedTensor> tensors = oneOfEach();
  SafeTensorsWriteOptions options;
  options.metadata = {{"format", "pt"}, {"note", "\"quoted\" \xc3\xa4"}};
  options.sync = true;
  ASSERT_OK(writeSafeTensors(path, tensors, options));
  Expected<SafeTensorsFile> file = SafeTensorsFile::open(path);
  ASSERT_OK(file);
  EXPECT_EQ(file->metadata(), options.metadata);
  EXPECT_EQ(file->tensors().size(), tensors.size());
  for (const NamedTensor &expected : tensors) {
    Expected<Tensor> read = file->read(expected.name);
    ASSERT_OK(read);
    EXPECT_EQ(read->type(), expected.tensor.type());
    EXPECT_EQ(read->shape(), expected.tensor.shape());
    EXPECT_EQ(std::memcmp(read->data(), expected.tensor.data(), static_cast<size_t>(read->bytes())), 0);
  }
}

TEST(SafeTensors, BytesDoNotDependOnTheOrderGiven) {
  TemporaryFolder folder;
  std::vector<NamedTensor> tensors = oneOfEach();
  ASSERT_OK(writeSafeTensors(folder.file("a"), tensors));
  std::reverse(tensors.begin(), tensors.end());
  ASSERT_OK(writeSafeTensors(folder.file("b"), tensors));
  EXPECT_EQ(readBytes(folder.file("a")), readBytes(folder.file("b")));
}

TEST(SafeTensors, TensorsAreAlignedAndOrderedAsInTheReference) {
  TemporaryFolder folder;
  ASSERT_OK(writeSafeTensors(folder.file("a"), oneOfEach()));
  SafeTensorsFile file = SafeTensorsFile::open(folder.file("a")).take();
  std::vector<std::string> names;
  std::vector<SafeTensorsInfo> infos = file.tensors();
  EXPECT_EQ(file.header().dataStart % 8, 0u);
  std::stable_sort(infos.begin(), infos.end(),
                   [](const SafeTensorsInfo &a, const SafeTensorsInfo &b) { return a.begin < b.begin; });
  for (const SafeTensorsInfo &info : infos) {
    names.push_back(info.name);
    EXPECT_EQ(info.begin % static_cast<uint64_t>(bytesPerElement(*info.type)), 0u);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"step", "wide", "empty", "x", "tokens", "weights.a", "weights.b", "half"}));
}

TEST(SafeTensors, TypesTheRuntimeCannotHoldMayBeThere) {
  TemporaryFolder folder;
  std::string path = folder.file("a");
  writeBytes(path, withHeader(R"({"mask":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},)"
                              R"("f4":{"dtype":"F4","shape":[4],"data_offsets":[3,5]}})",
                              "12345"));
  Expected<SafeTensorsFile> file = SafeTensorsFile::open(path);
  ASSERT_OK(file);
  EXPECT_ERROR(file->read("mask"), ExitCode::BadInput, "but got BOOL");
}

TEST(SafeTensors, EdgesOfTheFormatAreLegal) {
  TemporaryFolder folder;
  std::string path = folder.file("a");
  for (const std::string &bytes :
       {withHeader("{}", ""), withHeader("{}      ", ""), withHeader(R"({"__metadata__":{}})", ""),
        withHeader(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", "1234"),
        withHeader(R"({"a":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,0]}})", ""),
        withHeader(R"({ "a" : {"shape":[1], "data_offsets":[0,8], "dtype":"U64" } }  )", "12345678")}) {
    writeBytes(path, bytes);
    ASSERT_OK(SafeTensorsFile::open(path));
  }
}

TEST(SafeTensors, NamesOfOtherTensorsAreSuggested) {
  TemporaryFolder folder;
  ASSERT_OK(writeSafeTensors(folder.file("a"), oneOfEach()));
  SafeTensorsFile file = SafeTensorsFile::open(folder.file("a")).take();
  EXPECT_ERROR(file.read("weights.c"), ExitCode::BadInput, "no tensor is called 'weights.c'; did you mean 'weights.");
  EXPECT_ERROR(file.read("zzzzzzzz"), ExitCode::BadInput, "no tensor is called 'zzzzzzzz'");
}

TEST(SafeTensors, EveryPrefixIsRefused) {
  TemporaryFolder folder;
  std::string path = folder.file("a");
  ASSERT_OK(writeSafeTensors(path, oneOfEach(), {{{"k", "v"}}, false}));
  std::string bytes = readBytes(path);
  for (size_t length = 0; length < bytes.size(); ++length) {
    writeBytes(path, bytes.substr(0, length));
    Expected<SafeTensorsFile> file = SafeTensorsFile::open(path);
    ASSERT_FALSE(file.ok()) << length;
    ASSERT_EQ(file.error().code, ExitCode::BadInput);
    ASSERT_EQ(file.error().message.rfind(path + ": ", 0), 0u) << file.error().message;
  }
  writeBytes(path, bytes + '\0');
  EXPECT_ERROR(SafeTensorsFile::open(path), ExitCode::BadInput, "bytes of data");
}

TEST(SafeTensors, AFileThatShrinksIsAnError) {
  TemporaryFolder folder;
  std::string path = folder.file("a");
  ASSERT_OK(writeSafeTensors(path, oneOfEach()));
  SafeTensorsFile file = SafeTensorsFile::open(path).take();
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_ERROR(file.read("half"), ExitCode::Io, "the file became shorter while it was read");
}

TEST(SafeTensors, AnOpenFileCanBeWrittenAgain) {
  TemporaryFolder folder;
  std::string path = folder.file("a");
  ASSERT_OK(writeSafeTensors(path, oneOfEach()));
  SafeTensorsFile file = SafeTensorsFile::open(path).take();
  Tensor tensor = file.read("x").take();
  ASSERT_OK(writeSafeTensors(path, {{"x", tensor}}));
  EXPECT_EQ(SafeTensorsFile::open(path).take().tensors().size(), 1u);
}

TEST(SafeTensors, WhatCannotBeReadIsAnInputOutputError) {
  TemporaryFolder folder;
  EXPECT_ERROR(SafeTensorsFile::open(folder.file("none")), ExitCode::Io, "cannot open: No such file");
  EXPECT_ERROR(SafeTensorsFile::open(folder.file("")), ExitCode::BadInput, "expected a regular file");
}

TEST(SafeTensorsWriter, BadNamesAreRefusedBeforeTheFileIsTouched) {
  TemporaryFolder folder;
  std::string path = folder.file("a");
  NamedTensor x = filled("x", DataType::F32, {1});
  EXPECT_ERROR(writeSafeTensors(path, {x, x}), ExitCode::BadInput, "the tensor name 'x' is used twice");
  EXPECT_ERROR(writeSafeTensors(path, {filled("__metadata__", DataType::F32, {1})}), ExitCode::BadInput, "reserved");
  EXPECT_ERROR(writeSafeTensors(path, {filled("\xff", DataType::F32, {1})}), ExitCode::BadInput, "not UTF-8");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(SafeTensorsWriter, FullDevicesAreInputOutputErrors) {
  EXPECT_ERROR(writeSafeTensors("/dev/full", oneOfEach()), ExitCode::Io, "/dev/full: cannot write: No space left");
  EXPECT_ERROR(writeSafeTensors("/nowhere/at/all", oneOfEach()), ExitCode::Io, "cannot create");
}

TEST(SafeTensorsWriter, FileSizeLimitLeavesNoPartialFile) {
  TemporaryFolder folder;
  std::string path = folder.file("a");
  auto previous = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{}, small{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  small = {4096, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  Status status = writeSafeTensors(path, {filled("x", DataType::F32, {10000})});
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, previous);
  EXPECT_ERROR(status, ExitCode::Io, "File too large; raise the file size limit");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(SafeTensorsHeader, MemoryIsBoundedByTheFile) {
  // 20 MB of brackets and 20 MB of dimensions: refused early, without a stack per level or 8 bytes per digit.
  EXPECT_ERROR(parseSafeTensorsHeader("{\"a\":" + std::string(20000000, '['), 0), ExitCode::BadInput,
               "expected an object");
  std::string dims = R"({"a":{"dtype":"U8","shape":[1)";
  for (int i = 0; i < 1000000; ++i)
    dims += ",1";
  EXPECT_ERROR(parseSafeTensorsHeader(dims + R"(],"data_offsets":[0,1]}})", 1), ExitCode::BadInput,
               "more than 32 dimensions");
}
