// Hand-made bad safetensors files: each breaks one rule and is refused with a message that names it.
#include "TestFiles.h"
#include "bpt/Runtime/SafeTensors.h"

using namespace bpt;

namespace {

struct BadFile {
  const char *name;
  std::string header;
  size_t dataBytes;
  const char *message;
};

/// A header with one tensor `a` whose description is `body`.
std::string tensor(const std::string &body) { return "{\"a\":" + body + "}"; }

const std::string good = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";

const BadFile badFiles[] = {
    {"EmptyHeader", "", 0, "does not start with '{'"},
    {"LeadingSpace", " {}", 0, "does not start with '{'"},
    {"Array", "[]", 0, "does not start with '{'"},
    {"ByteOrderMark", "\xef\xbb\xbf{}", 0, "does not start with '{'"},
    {"OnlyBrace", "{", 0, "not JSON at byte"},
    {"Unterminated", R"({"a":{"dtype":"F32")", 0, "not JSON at byte"},
    {"TrailingText", "{}x", 0, "not JSON at byte"},
    {"TwoObjects", "{}{}", 0, "not JSON at byte"},
    {"TrailingNul", std::string("{}\0", 3), 0, "not JSON at byte"},
    {"TrailingComma", tensor(good + ","), 8, "not JSON at byte"},
    {"SingleQuotes", "{'a':1}", 0, "not JSON at byte"},
    {"Comment", "{/*x*/}", 0, "not JSON at byte"},
    {"NotUtf8", "{\"\xff\":1}", 0, "not JSON at byte"},
    {"OverlongUtf8", "{\"\xc0\xaf\":1}", 0, "not JSON at byte"},
    {"LoneSurrogate", R"({"\ud800":1})", 0, "not JSON at byte"},
    {"RawControlCharacter", "{\"a\x01\":1}", 0, "not JSON at byte"},
    {"NaNLiteral", tensor("NaN"), 0, "not JSON at byte"},
    {"TensorIsNumber", tensor("1"), 0, "expected an object, but got a number"},
    {"TensorIsString", tensor("\"x\""), 0, "expected an object, but got a string"},
    {"TensorIsNull", tensor("null"), 0, "expected an object, but got null"},
    {"TensorIsArray", tensor("[]"), 0, "expected an object, but got an array"},
    {"TensorIsEmpty", tensor("{}"), 0, "dtype is missing"},
    {"NoShape", tensor(R"({"dtype":"F32","data_offsets":[0,8]})"), 8, "shape is missing"},
    {"NoOffsets", tensor(R"({"dtype":"F32","shape":[2]})"), 8, "data_offsets is missing"},
    {"UnknownKey", tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"code":"x"})"), 8, "but got 'code'"},
    {"RepeatedKey", tensor(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"), 8,
     "the key 'dtype' is there twice"},
    {"RepeatedTensor", "{\"a\":" + good + ",\"a\":" + good + "}", 8, "tensor 'a' is there twice"},
    {"RepeatedEscapedTensor", "{\"a\":" + good + ",\"\\u0061\":" + good + "}", 8, "tensor 'a' is there twice"},
    {"UnknownType", tensor(R"({"dtype":"F31","shape":[2],"data_offsets":[0,8]})"), 8, "unknown dtype 'F31'"},
    {"LowerCaseType", tensor(R"({"dtype":"f32","shape":[2],"data_offsets":[0,8]})"), 8, "unknown dtype 'f32'"},
    {"TypeIsNumber", tensor(R"({"dtype":32,"shape":[2],"data_offsets":[0,8]})"), 8, "expected a string for dtype"},
    {"ShapeIsNumber", tensor(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"), 8, "array of unsigned integers"},
    {"ShapeIsNested", tensor(R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})"), 8, "but got an array"},
    {"NegativeSize", tensor(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), 8, "but got a negative number"},
    {"FractionalSize", tensor(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), 8, "no integer of 64 bits"},
    {"SizeBeyond63Bits", tensor(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})"), 8,
     "does not fit in 63 bits"},
    {"SizeBeyond64Bits", tensor(R"({"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]})"), 8,
     "no integer of 64 bits"},
    {"StringSize", tensor(R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})"), 8, "but got a string"},
    {"ProductOverflows", tensor(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"), 8,
     "does not fit in 64 bits"},
    {"ProductWrapsToSize", tensor(R"({"dtype":"F32","shape":[2305843009213693954],"data_offsets":[0,8]})"), 8,
     "does not fit in 64 bits"},
    {"OneOffset", tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})"), 8, "two data_offsets, but got 1"},
    {"NoOffset", tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[]})"), 8, "two data_offsets, but got 0"},
    {"ThreeOffsets", tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})"), 8,
     "two data_offsets, but got more"},
    {"NegativeOffset", tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"), 8, "but got a negative number"},
    {"OffsetsIsObject", tensor(R"({"dtype":"F32","shape":[2],"data_offsets":{}})"), 8, "but got an object"},
    {"EndBeforeBegin", tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), 8, "the end is before the begin"},
    {"BeyondTheFile", tensor(R"({"dtype":"F32","shape":[3],"data_offsets":[0,12]})"), 8, "has only 8 bytes of data"},
    {"HugeOffset", tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[18446744073709551607,18446744073709551615]})"),
     8, "has only 8 bytes of data"},
    {"SizeMismatch", tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,8]})"), 8,
     "expected 4 bytes for dtype F32"},
    {"NotAtTheBegin", tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"), 8, "without gap"},
    {"RestAtTheEnd", tensor(good), 9, "cover 8 bytes, but the file has 9"},
    {"DataWithoutTensors", "{}", 4, "cover 0 bytes, but the file has 4"},
    {"Gap",
     R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})", 3,
     "without gap"},
    {"Overlap",
     R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3,
     "without overlap"},
    {"SharedData", "{\"a\":" + good + ",\"b\":" + good + "}", 8, "without overlap"},
    {"HalfByte", tensor(R"({"dtype":"F4","shape":[3],"data_offsets":[0,2]})"), 2, "does not end on a byte"},
    {"MetadataIsString", R"({"__metadata__":"x"})", 0, "expected an object of strings"},
    {"MetadataIsNumbers", R"({"__metadata__":{"k":1}})", 0, "__metadata__: expected a string for 'k'"},
    {"MetadataIsNested", R"({"__metadata__":{"k":{}}})", 0, "__metadata__: expected a string for 'k'"},
    {"RepeatedMetadata", R"({"__metadata__":{},"__metadata__":{}})", 0, "'__metadata__' is there twice"},
    {"RepeatedMetadataKey", R"({"__metadata__":{"k":"1","k":"2"}})", 0, "the key 'k' is there twice"},
};

class BadSafeTensors : public ::testing::TestWithParam<BadFile> {};

std::string fileBytes(uint64_t announced, const std::string &rest) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i)
    bytes[i] = static_cast<char>(announced >> (8 * i));
  return bytes + rest;
}

} // namespace

TEST_P(BadSafeTensors, IsRefused) {
  const BadFile &bad = GetParam();
  EXPECT_ERROR(parseSafeTensorsHeader(bad.header, bad.dataBytes), ExitCode::BadInput, bad.message);
  TemporaryFolder folder;
  std::string path = folder.file("bad.safetensors");
  writeBytes(path, fileBytes(bad.header.size(), bad.header + std::string(bad.dataBytes, 'x')));
  EXPECT_ERROR(SafeTensorsFile::open(path), ExitCode::BadInput, bad.message);
}

INSTANTIATE_TEST_SUITE_P(Files, BadSafeTensors, ::testing::ValuesIn(badFiles),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(BadSafeTensorsLength, IsChecked) {
  TemporaryFolder folder;
  std::string path = folder.file("bad.safetensors");
  for (uint64_t announced : {uint64_t(3), uint64_t(100000000)}) {
    writeBytes(path, fileBytes(announced, "{}"));
    EXPECT_ERROR(SafeTensorsFile::open(path), ExitCode::BadInput, "is announced, but only 2 bytes follow");
  }
  for (uint64_t announced : {uint64_t(100000001), uint64_t(1) << 63, ~uint64_t(0)}) {
    writeBytes(path, fileBytes(announced, "{}"));
    EXPECT_ERROR(SafeTensorsFile::open(path), ExitCode::BadInput, "above the limit of 100000000");
  }
}

TEST(BadSafeTensorsMessages, CannotControlTheTerminal) {
  Expected<SafeTensorsHeader> header = parseSafeTensorsHeader("{\"\\u001b[31m\xc2\x9b\":1}", 0);
  ASSERT_FALSE(header.ok());
  EXPECT_EQ(header.error().message.find('\x1b'), std::string::npos);
  EXPECT_NE(header.error().message.find("\\x1b[31m\\xc2\\x9b"), std::string::npos) << header.error().message;
}
