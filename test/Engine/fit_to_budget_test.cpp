// The search for the fastest program that fits, on programs that are numbers.
#include "bpt/Engine/FitToBudget.h"
#include <gtest/gtest.h>
#include <map>

using namespace bpt;

namespace {

/// A program: what it takes.
struct Built {
  int64_t bytes = 0;
};

/// Ten layers of an input of 100 bytes each, which keep 14, 5, 2 or 1 of them beside `fixed` bytes.
struct Model {
  int64_t layers = 10, fixed = 1000, state = 0;
  int64_t lost = 0;                          ///< of a packing
  std::map<std::string, int64_t> exceptions; ///< bytes of policies that do not follow the rule
  std::vector<std::string> estimated, built;
  std::string broken; ///< fails

  int64_t kept(llvm::StringRef keep) const {
    return keep == "all" ? 14 : keep == "qkv" ? 5 : keep == "attention" ? 2 : 1;
  }
  int64_t bytes(const LayerPolicy &policy) const {
    if (auto found = exceptions.find(policy.getName()); found != exceptions.end())
      return found->second;
    int64_t others = layers - policy.lastLayers;
    return fixed - 10 * policy.heads +
           100 * (others / policy.segment * kept(policy.keep) + policy.lastLayers * kept(policy.lastKeep));
  }
  StepWork work() const {
    StepWork work;
    work.forward = 100, work.backward = 200;
    work.attention = 20, work.projections = 40, work.feedForward = 40;
    work.projectionsAgain = 30, work.feedForwardAgain = 20;
    work.inputBytes = 100.0 * static_cast<double>(layers);
    work.layers = layers;
    return work;
  }
  std::string fit(llvm::ArrayRef<LayerPolicy> policies, int64_t budget, bool split = true) {
    StepWork step = work();
    auto estimate = [&](const LayerPolicy &policy) -> Expected<MemoryEstimate> {
      estimated.push_back(policy.getName());
      if (estimated.back() == broken)
        return badInput("broken");
      return MemoryEstimate{bytes(policy), state};
    };
    std::string name;
    auto build = [&](const LayerPolicy &policy) -> Expected<Built> {
      name = policy.getName();
      built.push_back(name);
      return Built{bytes(policy) + lost};
    };
    considered.clear();
    Expected<Built> result = fitToBudget<Built>(policies, step, budget, split, estimate, build, considered);
    if (!result)
      return "error: " + result.takeError().message;
    return name + " " + std::to_string(result->bytes);
  }
  std::vector<PolicyCost> considered;
};

const std::vector<LayerPolicy> all = {{"all"}, {"qkv"}, {"attention"}, {"input"}, {"input", 2}, {"input", 5}};

TEST(FitToBudget, TheFastestThatFits) {
  Model model;
  EXPECT_EQ(model.fit(all, 15000), "all 15000");
  EXPECT_EQ(model.fit(all, 6000, false), "qkv 6000");
  EXPECT_EQ(model.fit(all, 5999, false), "attention 3000");
  EXPECT_EQ(model.fit(all, 1500, false), "input in segments of 2 1500");
}

TEST(FitToBudget, FewPoliciesAreLowered) {
  Model model;
  EXPECT_EQ(model.fit(all, 3000, false), "attention 3000");
  EXPECT_EQ(model.estimated, (std::vector<std::string>{"all", "attention", "qkv"}));
  EXPECT_EQ(model.built, std::vector<std::string>{"attention"});
}

TEST(FitToBudget, LayersAtTheEndGetTheFasterPolicy) {
  Model model;
  EXPECT_EQ(model.fit(all, 5000), "attention, qkv in the last 6 layers 4800");
  EXPECT_EQ(model.fit(all, 14999), "qkv, all in the last 9 layers 14100");
  EXPECT_EQ(model.fit(all, 1800), "input in segments of 2, input in the last 6 layers 1800");
  EXPECT_EQ(model.fit(all, 3050), "attention 3000"); // less than a layer is left
}

TEST(FitToBudget, ALineThatIsBent) {
  Model model;
  // Nothing is saved by the first four layers.
  for (int i = 1; i <= 9; ++i)
    model.exceptions[LayerPolicy{"attention", 1, 0, false, i, "qkv"}.getName()] = i <= 4 ? 3000 : 3000 + (i - 4) * 500;
  EXPECT_EQ(model.fit(all, 4600), "attention, qkv in the last 7 layers 4500");
  EXPECT_EQ(model.fit(all, 3100), "attention 3000");
  EXPECT_EQ(model.fit(all, 5600), "attention, qkv in the last 9 layers 5500");
}

TEST(FitToBudget, AGuessThatIsWrongIsMended) {
  Model model;
  model.exceptions["attention"] = 7000; // larger than it should be
  EXPECT_EQ(model.fit(all, 3000, false), "input 2000");
  Model smaller;
  smaller.exceptions["qkv"] = 2900; // smaller
  EXPECT_EQ(smaller.fit(all, 3000, false), "qkv 2900");
}

TEST(FitToBudget, TheSmallestWhereNoneFits) {
  Model model;
  model.exceptions["input in segments of 5"] = 1700;
  EXPECT_EQ(model.fit(all, 1000), "input in segments of 2 1500");
  for (const PolicyCost &policy : model.considered)
    EXPECT_EQ(policy.chosen, policy.name == "input in segments of 2");
}

TEST(FitToBudget, WhatNoPolicyChangesIsFoundOutAtOnce) {
  Model model;
  model.state = 1200;
  EXPECT_EQ(model.fit(all, 1100), "input in segments of 5 1200");
  EXPECT_EQ(model.estimated, std::vector<std::string>{"all"});
}

TEST(FitToBudget, WhatPackingLosesIsAskedFor) {
  Model model;
  model.lost = 30;
  EXPECT_EQ(model.fit(all, 6000, false), "attention 3030");
  EXPECT_EQ(model.fit(all, 6030, false), "qkv 6030");
  EXPECT_EQ(model.fit(all, 4820), "attention, qkv in the last 5 layers 4530");
}

TEST(FitToBudget, HeadsComeLast) {
  Model model;
  std::vector<LayerPolicy> policies = all;
  policies.push_back({"input", 1, 50});
  policies.push_back({"input", 5, 50});
  EXPECT_EQ(model.fit(policies, 800), "input in segments of 5 with heads by 50 700");
  EXPECT_EQ(model.fit(policies, 1200), "input in segments of 5 1200");
}

TEST(FitToBudget, CostsGoFromTheFastestToTheSmallest) {
  Model model;
  model.fit(all, 5000);
  ASSERT_GE(model.considered.size(), 3u);
  for (size_t i = 1; i < model.considered.size(); ++i) {
    EXPECT_GE(model.considered[i].flops, model.considered[i - 1].flops);
    EXPECT_LT(model.considered[i].bytes, model.considered[i - 1].bytes);
  }
  EXPECT_EQ(model.considered.front().name, "all");
}

TEST(FitToBudget, ErrorsEndTheSearch) {
  for (const char *broken : {"all", "attention", "attention, qkv in the last 6 layers"}) {
    Model model;
    model.broken = broken;
    EXPECT_EQ(model.fit(all, 5000), "error: broken") << broken;
  }
}

TEST(FitToBudget, OnePolicyIsBuiltWithoutAnEstimate) {
  Model model;
  EXPECT_EQ(model.fit({LayerPolicy{"qkv"}}, 10), "qkv 6000");
  EXPECT_TRUE(model.estimated.empty());
}

} // namespace
