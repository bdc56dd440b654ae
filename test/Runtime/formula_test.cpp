// Size formulas: postfix, checked, every error names the formula.
#include "TestFiles.h"
#include "bpt/Runtime/Formula.h"

using namespace bpt;

namespace {

int64_t value(const std::string &text, std::vector<int64_t> dims = {}, int64_t threads = 1) {
  Expected<Formula> formula = Formula::parse(text);
  EXPECT_TRUE(formula.ok()) << text;
  Expected<int64_t> result = formula->evaluate({dims, threads});
  EXPECT_TRUE(result.ok()) << text;
  return result ? *result : -999;
}

Expected<int64_t> evaluate(const std::string &text, std::vector<int64_t> dims = {}) {
  Expected<Formula> formula = Formula::parse(text);
  if (!formula)
    return formula.takeError();
  return formula->evaluate({dims, 1});
}

} // namespace

TEST(Formula, DefaultIsZero) {
  EXPECT_EQ(*Formula().evaluate({}), 0);
  EXPECT_EQ(*Formula(42).evaluate({}), 42);
  EXPECT_EQ(Formula(42).text(), "42");
}

TEST(Formula, Operators) {
  EXPECT_EQ(value("2 3 +"), 5);
  EXPECT_EQ(value("2 3 -"), -1);
  EXPECT_EQ(value("2 3 *"), 6);
  EXPECT_EQ(value("7 2 /"), 3);
  EXPECT_EQ(value("7 2 ceildiv"), 4);
  EXPECT_EQ(value("7 2 min"), 2);
  EXPECT_EQ(value("7 2 max"), 7);
}

TEST(Formula, DivisionRoundsTowardsMinusOrPlusInfinity) {
  EXPECT_EQ(value("-7 2 /"), -4);
  EXPECT_EQ(value("7 -2 /"), -4);
  EXPECT_EQ(value("-7 -2 /"), 3);
  EXPECT_EQ(value("-7 2 ceildiv"), -3);
  EXPECT_EQ(value("-7 -2 ceildiv"), 4);
  EXPECT_EQ(value("8 2 ceildiv"), 4);
}

TEST(Formula, DimensionsAndThreads) {
  EXPECT_EQ(value("d0 d1 * 4 *", {2, 128}), 1024);
  EXPECT_EQ(value("threads 256 *", {}, 8), 2048);
  EXPECT_EQ(value("  d1   d0 -  ", {3, 10}), 7);
  EXPECT_EQ(Formula::parse("d0 d7 *")->dimsNeeded(), 8);
  EXPECT_EQ(Formula::parse("12")->dimsNeeded(), 0);
}

TEST(Formula, OverflowIsAnErrorNamingTheFormula) {
  EXPECT_ERROR(evaluate("d0 d0 *", {int64_t(1) << 32}), ExitCode::BadInput,
               "formula 'd0 d0 *': the value does not fit");
  EXPECT_ERROR(evaluate("9223372036854775807 1 +"), ExitCode::BadInput, "does not fit in 64 bits");
  EXPECT_ERROR(evaluate("-9223372036854775808 1 -"), ExitCode::BadInput, "does not fit in 64 bits");
  EXPECT_ERROR(evaluate("-9223372036854775808 -1 /"), ExitCode::BadInput, "does not fit in 64 bits");
  EXPECT_ERROR(evaluate("-9223372036854775808 -1 ceildiv"), ExitCode::BadInput, "does not fit in 64 bits");
}

TEST(Formula, DivisionByZeroIsAnError) {
  EXPECT_ERROR(evaluate("4 d0 /", {0}), ExitCode::BadInput, "division by zero");
  EXPECT_ERROR(evaluate("4 0 ceildiv"), ExitCode::BadInput, "division by zero");
}

TEST(Formula, MissingDimensionIsAnError) {
  EXPECT_ERROR(evaluate("d2", {1, 2}), ExitCode::BadInput, "d2 does not exist: there are 2 dynamic dimensions");
}

TEST(Formula, BadTextsAreRefused) {
  for (const char *text : {"",
                           " ",
                           "+",
                           "1 +",
                           "1 2",
                           "1 2 + +",
                           "x",
                           "d",
                           "d-1",
                           "dx",
                           "d0x",
                           "1.5",
                           "0x10",
                           "1e3",
                           "threads2",
                           "9223372036854775808",
                           "1 2 %",
                           "1\t2 +",
                           "d99999999999999999999",
                           "--1",
                           "1 2 +\n"})
    EXPECT_ERROR(Formula::parse(text), ExitCode::BadInput, "formula '");
}

TEST(Formula, IsPrintedAsPeopleWriteIt) {
  auto infix = [](const char *text) { return Formula::parse(text)->infix(); };
  EXPECT_EQ(infix("d0 d1 * 4 *"), "d0 * d1 * 4");
  EXPECT_EQ(infix("4 d0 d1 1 + * *"), "4 * d0 * (d1 + 1)");
  EXPECT_EQ(infix("d0 d1 1 - -"), "d0 - (d1 - 1)");
  EXPECT_EQ(infix("d0 64 ceildiv 64 * threads max"), "max(ceildiv(d0, 64) * 64, threads)");
  EXPECT_EQ(infix("d0 2 / 3 *"), "d0 / 2 * 3");
  EXPECT_EQ(infix("d0 d1 2 * /"), "d0 / (d1 * 2)");
}

TEST(Formula, LengthIsBounded) {
  std::string text = "1";
  for (int i = 0; i < 5000; ++i)
    text += " 1 +";
  EXPECT_ERROR(Formula::parse(text), ExitCode::BadInput, "at most 4096 tokens");
}
