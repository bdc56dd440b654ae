// Profiles: sums by op, the table, JSON and trace.
#include "bpt/Runtime/Profile.h"
#include "bpt/Runtime/RuntimeABI.h"
#include "bpt/Runtime/Threads.h"
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace bpt;
using nlohmann::json;

namespace {

/// Two ops of one place, and one that is never called.
const std::vector<RegionInfo> regions = {{"bpt.attention", "f", "g.mlir:3", 1000, 64},
                                         {"bpt.attention", "f", "g.mlir:3", 500, 32},
                                         {"bpt.rotary", "f", "", 0, 8}};

void runOnce(Profile &profile) {
  profile.beginRun();
  for (int64_t region : {0, 1, 0}) {
    profile.begin(region);
    profile.end(region);
  }
  profile.endRun();
}

} // namespace

TEST(Profile, SumsRegionsOfOneOp) {
  Profile profile(regions);
  runOnce(profile);
  runOnce(profile);
  EXPECT_EQ(profile.runs(), 2);
  std::vector<Profile::Row> rows = profile.rows();
  ASSERT_EQ(rows.size(), 2u); // the op, and what no region covers
  const Profile::Row &op = rows[0].info ? rows[0] : rows[1], &rest = rows[0].info ? rows[1] : rows[0];
  EXPECT_EQ(op.info->op, "bpt.attention");
  EXPECT_EQ(op.calls, 6);
  EXPECT_EQ(op.flops, 2 * (2 * 1000 + 500));
  EXPECT_EQ(op.bytes, 2 * (2 * 64 + 32));
  EXPECT_EQ(rest.info, nullptr);
  EXPECT_NEAR(op.seconds + rest.seconds, profile.seconds(), 1e-12);
}

TEST(Profile, JsonIsOfOneRun) {
  Profile profile(regions);
  runOnce(profile);
  runOnce(profile);
  json rows = json::parse(profile.json());
  for (const json &row : rows)
    if (row["op"] == "bpt.attention") {
      EXPECT_EQ(row["calls"], 3);
      EXPECT_EQ(row["flops"], 2500);
      EXPECT_EQ(row["place"], "g.mlir:3");
    }
}

TEST(Profile, TableNamesOpFunctionAndPlace) {
  Profile profile(regions);
  runOnce(profile);
  EXPECT_NE(profile.table().find("bpt.attention in f at g.mlir:3"), std::string::npos) << profile.table();
  EXPECT_EQ(profile.table().find("bpt.rotary"), std::string::npos);
}

TEST(Profile, TraceHasEachCallInsideItsRun) {
  Profile profile(regions);
  runOnce(profile);
  json events = json::parse(profile.trace())["traceEvents"];
  ASSERT_EQ(events.size(), 4u);
  const json &run = events.back();
  EXPECT_EQ(run["name"], "run");
  for (const json &event : events) {
    EXPECT_EQ(event["ph"], "X");
    EXPECT_GE(event["ts"].get<double>(), run["ts"].get<double>());
    EXPECT_LE(event["ts"].get<double>() + event["dur"].get<double>(),
              run["ts"].get<double>() + run["dur"].get<double>() + 1e-3);
  }
}

TEST(Profile, CompiledCodeReportsThroughItsContext) {
  bpt_context context;
  bpt_profile(&context, 0, 1); // nobody listens
  Profile profile(regions);
  context.profile = &profile;
  bpt_profile(&context, 2, 1);
  bpt_profile(&context, 2, 0);
  bpt_profile(&context, 7, 1); // no such region
  bpt_profile(&context, 7, 0);
  ASSERT_EQ(profile.rows().size(), 2u);
}
