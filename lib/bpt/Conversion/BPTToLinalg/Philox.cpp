// Replayable dropout: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") on i32 scalars.
#include "Definition.h"

#include <cmath>

using namespace mlir;

namespace bpt::definition {

namespace {
/// The i32 arithmetic of the generator.
struct Words {
  ImplicitLocOpBuilder &builder;

  Value constant(uint32_t value) {
    return arith::ConstantOp::create(builder, builder.getI32IntegerAttr(static_cast<int32_t>(value)));
  }
  /// Low 32 bits of an index or integer.
  Value low(Value wide) { return Scalar(builder, wide).toInteger(builder.getI32Type()).get(); }
  Value exclusiveOr(Value a, Value b, Value c) {
    return arith::XOrIOp::create(builder, arith::XOrIOp::create(builder, a, b), c);
  }

  /// Ten rounds; multipliers and key increments are those of the paper's section 4.3.
  std::array<Value, 4> philox(std::array<Value, 4> counter, std::array<Value, 2> key) {
    Value multiplier0 = constant(0xD2511F53), multiplier1 = constant(0xCD9E8D57);
    Value increment0 = constant(0x9E3779B9), increment1 = constant(0xBB67AE85);
    for (int round = 0; round < 10; ++round) {
      if (round > 0)
        key = {arith::AddIOp::create(builder, key[0], increment0), arith::AddIOp::create(builder, key[1], increment1)};
      auto product0 = arith::MulUIExtendedOp::create(builder, counter[0], multiplier0);
      auto product1 = arith::MulUIExtendedOp::create(builder, counter[2], multiplier1);
      counter = {exclusiveOr(product1.getHigh(), counter[1], key[0]), product1.getLow(),
                 exclusiveOr(product0.getHigh(), counter[3], key[1]), product0.getLow()};
    }
    return counter;
  }
};
} // namespace

Scalar keep(Scalar seed, Scalar plane, Scalar row, Scalar column, int64_t stream, double probability) {
  ImplicitLocOpBuilder &builder = seed.getBuilder();
  Words words{builder};
  Value shift = arith::ConstantOp::create(builder, builder.getI64IntegerAttr(32));
  std::array<Value, 2> key = {words.low(seed.get()), words.low(arith::ShRUIOp::create(builder, seed.get(), shift))};
  std::array<Value, 4> counter = {words.low((column / 8).get()), words.low(row.get()), words.low(plane.get()),
                                  words.constant(static_cast<uint32_t>(stream))};
  std::array<Value, 4> bits = words.philox(counter, key);

  auto word = [&](int i) { return Scalar(builder, bits[i]); };
  Scalar half = column % 8;
  Scalar chosen =
      select(less(half, 2), word(0), select(less(half, 4), word(1), select(less(half, 6), word(2), word(3))));
  Value position = words.low(((half % 2) * 16).get());
  Scalar bits16 = Scalar(builder, arith::ShRUIOp::create(builder, chosen.get(), position)) & 0xFFFF;
  double threshold = std::min(65535.0, std::round(probability * 65536.0));
  return less(Scalar(threshold), bits16 + 1); // bits16 >= threshold
}

} // namespace bpt::definition
