// Parses and validates manifests. Every error names the field by its path in the JSON text.
#include "bpt/Runtime/Manifest.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

namespace bpt {

namespace {

using Json = nlohmann::json;

/// A JSON value with its path. A failed read gives a neutral value and is remembered in the parser: the caller reads on
/// and the first error wins.
class Field {
public:
  Field(const Json *value, std::string path, std::optional<Error> &error)
      : value(value), path(std::move(path)), error(error) {}

  bool exists() const { return value && !value->is_null(); }
  size_t size() const { return value && value->is_array() ? value->size() : 0; }

  void fail(const std::string &message) const {
    if (!error)
      error = badInput(fmt::format("manifest: {}: {}", path.empty() ? "top level" : path, message));
  }

  /// The member `key`; missing members are reported when they are read, unless asked with exists().
  Field operator[](const char *key) const {
    const Json *member = nullptr;
    if (value && value->is_object())
      if (auto found = value->find(key); found != value->end())
        member = &*found;
    return Field(member, path.empty() ? key : path + "." + key, error);
  }
  Field operator[](size_t index) const { return Field(&(*value)[index], fmt::format("{}[{}]", path, index), error); }

  std::string string() const {
    if (const auto *text = get<const std::string *>(Json::value_t::string, "a string"))
      return *text;
    return {};
  }
  bool boolean() const {
    const auto *flag = get<const bool *>(Json::value_t::boolean, "true or false");
    return flag && *flag;
  }
  const Field &array() const {
    if (!value || !value->is_array())
      fail(expected("an array"));
    return *this;
  }
  double number() const {
    if (value && value->is_number())
      return value->get<double>();
    fail(expected("a number"));
    return 0;
  }
  int64_t integer(int64_t least) const {
    bool fits = value && value->is_number_integer() &&
                !(value->is_number_unsigned() && value->get<uint64_t>() > uint64_t(INT64_MAX));
    if (fits && value->get<int64_t>() >= least)
      return value->get<int64_t>();
    fail(expected(fmt::format("an integer of at least {}", least)));
    return least;
  }
  /// An integer or a string with a formula over `dims` dynamic dimensions.
  Formula formula(int64_t dims) const {
    if (value && value->is_number())
      return Formula(integer(0));
    Expected<Formula> parsed = Formula::parse(string());
    if (!parsed) {
      fail(parsed.error().message);
      return Formula();
    }
    if (parsed->dimsNeeded() > dims)
      fail(fmt::format("formula {} names d{}, but the arguments have {} dynamic dimensions", inQuotes(parsed->text()),
                       parsed->dimsNeeded() - 1, dims));
    return parsed.take();
  }
  DataType dataType() const {
    std::string name = string();
    if (std::optional<DataType> type = dataTypeFromFileName(name))
      return *type;
    fail(fmt::format("expected F32, F64, BF16, F16, I32 or I64, but got {}", inQuotes(name)));
    return DataType::F32;
  }

private:
  template <typename Pointer> Pointer get(Json::value_t type, const char *what) const {
    if (value && value->type() == type)
      return value->get_ptr<Pointer>();
    fail(expected(what));
    return nullptr;
  }
  std::string expected(const std::string &what) const {
    if (!value)
      return fmt::format("expected {}, but the field is missing", what);
    std::string text =
        value->is_structured() ? value->type_name() : value->dump(-1, ' ', false, Json::error_handler_t::replace);
    return fmt::format("expected {}, but got {}", what, inQuotes(text));
  }

  const Json *value;
  std::string path;
  std::optional<Error> &error;
};

Init parseInit(const Field &field) {
  Init init;
  std::string kind = field["kind"].string();
  if (kind == "normal") {
    init.kind = Init::Kind::Normal;
    init.std = field["std"].number();
  } else if (kind == "ones") {
    init.kind = Init::Kind::Ones;
  } else if (kind != "zeros") {
    field["kind"].fail(fmt::format("expected normal, zeros or ones, but got {}", inQuotes(kind)));
  }
  return init;
}

ArgumentInfo parseArgument(const Field &field) {
  ArgumentInfo argument;
  argument.name = field["name"].string();
  argument.type = field["dtype"].dataType();
  Field shape = field["shape"].array();
  Shape known;
  for (size_t i = 0; i < shape.size(); ++i) {
    argument.shape.push_back(shape[i].integer(-1));
    known.push_back(std::max<int64_t>(argument.shape.back(), 1));
  }
  if (Expected<int64_t> count = countElements(known, argument.type); !count)
    shape.fail(count.error().message);
  if (field["init"].exists())
    argument.init = parseInit(field["init"]);
  argument.parameter = field["parameter"].exists() ? field["parameter"].boolean() : argument.init.has_value();
  argument.decay = field["decay"].exists() && field["decay"].boolean();
  if (field["range"].exists())
    argument.range = field["range"].integer(1);
  if (field["ignore_index"].exists())
    argument.ignoreIndex = field["ignore_index"].integer(INT64_MIN);
  else if (argument.range && argument.name == "targets")
    argument.ignoreIndex = -100;
  return argument;
}

ResultInfo parseResult(const Field &field, const EntryInfo &entry) {
  ResultInfo result;
  result.name = field["name"].string();
  result.type = field["dtype"].dataType();
  Field shape = field["shape"].array();
  for (size_t i = 0; i < shape.size(); ++i)
    result.shape.push_back(shape[i].formula(entry.dynamicDims()));
  bool inSlot = field["slot"].exists();
  if (inSlot == field["argument"].exists())
    field.fail("expected either \"slot\" or \"argument\"");
  Field place = field[inSlot ? "slot" : "argument"];
  int64_t index = place.integer(0);
  size_t limit = inSlot ? entry.slots.size() : entry.arguments.size();
  if (static_cast<size_t>(index) >= limit)
    place.fail(fmt::format("expected an index below {}, but got {}", limit, index));
  else if (!inSlot && entry.arguments[static_cast<size_t>(index)].type != result.type)
    place.fail(fmt::format("the result is {}, but the argument updated in place is {}", mlirName(result.type),
                           mlirName(entry.arguments[static_cast<size_t>(index)].type)));
  (inSlot ? result.slot : result.argument) = index;
  return result;
}

SlotInfo parseSlot(const Field &field, int64_t dims) {
  SlotInfo slot;
  slot.name = field["name"].string();
  slot.kind = field["kind"].string();
  slot.bytes = field["bytes"].formula(dims);
  slot.first = field["first"].integer(0);
  slot.last = field["last"].integer(0);
  if (slot.last < slot.first)
    field["last"].fail(fmt::format("expected at least {} (\"first\"), but got {}", slot.first, slot.last));
  return slot;
}

template <typename List> void checkUniqueNames(const Field &field, const List &list) {
  std::set<std::string> names;
  for (const auto &item : list)
    if (!names.insert(item.name).second)
      field.fail(fmt::format("the name {} is there twice", inQuotes(item.name)));
}

EntryInfo parseEntry(const Field &field) {
  EntryInfo entry;
  entry.name = field["name"].string();
  entry.symbol = field["symbol"].string();
  Field arguments = field["args"].array(), slots = field["slots"].array(), results = field["results"].array();
  for (size_t i = 0; i < arguments.size(); ++i)
    entry.arguments.push_back(parseArgument(arguments[i]));
  for (size_t i = 0; i < slots.size(); ++i)
    entry.slots.push_back(parseSlot(slots[i], entry.dynamicDims()));
  for (size_t i = 0; i < results.size(); ++i)
    entry.results.push_back(parseResult(results[i], entry));
  checkUniqueNames(arguments, entry.arguments);
  checkUniqueNames(results, entry.results);
  if (field["flops"].exists())
    entry.flops = field["flops"].formula(entry.dynamicDims());
  return entry;
}

} // namespace

int64_t EntryInfo::dynamicDims() const {
  int64_t count = 0;
  for (const ArgumentInfo &argument : arguments)
    for (int64_t size : argument.shape)
      count += size < 0;
  return count;
}

Expected<const EntryInfo *> Manifest::find(const std::string &name) const {
  if (name.empty() && entries.size() == 1)
    return &entries.front();
  std::vector<std::string> names;
  for (const EntryInfo &entry : entries) {
    if (!name.empty() && entry.name == name)
      return &entry;
    names.push_back(entry.name);
  }
  std::string known = fmt::format("the entries are {}", fmt::join(names, ", "));
  if (name.empty())
    return usageError(fmt::format("expected --entry=NAME: {}", known));
  std::string nearest = nearestName(name, names);
  return badInput(fmt::format("no entry is called {}: {}{}", inQuotes(name), known,
                              nearest.empty() ? "" : fmt::format("; did you mean {}", inQuotes(nearest))));
}

Expected<Manifest> parseManifest(std::string_view text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception &failure) {
    return badInput(fmt::format("manifest: not JSON: {}", failure.what()));
  }
  std::optional<Error> error;
  Field top(&json, "", error);
  if (!json.is_object() || top["magic"].string() != "bpt-manifest")
    return badInput("manifest: expected an object with \"magic\": \"bpt-manifest\"");
  if (int64_t version = top["version"].integer(0); version != 1)
    top["version"].fail(
        fmt::format("this runtime reads version 1, but got {}; use the libbpt_runtime that came with the "
                    "compiler, or compile again",
                    version));
  Manifest manifest;
  manifest.compiler = top["compiler"].exists() ? top["compiler"].string() : "";
  manifest.target = top["target"].string();
  if (Field cpu = top["cpu"]; cpu.exists()) {
    manifest.cpuName = cpu["name"].exists() ? cpu["name"].string() : "";
    Field features = cpu["features"].array();
    for (size_t i = 0; i < features.size(); ++i)
      manifest.cpuFeatures.push_back(features[i].string());
  }
  manifest.threadScratch = top["thread_scratch"].exists() ? top["thread_scratch"].integer(0) : 0;
  manifest.sharedScratch = top["shared_scratch"].exists() ? top["shared_scratch"].integer(0) : 0;
  manifest.keptActivations = top["kept_activations"].exists() ? top["kept_activations"].string() : "";
  Field entries = top["entries"].array();
  for (size_t i = 0; i < entries.size(); ++i)
    manifest.entries.push_back(parseEntry(entries[i]));
  checkUniqueNames(entries, manifest.entries);
  if (Field kernels = top["kernels"]; kernels.exists()) {
    kernels.array();
    for (size_t i = 0; i < kernels.size(); ++i)
      manifest.kernels.push_back({kernels[i]["name"].string(), kernels[i]["place"].string()});
  }
  if (Field regions = top["regions"]; regions.exists()) {
    regions.array();
    for (size_t i = 0; i < regions.size(); ++i)
      manifest.regions.push_back({regions[i]["op"].string(), regions[i]["function"].string(),
                                  regions[i]["place"].string(), regions[i]["flops"].integer(0),
                                  regions[i]["bytes"].integer(0)});
  }
  if (error)
    return *error;
  return manifest;
}

} // namespace bpt
