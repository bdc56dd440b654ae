// Manifests: what is written comes back; every wrong field is named.
#include "TestFiles.h"
#include "bpt/Runtime/Manifest.h"

using namespace bpt;

namespace {

const std::string text =
    R"({"magic":"bpt-manifest","version":1,"compiler":"0.1.0","target":"cpu",)"
    R"("cpu":{"name":"sapphirerapids","features":["+avx512f","+fma"]},"thread_scratch":4096,"shared_scratch":512,"entries":[)"
    R"({"name":"loss.grad","symbol":"bpt_entry_loss_grad","args":[)"
    R"({"name":"w","dtype":"BF16","shape":[64,32],"parameter":true,"init":{"kind":"normal","std":0.02},"decay":true},)"
    R"({"name":"tokens","dtype":"I32","shape":[2,-1],"range":256},)"
    R"({"name":"targets","dtype":"I32","shape":[-1,2],"range":256,"ignore_index":-100}],"results":[)"
    R"({"name":"loss","dtype":"F32","shape":[],"slot":1},)"
    R"({"name":"w.grad","dtype":"BF16","shape":[64,"d0 2 *"],"argument":0}],"slots":[)"
    R"({"name":"scores","kind":"workspace","bytes":"d0 d1 * 4 *","first":0,"last":3},)"
    R"({"name":"loss","kind":"result","bytes":4,"first":3,"last":9}],"flops":"d0 64 *"}],"kept_activations":"all",)"
    R"("regions":[{"op":"bpt.attention","function":"layer","place":"g.mlir:3","flops":12,"bytes":34}]})";

std::string with(const std::string &from, const std::string &to) {
  std::string changed = text;
  size_t at = changed.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return changed.replace(at, from.size(), to);
}

} // namespace

TEST(Manifest, IsRead) {
  Expected<Manifest> manifest = parseManifest(text);
  ASSERT_OK(manifest);
  EXPECT_EQ(manifest->target, "cpu");
  EXPECT_EQ(manifest->cpuFeatures, (std::vector<std::string>{"+avx512f", "+fma"}));
  EXPECT_EQ(manifest->threadScratch, 4096);
  EXPECT_EQ(manifest->sharedScratch, 512);
  EXPECT_EQ(manifest->keptActivations, "all");
  ASSERT_EQ(manifest->regions.size(), 1u);
  EXPECT_EQ(manifest->regions[0].op, "bpt.attention");
  EXPECT_EQ(manifest->regions[0].bytes, 34);
  const EntryInfo &entry = manifest->entries.at(0);
  EXPECT_EQ(entry.symbol, "bpt_entry_loss_grad");
  EXPECT_EQ(entry.dynamicDims(), 2);
  EXPECT_TRUE(entry.arguments[0].parameter && entry.arguments[0].decay);
  EXPECT_EQ(entry.arguments[0].init->std, 0.02);
  EXPECT_EQ(entry.arguments[1].range, 256);
  EXPECT_FALSE(entry.arguments[1].ignoreIndex);
  EXPECT_EQ(entry.arguments[2].ignoreIndex, -100);
  EXPECT_EQ(entry.results[0].slot, 1);
  EXPECT_EQ(entry.results[1].argument, 0);
  EXPECT_EQ(entry.results[1].shape[1].text(), "d0 2 *");
  EXPECT_EQ(entry.slots[0].bytes.text(), "d0 d1 * 4 *");
  EXPECT_EQ(entry.flops.text(), "d0 64 *");
}

TEST(Manifest, IsWrittenAsItWasRead) { EXPECT_EQ(writeManifest(parseManifest(text).take()), text); }

TEST(Manifest, TargetsMayBeIgnoredUnlessTheManifestSaysOtherwise) {
  Expected<Manifest> manifest = parseManifest(with(",\"ignore_index\":-100", ""));
  ASSERT_OK(manifest);
  EXPECT_EQ(manifest->entries[0].arguments[2].ignoreIndex, -100);
  manifest = parseManifest(with("\"ignore_index\":-100", "\"ignore_index\":-1"));
  ASSERT_OK(manifest);
  EXPECT_EQ(manifest->entries[0].arguments[2].ignoreIndex, -1);
}

TEST(Manifest, EntriesAreFoundByName) {
  Manifest manifest = parseManifest(text).take();
  EXPECT_EQ(*manifest.find("loss.grad"), &manifest.entries[0]);
  EXPECT_EQ(*manifest.find(""), &manifest.entries[0]);
  EXPECT_ERROR(manifest.find("loss.gard"), ExitCode::BadInput, "did you mean 'loss.grad'");
  manifest.entries.push_back(manifest.entries[0]);
  manifest.entries[1].name = "step";
  EXPECT_ERROR(manifest.find(""), ExitCode::Usage, "expected --entry=NAME: the entries are loss.grad, step");
}

TEST(Manifest, WrongFieldsAreNamed) {
  struct {
    const char *from, *to, *message;
  } cases[] = {
      {"bpt-manifest", "other", "expected an object with \"magic\""},
      {"\"version\":1", "\"version\":2", "version: this runtime reads version 1, but got 2; use the libbpt_runtime"},
      {"\"version\":1", "\"version\":\"1\"", "version: expected an integer of at least 0, but got '\"1\"'"},
      {"\"target\":\"cpu\",", "", "target: expected a string, but the field is missing"},
      {"\"thread_scratch\":4096", "\"thread_scratch\":-1", "thread_scratch: expected an integer of at least 0"},
      {"\"thread_scratch\":4096", "\"thread_scratch\":1e99", "thread_scratch: expected an integer"},
      {"\"thread_scratch\":4096", "\"thread_scratch\":18446744073709551615", "thread_scratch: expected an integer"},
      {"[\"+avx512f\",\"+fma\"]", "\"+fma\"", "cpu.features: expected an array"},
      {"\"+fma\"]", "7]", "cpu.features[1]: expected a string, but got '7'"},
      {"\"entries\":[", "\"entry\":[", "entries: expected an array, but the field is missing"},
      {"\"name\":\"loss.grad\",", "", "entries[0].name: expected a string"},
      {"\"BF16\",\"shape\":[64,32]", "\"BF17\",\"shape\":[64,32]", "entries[0].args[0].dtype: expected F32, F64"},
      {"[64,32]", "[64,-2]", "entries[0].args[0].shape[1]: expected an integer of at least -1"},
      {"[64,32]", "[4611686018427387904,4611686018427387904]", "entries[0].args[0].shape: "},
      {"\"normal\"", "\"uniform\"", "entries[0].args[0].init.kind: expected normal, zeros or ones, but got 'uniform'"},
      {"\"std\":0.02", "\"std\":\"x\"", "entries[0].args[0].init.std: expected a number"},
      {"\"decay\":true", "\"decay\":1", "entries[0].args[0].decay: expected true or false"},
      {"\"range\":256}", "\"range\":0}", "entries[0].args[1].range: expected an integer of at least 1"},
      {"\"name\":\"tokens\"", "\"name\":\"w\"", "entries[0].args: the name 'w' is there twice"},
      {"\"slot\":1", "\"slot\":2", "entries[0].results[0].slot: expected an index below 2, but got 2"},
      {"\"slot\":1", "\"slot\":1,\"argument\":0", "entries[0].results[0]: expected either \"slot\" or \"argument\""},
      {",\"slot\":1", "", "entries[0].results[0]: expected either"},
      {"\"argument\":0", "\"argument\":3", "entries[0].results[1].argument: expected an index below 3"},
      {"\"argument\":0", "\"argument\":1", "the result is bf16, but the argument updated in place is i32"},
      {"\"d0 2 *\"", "\"d2 2 *\"", "entries[0].results[1].shape[1]: formula 'd2 2 *' names d2"},
      {"\"d0 2 *\"", "\"d0 *\"", "entries[0].results[1].shape[1]: formula 'd0 *': expected two operands"},
      {"\"bytes\":4", "\"bytes\":-4", "entries[0].slots[1].bytes: expected an integer of at least 0"},
      {"\"bytes\":4", "\"bytes\":4.5", "entries[0].slots[1].bytes: expected an integer"},
      {"\"bytes\":4", "\"bytes\":[4]", "entries[0].slots[1].bytes: expected a string"},
      {"\"first\":3", "\"first\":10", "entries[0].slots[1].last: expected at least 10"},
      {"\"flops\":\"d0 64 *\"", "\"flops\":\"d9\"", "entries[0].flops: formula 'd9' names d9"},
  };
  for (const auto &bad : cases)
    EXPECT_ERROR(parseManifest(with(bad.from, bad.to)), ExitCode::BadInput, bad.message);
}

TEST(Manifest, TextThatIsNoManifestIsRefused) {
  for (const char *bad : {"", "x", "[]", "1", "null", "{\"magic\":", "{\"magic\":\"bpt-manifest\"", "{}"})
    EXPECT_ERROR(parseManifest(bad), ExitCode::BadInput, "manifest: ");
}

TEST(Manifest, EveryPrefixIsRefused) {
  for (size_t length = 0; length < text.size(); ++length)
    ASSERT_FALSE(parseManifest(text.substr(0, length)).ok()) << length;
}
