// Reads safetensors files. The header goes through a SAX parser, so that duplicate keys and nesting are seen and
// nothing but the tensor list is built.
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/SafeTensors.h"
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace bpt {

namespace {

/// More dimensions than any model has; bounds what a header can make us store.
constexpr size_t maxRank = 32;

struct FileType {
  std::string_view name;
  uint64_t bits;
};

/// Every dtype of the format (safetensors 0.7, tensor.rs), also those the runtime cannot hold: a file with a mask of
/// BOOL next to its weights is a good file.
constexpr FileType fileTypes[] = {
    {"F64", 64},        {"I64", 64},    {"U64", 64},    {"C64", 64}, {"F32", 32}, {"I32", 32},
    {"U32", 32},        {"F16", 16},    {"BF16", 16},   {"I16", 16}, {"U16", 16}, {"F8_E4M3", 8},
    {"F8_E5M2", 8},     {"F8_E8M0", 8}, {"I8", 8},      {"U8", 8},   {"BOOL", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4}};

uint64_t bitsOf(std::string_view dtype) {
  for (const FileType &type : fileTypes)
    if (type.name == dtype)
      return type.bits;
  return 0;
}

/// Receives the events of the JSON parser. The format has a fixed depth, so the state is one enum.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
public:
  explicit HeaderHandler(SafeTensorsHeader &header) : header(header) {}
  std::string failure;

  bool start_object(std::size_t) override {
    if (place == Place::Start)
      return moveTo(Place::Top);
    if (place == Place::TensorValue) {
      header.tensors.emplace_back();
      header.tensors.back().name = keyName;
      sawType = sawShape = sawOffsets = false;
      return moveTo(Place::Tensor);
    }
    if (place == Place::MetadataValue)
      return moveTo(Place::Metadata);
    return unexpected("an object");
  }

  bool key(std::string &name) override {
    keyName = name;
    if (place == Place::Top) {
      if (name != "__metadata__")
        return moveTo(Place::TensorValue);
      if (std::exchange(sawMetadata, true))
        return fail("the key '__metadata__' is there twice");
      return moveTo(Place::MetadataValue);
    }
    if (place == Place::Metadata)
      return moveTo(Place::MetadataText);
    bool *saw = name == "dtype"          ? &sawType
                : name == "shape"        ? &sawShape
                : name == "data_offsets" ? &sawOffsets
                                         : nullptr;
    if (!saw)
      return fail(fmt::format("{}: expected dtype, shape and data_offsets, but got {}", tensorName(), inQuotes(name)));
    if (std::exchange(*saw, true))
      return fail(fmt::format("{}: the key {} is there twice", tensorName(), inQuotes(name)));
    return moveTo(saw == &sawType ? Place::Type : saw == &sawShape ? Place::ShapeValue : Place::OffsetsValue);
  }

  bool string(std::string &text) override {
    if (place == Place::MetadataText) {
      if (!header.metadata.emplace(keyName, text).second)
        return fail(fmt::format("__metadata__: the key {} is there twice", inQuotes(keyName)));
      return moveTo(Place::Metadata);
    }
    if (place != Place::Type)
      return unexpected("a string");
    if (!bitsOf(text))
      return fail(fmt::format("{}: unknown dtype {}", tensorName(), inQuotes(text)));
    header.tensors.back().dtype = text;
    header.tensors.back().type = dataTypeFromFileName(text);
    return moveTo(Place::Tensor);
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place == Place::Shape) {
      Shape &shape = header.tensors.back().shape;
      if (value > uint64_t(INT64_MAX))
        return fail(fmt::format("{}: a dimension of {} does not fit in 63 bits", tensorName(), value));
      if (shape.size() == maxRank)
        return fail(fmt::format("{}: more than {} dimensions", tensorName(), maxRank));
      shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (place != Place::Offsets)
      return unexpected("a number");
    if (offsetCount == 2)
      return fail(fmt::format("{}: expected two data_offsets, but got more", tensorName()));
    (offsetCount++ == 0 ? header.tensors.back().begin : header.tensors.back().end) = value;
    return true;
  }

  bool start_array(std::size_t) override {
    offsetCount = 0;
    if (place == Place::ShapeValue)
      return moveTo(Place::Shape);
    if (place == Place::OffsetsValue)
      return moveTo(Place::Offsets);
    return unexpected("an array");
  }

  bool end_array() override {
    if (place == Place::Offsets && offsetCount != 2)
      return fail(fmt::format("{}: expected two data_offsets, but got {}", tensorName(), offsetCount));
    return moveTo(Place::Tensor);
  }

  bool end_object() override {
    if (place != Place::Tensor)
      return moveTo(place == Place::Top ? Place::End : Place::Top);
    if (!sawType || !sawShape || !sawOffsets)
      return fail(fmt::format("{}: {} is missing", tensorName(),
                              !sawType    ? "dtype"
                              : !sawShape ? "shape"
                                          : "data_offsets"));
    return moveTo(Place::Top);
  }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const std::string &) override {
    return unexpected("a number that is no integer of 64 bits");
  }
  bool binary(binary_t &) override { return unexpected("binary data"); }
  bool parse_error(std::size_t position, const std::string &, const nlohmann::detail::exception &error) override {
    std::string reason = error.what();
    // The library's text starts with its own error number and position.
    size_t colon = reason.rfind(": ");
    return fail(fmt::format("not JSON at byte {} of the header: {}", position,
                            inQuotes(colon == std::string::npos ? reason : reason.substr(colon + 2))));
  }

private:
  enum class Place {
    Start,
    Top,
    MetadataValue,
    Metadata,
    MetadataText,
    TensorValue,
    Tensor,
    Type,
    ShapeValue,
    Shape,
    OffsetsValue,
    Offsets,
    End
  };

  bool moveTo(Place next) {
    place = next;
    return true;
  }
  bool fail(std::string message) {
    failure = std::move(message);
    return false;
  }
  std::string tensorName() const { return "tensor " + inQuotes(header.tensors.back().name); }

  bool unexpected(const char *what) {
    switch (place) {
    case Place::MetadataValue:
      return fail(fmt::format("__metadata__: expected an object of strings, but got {}", what));
    case Place::MetadataText:
      return fail(fmt::format("__metadata__: expected a string for {}, but got {}", inQuotes(keyName), what));
    case Place::TensorValue:
      return fail(fmt::format("tensor {}: expected an object, but got {}", inQuotes(keyName), what));
    case Place::Type:
      return fail(fmt::format("{}: expected a string for dtype, but got {}", tensorName(), what));
    case Place::ShapeValue:
    case Place::Shape:
      return fail(fmt::format("{}: expected an array of unsigned integers for shape, but got {}", tensorName(), what));
    case Place::OffsetsValue:
    case Place::Offsets:
      return fail(fmt::format("{}: expected two unsigned integers for data_offsets, but got {}", tensorName(), what));
    default:
      return fail(fmt::format("expected a JSON object, but got {}", what));
    }
  }

  SafeTensorsHeader &header;
  Place place = Place::Start;
  std::string keyName;
  bool sawMetadata = false, sawType = false, sawShape = false, sawOffsets = false;
  int offsetCount = 0;
};

/// The bytes `info` must have by its shape and dtype.
Expected<uint64_t> expectedBytes(const SafeTensorsInfo &info) {
  auto wrong = [&](const char *why) { return badInput(fmt::format("tensor {}: {}", inQuotes(info.name), why)); };
  uint64_t bits = bitsOf(info.dtype);
  for (int64_t size : info.shape)
    if (__builtin_mul_overflow(bits, static_cast<uint64_t>(size), &bits))
      return wrong("its size in bits does not fit in 64 bits");
  if (bits % 8)
    return wrong("its data does not end on a byte");
  return bits / 8;
}

/// Offsets must cover [0, dataBytes) without overlap, gap or rest: nothing is hidden and nothing is shared.
Status checkLayout(const std::vector<SafeTensorsInfo> &tensors, uint64_t dataBytes) {
  std::vector<const SafeTensorsInfo *> byOffset;
  for (const SafeTensorsInfo &info : tensors)
    byOffset.push_back(&info);
  std::sort(byOffset.begin(), byOffset.end(), [](const SafeTensorsInfo *a, const SafeTensorsInfo *b) {
    return std::tie(a->begin, a->end, a->name) < std::tie(b->begin, b->end, b->name);
  });
  uint64_t covered = 0;
  for (const SafeTensorsInfo *info : byOffset) {
    auto wrong = [&](const std::string &why) {
      return badInput(
          fmt::format("tensor {}: data_offsets [{}, {}]: {}", inQuotes(info->name), info->begin, info->end, why));
    };
    if (info->end < info->begin)
      return wrong("the end is before the begin");
    if (info->end > dataBytes)
      return wrong(fmt::format("the file has only {} bytes of data", dataBytes));
    Expected<uint64_t> bytes = expectedBytes(*info);
    if (!bytes)
      return bytes.takeError();
    if (*bytes != info->end - info->begin)
      return wrong(fmt::format("expected {} bytes for dtype {} and this shape, but got {}", *bytes, info->dtype,
                               info->end - info->begin));
    if (info->begin != covered)
      return wrong(fmt::format("expected to begin at {}: the data of tensors must follow each other without {}",
                               covered, info->begin < covered ? "overlap" : "gap"));
    covered = info->end;
  }
  if (covered != dataBytes)
    return badInput(fmt::format("the tensors cover {} bytes, but the file has {} bytes of data", covered, dataBytes));
  return {};
}

/// Reads exactly `bytes` at `offset`.
Status readAt(int descriptor, const std::string &path, void *buffer, uint64_t bytes, uint64_t offset) {
  char *next = static_cast<char *>(buffer);
  while (bytes > 0) {
    ssize_t count = ::pread(descriptor, next, std::min<uint64_t>(bytes, 1 << 30), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return fileError(path, "read", errno);
    if (count == 0)
      return ioError(fmt::format("{}: the file became shorter while it was read", path));
    next += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
  return {};
}

} // namespace

const SafeTensorsInfo *SafeTensorsHeader::find(std::string_view name) const {
  auto found = std::lower_bound(tensors.begin(), tensors.end(), name,
                                [](const SafeTensorsInfo &info, std::string_view value) { return info.name < value; });
  return found != tensors.end() && found->name == name ? &*found : nullptr;
}

Expected<SafeTensorsHeader> parseSafeTensorsHeader(std::string_view text, uint64_t dataBytes) {
  if (text.empty() || text.front() != '{')
    return badInput("the header does not start with '{'");
  // The JSON library takes a NUL for the end of the text and would not look at what follows.
  if (size_t nul = text.find('\0'); nul != std::string_view::npos)
    return badInput(fmt::format("not JSON at byte {} of the header: a NUL", nul));
  SafeTensorsHeader header;
  HeaderHandler handler(header);
  if (!nlohmann::json::sax_parse(text, &handler))
    return badInput(handler.failure);
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const SafeTensorsInfo &a, const SafeTensorsInfo &b) { return a.name < b.name; });
  for (size_t i = 1; i < header.tensors.size(); ++i)
    if (header.tensors[i - 1].name == header.tensors[i].name)
      return badInput(fmt::format("tensor {} is there twice", inQuotes(header.tensors[i].name)));
  if (Status layout = checkLayout(header.tensors, dataBytes); !layout)
    return layout.takeError();
  header.dataStart = 8 + text.size();
  return header;
}

Expected<SafeTensorsFile> SafeTensorsFile::open(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return fileError(path, "open", errno);
  SafeTensorsFile file;
  file.filePath = path;
  file.descriptor = std::shared_ptr<const int>(new int(descriptor), [](const int *held) {
    ::close(*held);
    delete held;
  });
  struct stat facts;
  if (::fstat(descriptor, &facts) < 0)
    return fileError(path, "read", errno);
  if (!S_ISREG(facts.st_mode))
    return badInput(path + ": expected a regular file");
  auto fileBytes = static_cast<uint64_t>(facts.st_size);
  if (fileBytes < 8)
    return badInput(fmt::format("{}: not a safetensors file: {} bytes are too few", path, fileBytes));
  unsigned char prefix[8];
  if (Status status = readAt(descriptor, path, prefix, sizeof(prefix), 0); !status)
    return status.takeError();
  uint64_t headerBytes = 0;
  for (int i = 7; i >= 0; --i)
    headerBytes = headerBytes << 8 | prefix[i];
  if (headerBytes > maxSafeTensorsHeaderBytes)
    return badInput(fmt::format("{}: not a safetensors file: a header of {} bytes is above the limit of {}", path,
                                headerBytes, maxSafeTensorsHeaderBytes));
  if (headerBytes > fileBytes - 8)
    return badInput(
        fmt::format("{}: a header of {} bytes is announced, but only {} bytes follow; the file is cut off or "
                    "not a safetensors file",
                    path, headerBytes, fileBytes - 8));
  std::string text(static_cast<size_t>(headerBytes), '\0');
  if (Status status = readAt(descriptor, path, text.data(), headerBytes, 8); !status)
    return status.takeError();
  Expected<SafeTensorsHeader> header = parseSafeTensorsHeader(text, fileBytes - 8 - headerBytes);
  if (!header)
    return header.error().in(path);
  file.contents = header.take();
  return file;
}

Expected<Tensor> SafeTensorsFile::read(std::string_view name) const {
  const SafeTensorsInfo *info = find(name);
  if (!info) {
    std::vector<std::string> names;
    for (const SafeTensorsInfo &tensor : tensors())
      names.push_back(tensor.name);
    std::string nearest = nearestName(std::string(name), names);
    return badInput(fmt::format("{}: no tensor is called {}{}", filePath, inQuotes(name),
                                nearest.empty() ? "" : "; did you mean " + inQuotes(nearest)));
  }
  if (!info->type)
    return badInput(fmt::format("{}: tensor {}: expected dtype F32, F64, BF16, F16, I32 or I64, but got {}", filePath,
                                inQuotes(name), info->dtype));
  Expected<Tensor> tensor = Tensor::allocate(*info->type, info->shape);
  if (!tensor)
    return tensor.error().in(filePath);
  if (Status status = readInto(*info, tensor->data()); !status)
    return status.takeError();
  return tensor;
}

Status SafeTensorsFile::readInto(const SafeTensorsInfo &info, void *buffer) const {
  return readAt(*descriptor, filePath, buffer, info.end - info.begin, contents.dataStart + info.begin);
}

} // namespace bpt
