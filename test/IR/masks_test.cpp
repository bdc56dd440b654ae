// Every method of every mask against the rules of BPTAttrs.td, pair by pair; what is built as IR is folded and read
// back.
#include "bpt/IR/BPT.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/OwningOpRef.h"
#include <gtest/gtest.h>
#include <random>

using namespace mlir;

namespace {
using Rule = std::function<bool(int64_t, int64_t)>;
struct Case {
  std::string name;
  bpt::BlockMaskAttrInterface mask;
  Rule rule;
};

class Masks : public testing::Test {
protected:
  Masks() : builder(&context) {
    context.loadDialect<bpt::BPTDialect, arith::ArithDialect>();
    module = ModuleOp::create(builder.getUnknownLoc());
    builder.setInsertionPointToStart(module->getBody());
    auto add = [&](std::string name, Attribute mask, Rule rule) {
      cases.push_back({name, cast<bpt::BlockMaskAttrInterface>(mask), rule});
    };
    add("full", bpt::FullMaskAttr::get(&context), [](int64_t, int64_t) { return true; });
    add("causal", bpt::CausalMaskAttr::get(&context), [](int64_t i, int64_t j) { return j <= i; });
    for (int64_t size : {1, 3, 100})
      add("window " + std::to_string(size), bpt::SlidingWindowMaskAttr::get(&context, size),
          [=](int64_t i, int64_t j) { return std::abs(i - j) < size; });
    for (int64_t length : {1, 4, 100})
      add("prefix " + std::to_string(length), bpt::PrefixMaskAttr::get(&context, length),
          [=](int64_t i, int64_t j) { return j < length || j <= i; });
    unsigned simple = cases.size();
    for (unsigned a = 0; a != simple; ++a)
      for (unsigned b = 0; b != simple; ++b)
        add("intersection of " + cases[a].name + " and " + cases[b].name,
            bpt::IntersectionMaskAttr::get(&context, {cases[a].mask, cases[b].mask}),
            [first = cases[a].rule, second = cases[b].rule](int64_t i, int64_t j) {
              return first(i, j) && second(i, j);
            });
  }

  Value index(int64_t value) { return arith::ConstantIndexOp::create(builder, builder.getUnknownLoc(), value); }
  int64_t read(Value value) {
    IntegerAttr constant;
    EXPECT_TRUE(matchPattern(value, m_Constant(&constant)));
    return constant ? constant.getInt() : -1;
  }
  bool readBool(Value value) {
    BoolAttr constant;
    EXPECT_TRUE(matchPattern(value, m_Constant(&constant)));
    return constant && constant.getValue();
  }

  MLIRContext context;
  OpBuilder builder;
  OwningOpRef<ModuleOp> module;
  std::vector<Case> cases;
};

/// Rows x columns [i0, i1) x [j0, j1), empty ones among them; rows may begin below 0 (a negative offset).
struct Rectangle {
  int64_t i0, i1, j0, j1;
};
std::vector<Rectangle> someBlocks() {
  std::mt19937 random(1);
  std::vector<Rectangle> blocks;
  for (int n = 0; n != 60; ++n) {
    int64_t i0 = int64_t(random() % 16) - 4, j0 = random() % 12;
    blocks.push_back({i0, i0 + int64_t(random() % 6), j0, j0 + int64_t(random() % 6)});
  }
  return blocks;
}
int64_t countPairs(const Rule &rule, const Rectangle &block) {
  int64_t count = 0;
  for (int64_t i = block.i0; i < block.i1; ++i)
    for (int64_t j = block.j0; j < block.j1; ++j)
      count += rule(i, j);
  return count;
}
} // namespace

TEST_F(Masks, pairs) {
  for (Case &test : cases)
    for (int64_t i = -3; i != 15; ++i)
      for (int64_t j = 0; j != 15; ++j) {
        ASSERT_EQ(test.mask.isVisible(i, j), test.rule(i, j)) << test.name << " " << i << " " << j;
        Value predicate = test.mask.buildPredicate(builder, builder.getUnknownLoc(), index(i), index(j));
        ASSERT_EQ(!predicate || readBool(predicate), test.rule(i, j)) << test.name << " " << i << " " << j;
      }
}

TEST_F(Masks, blocks) {
  for (Case &test : cases)
    for (const Rectangle &block : someBlocks()) {
      int64_t visible = countPairs(test.rule, block);
      bpt::BlockVisibility expected = visible == 0 ? bpt::BlockVisibility::None
                                      : visible == (block.i1 - block.i0) * (block.j1 - block.j0)
                                          ? bpt::BlockVisibility::All
                                          : bpt::BlockVisibility::Mixed;
      ASSERT_EQ(test.mask.classifyBlock(block.i0, block.i1, block.j0, block.j1), expected)
          << test.name << " [" << block.i0 << "," << block.i1 << ") x [" << block.j0 << "," << block.j1 << ")";
    }
}

TEST_F(Masks, counts) {
  for (Case &test : cases)
    for (int64_t rows : {0, 1, 7, 12})
      for (int64_t columns : {0, 1, 5, 13})
        for (int64_t offset : {-5, 0, 3, 20})
          ASSERT_EQ(test.mask.countVisible(rows, columns, offset),
                    countPairs(test.rule, {offset, offset + rows, 0, columns}))
              << test.name << " " << rows << " x " << columns << " from " << offset;
}

TEST_F(Masks, counts_do_not_overflow_or_take_forever) {
  int64_t large = int64_t(1) << 40;
  EXPECT_EQ(bpt::FullMaskAttr::get(&context).countVisible(large, large, 0), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(bpt::CausalMaskAttr::get(&context).countVisible(1 << 20, 1 << 20, 0),
            (int64_t(1) << 20) * ((1 << 20) + 1) / 2);
  int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(bpt::SlidingWindowMaskAttr::get(&context, most).countVisible(8, 8, 0), 64);
}

TEST_F(Masks, column_bounds) {
  for (Case &test : cases)
    for (const Rectangle &block : someBlocks())
      for (int64_t columns : {0, 1, 9}) {
        auto [begin, end] = test.mask.buildColumnBounds(builder, builder.getUnknownLoc(), index(block.i0),
                                                        index(block.i1), index(columns));
        int64_t first = read(begin), last = read(end);
        ASSERT_TRUE(0 <= first && first <= last && last <= columns) << test.name << " " << first << " " << last;
        for (int64_t i = block.i0; i < block.i1; ++i)
          for (int64_t j = 0; j < columns; ++j)
            ASSERT_TRUE(!test.rule(i, j) || (first <= j && j < last)) << test.name << " " << i << " " << j;
      }
}

TEST_F(Masks, column_bounds_are_tight) {
  auto bounds = [&](bpt::BlockMaskAttrInterface mask, int64_t i0, int64_t i1, int64_t columns) {
    auto [begin, end] = mask.buildColumnBounds(builder, builder.getUnknownLoc(), index(i0), index(i1), index(columns));
    return std::make_pair(read(begin), read(end));
  };
  using Pair = std::pair<int64_t, int64_t>;
  Attribute causal = bpt::CausalMaskAttr::get(&context), window = bpt::SlidingWindowMaskAttr::get(&context, 10);
  EXPECT_EQ(bounds(cast<bpt::BlockMaskAttrInterface>(causal), 32, 64, 256), Pair(0, 64));
  EXPECT_EQ(bounds(cast<bpt::BlockMaskAttrInterface>(window), 32, 64, 256), Pair(23, 73));
  EXPECT_EQ(bounds(bpt::PrefixMaskAttr::get(&context, 100), 32, 64, 256), Pair(0, 100));
  EXPECT_EQ(bounds(bpt::IntersectionMaskAttr::get(&context, {causal, window}), 32, 64, 256), Pair(23, 64));
}

TEST_F(Masks, row_bounds) {
  for (Case &test : cases)
    for (const Rectangle &block : someBlocks())
      for (int64_t offset : {-4, 0, 6}) {
        int64_t rows = 9;
        auto [begin, end] = test.mask.buildRowBounds(builder, builder.getUnknownLoc(), index(block.j0), index(block.j1),
                                                     index(rows), index(offset));
        int64_t first = read(begin), last = read(end);
        ASSERT_TRUE(0 <= first && first <= last && last <= rows) << test.name << " " << first << " " << last;
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t j = block.j0; j < block.j1; ++j)
            ASSERT_TRUE(!test.rule(row + offset, j) || (first <= row && row < last)) << test.name << " " << row;
      }
}

TEST_F(Masks, all_visible) {
  for (Case &test : cases)
    for (const Rectangle &block : someBlocks()) {
      if (block.i0 == block.i1 || block.j0 == block.j1)
        continue;
      bool all = readBool(test.mask.buildAllVisible(builder, builder.getUnknownLoc(), index(block.i0), index(block.i1),
                                                    index(block.j0), index(block.j1)));
      ASSERT_EQ(all, countPairs(test.rule, block) == (block.i1 - block.i0) * (block.j1 - block.j0)) << test.name;
    }
}

TEST_F(Masks, vector_predicates) {
  auto type = VectorType::get({4}, builder.getI32Type());
  for (Case &test : cases) {
    std::vector<int32_t> rows = {0, 2, 5, 9}, columns = {1, 2, 9, 3};
    auto constant = [&](ArrayRef<int32_t> values) {
      return arith::ConstantOp::create(builder, builder.getUnknownLoc(), type, DenseElementsAttr::get(type, values));
    };
    Value predicate = test.mask.buildPredicate(builder, builder.getUnknownLoc(), constant(rows), constant(columns));
    if (!predicate)
      continue;
    DenseElementsAttr bits;
    ASSERT_TRUE(matchPattern(predicate, m_Constant(&bits))) << test.name;
    for (auto [lane, bit] : llvm::enumerate(bits.getValues<bool>()))
      EXPECT_EQ(bit, test.rule(rows[lane], columns[lane])) << test.name << " lane " << lane;
  }
}

TEST_F(Masks, simplified_masks_show_the_same) {
  for (Case &test : cases) {
    bpt::BlockMaskAttrInterface simple = bpt::simplifyMask(test.mask);
    for (int64_t i = -3; i != 15; ++i)
      for (int64_t j = 0; j != 15; ++j)
        ASSERT_EQ(simple.isVisible(i, j), test.rule(i, j)) << test.name << " " << i << " " << j;
  }
}
