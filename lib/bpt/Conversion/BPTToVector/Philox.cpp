// Philox4x32-10 as vector code.
#include "Philox.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <algorithm>
#include <cmath>

using namespace mlir;

namespace bpt {

/// A constant of i32 or of a vector of i32.
static Value constantLike(Emitter &e, Type type, uint32_t value) {
  TypedAttr attr = e.getI32IntegerAttr(static_cast<int32_t>(value));
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, static_cast<Attribute>(attr));
  return arith::ConstantOp::create(e, attr);
}

static Value broadcastLike(Emitter &e, Type type, Value value) {
  return isa<VectorType>(type) && value.getType() != type ? vector::BroadcastOp::create(e, type, value) : value;
}

/// Low and high words of the products x * multiplier, as two products of 64 bits, of the even and the odd lanes: 7
/// instructions where arith.mului_extended on vectors of i32 becomes more than 20. Lanes of a warp have the product itself.
static std::pair<Value, Value> buildProduct(Emitter &e, Value x, uint32_t multiplier) {
  auto type = dyn_cast<VectorType>(x.getType());
  if (!type || e.target.hasWarps || type.getDimSize(0) % 2) {
    auto product = arith::MulUIExtendedOp::create(e, x, constantLike(e, x.getType(), multiplier));
    return {product.getLow(), product.getHigh()};
  }
  int64_t lanes = type.getDimSize(0);
  auto wide = VectorType::get(lanes / 2, e.getI64Type());
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(e, DenseElementsAttr::get(wide, e.getI64IntegerAttr(value).getValue()));
  };
  Value pairs = vector::BitCastOp::create(e, wide, x), factor = constant(multiplier);
  Value even = arith::MulIOp::create(e, arith::AndIOp::create(e, pairs, constant(0xFFFFFFFF)), factor);
  Value odd = arith::MulIOp::create(e, arith::ShRUIOp::create(e, pairs, constant(32)), factor);
  even = vector::BitCastOp::create(e, type, even);
  odd = vector::BitCastOp::create(e, type, odd);
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < lanes; i += 2) {
    low.append({i, lanes + i});
    high.append({i + 1, lanes + i + 1});
  }
  return {vector::ShuffleOp::create(e, even, odd, low), vector::ShuffleOp::create(e, even, odd, high)};
}

PhiloxKey loadPhiloxKey(Emitter &e, Value seed) {
  Value wide = memref::LoadOp::create(e, seed, ValueRange{});
  Value shift = arith::ConstantIntOp::create(e, 32, 64);
  Value high = arith::ShRUIOp::create(e, wide, shift);
  return {arith::TruncIOp::create(e, e.getI32Type(), wide), arith::TruncIOp::create(e, e.getI32Type(), high)};
}

std::array<Value, 4> buildPhilox(Emitter &e, std::array<Value, 4> c, PhiloxKey key) {
  Type type = c[0].getType();
  Value k0 = key.low, k1 = key.high;
  Value w0 = constantLike(e, k0.getType(), 0x9E3779B9u), w1 = constantLike(e, k0.getType(), 0xBB67AE85u);
  for (int round = 0; round < 10; ++round) {
    if (round) {
      k0 = arith::AddIOp::create(e, k0, w0);
      k1 = arith::AddIOp::create(e, k1, w1);
    }
    auto [low0, high0] = buildProduct(e, c[0], 0xD2511F53u);
    auto [low1, high1] = buildProduct(e, c[2], 0xCD9E8D57u);
    Value x0 = arith::XOrIOp::create(e, arith::XOrIOp::create(e, high1, c[1]), broadcastLike(e, type, k0));
    Value x2 = arith::XOrIOp::create(e, arith::XOrIOp::create(e, high0, c[3]), broadcastLike(e, type, k1));
    c = {x0, low1, x2, low0};
  }
  return c;
}

int64_t getDropoutThreshold(double probability) {
  return std::clamp<int64_t>(std::llround(probability * 65536.0), 0, 65535);
}

Value buildKeep(Emitter &e, const std::array<Value, 4> &words, unsigned k, int64_t threshold) {
  Value word = words[k / 2];
  Type type = word.getType();
  // A high half is compared in place: word >= threshold << 16 exactly when its upper half is >= threshold.
  if (k % 2 == 0)
    word = arith::AndIOp::create(e, word, constantLike(e, type, 0xFFFF));
  uint32_t limit = static_cast<uint32_t>(threshold) << (k % 2 ? 16 : 0);
  return arith::CmpIOp::create(e, arith::CmpIPredicate::uge, word, constantLike(e, type, limit));
}

Value buildKeepInOrder(Emitter &e, const std::array<Value, 4> &words, int64_t threshold) {
  // Interleaving twice puts the words of one call side by side; their half words are then in order (little endian).
  Value even = vector::InterleaveOp::create(e, words[0], words[2]);
  Value odd = vector::InterleaveOp::create(e, words[1], words[3]);
  Value all = vector::InterleaveOp::create(e, even, odd);
  int64_t lanes = cast<VectorType>(all.getType()).getNumElements();
  auto type = VectorType::get(2 * lanes, e.getI16Type());
  Value halves = vector::BitCastOp::create(e, type, all);
  Value limit = arith::ConstantOp::create(e, DenseElementsAttr::get(type, APInt(16, static_cast<uint64_t>(threshold))));
  return arith::CmpIOp::create(e, arith::CmpIPredicate::uge, halves, limit);
}

} // namespace bpt
