// The parser of inline PTX.
#include "../../lib/bpt/Emulator/PTXText.h"
#include <gtest/gtest.h>

using namespace bpt;

static std::vector<PTXStatement> parse(const char *text) {
  llvm::Expected<std::vector<PTXStatement>> statements = parsePTX(text);
  if (!statements) {
    ADD_FAILURE() << toString(statements.takeError());
    return {};
  }
  return *statements;
}

TEST(EmulatorPTX, WaitLoopOfMlir) {
  auto s = parse("{\n\t.reg .pred       P1; \n\tLAB_WAIT: \n\tmbarrier.try_wait.parity.shared.b64 P1, [$0], $1, $2; "
                 "\n\t@P1 bra.uni DONE; "
                 "\n\tbra.uni     LAB_WAIT; \n\tDONE: \n\t}");
  ASSERT_EQ(s.size(), 8u);
  EXPECT_EQ(s[0].kind, PTXStatement::OpenScope);
  EXPECT_EQ(s[1].kind, PTXStatement::Declaration);
  EXPECT_EQ(s[1].text, "pred");
  EXPECT_EQ(s[2].kind, PTXStatement::Label);
  EXPECT_EQ(s[3].parts[1], "try_wait");
  ASSERT_EQ(s[3].operands.size(), 4u);
  EXPECT_EQ(s[3].operands[1].kind, PTXOperand::Address);
  EXPECT_EQ(s[3].operands[1].elements[0].kind, PTXOperand::Argument);
  EXPECT_TRUE(s[4].predicated);
  EXPECT_EQ(s[4].operands[0].text, "DONE");
  EXPECT_EQ(s[7].kind, PTXStatement::CloseScope);
}

TEST(EmulatorPTX, OperandsOfAllKinds) {
  auto s =
      parse("@!p x.y [%r1+16], {$0, _}, -5, 0x1F, 0f3F800000, a|q, !p, [$3, {$4, $5}]; // comment\n/* more */ ret;");
  ASSERT_EQ(s.size(), 2u);
  const auto &o = s[0].operands;
  EXPECT_TRUE(s[0].predicateNegated);
  ASSERT_EQ(o.size(), 8u);
  EXPECT_EQ(o[0].number, 16);
  EXPECT_EQ(o[0].elements[0].text, "%r1");
  EXPECT_EQ(o[1].elements[1].text, "_");
  EXPECT_EQ(o[2].number, -5);
  EXPECT_EQ(o[3].number, 31);
  EXPECT_EQ(o[4].kind, PTXOperand::Float);
  EXPECT_EQ(o[4].number, 0x3f800000);
  EXPECT_EQ(o[5].kind, PTXOperand::Pair);
  EXPECT_TRUE(o[6].negated);
  EXPECT_EQ(o[7].elements[1].elements.size(), 2u);
}

TEST(EmulatorPTX, NumberedRegistersAndStateSpaces) {
  auto s = parse(".reg .b32 %r<3>; cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [$0], "
                 "[$1, {$2, $3}], [$4];");
  ASSERT_EQ(s.size(), 2u);
  EXPECT_EQ(s[0].operands.size(), 3u);
  EXPECT_EQ(s[0].operands[2].text, "%r2");
  EXPECT_TRUE(s[1].has("shared::cluster"));
  EXPECT_TRUE(s[1].has("mbarrier::complete_tx::bytes"));
}

TEST(EmulatorPTX, NonsenseIsAnError) {
  for (const char *text : {"add.s32 $0, , $1;", "mov.b32 [$0;", "add.s32 $0 $1;", ".reg .b32 ;"}) {
    llvm::Expected<std::vector<PTXStatement>> statements = parsePTX(text);
    EXPECT_FALSE(bool(statements)) << text;
    llvm::consumeError(statements.takeError());
  }
}
