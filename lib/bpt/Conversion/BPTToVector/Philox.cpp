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
static Value constantLike(ImplicitLocOpBuilder &b, Type type, uint32_t value) {
  TypedAttr attr = b.getI32IntegerAttr(static_cast<int32_t>(value));
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, static_cast<Attribute>(attr));
  return arith::ConstantOp::create(b, attr);
}

static Value broadcastLike(ImplicitLocOpBuilder &b, Type type, Value value) {
  return isa<VectorType>(type) && value.getType() != type ? vector::BroadcastOp::create(b, type, value) : value;
}

/// Low and high words of the products x * multiplier, as two products of 64 bits, of the even and the odd lanes: 7
/// instructions where arith.mului_extended on vectors of i32 becomes more than 20.
static std::pair<Value, Value> buildProduct(ImplicitLocOpBuilder &b, Value x, uint32_t multiplier, bool asPairs) {
  auto type = dyn_cast<VectorType>(x.getType());
  if (!asPairs || !type || type.getRank() != 1 || type.getDimSize(0) % 2) {
    auto product = arith::MulUIExtendedOp::create(b, x, constantLike(b, x.getType(), multiplier));
    return {product.getLow(), product.getHigh()};
  }
  int64_t lanes = type.getDimSize(0);
  auto wide = VectorType::get(lanes / 2, b.getI64Type());
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(wide, b.getI64IntegerAttr(value).getValue()));
  };
  Value pairs = vector::BitCastOp::create(b, wide, x), factor = constant(multiplier);
  Value even = arith::MulIOp::create(b, arith::AndIOp::create(b, pairs, constant(0xFFFFFFFF)), factor);
  Value odd = arith::MulIOp::create(b, arith::ShRUIOp::create(b, pairs, constant(32)), factor);
  even = vector::BitCastOp::create(b, type, even);
  odd = vector::BitCastOp::create(b, type, odd);
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < lanes; i += 2) {
    low.append({i, lanes + i});
    high.append({i + 1, lanes + i + 1});
  }
  return {vector::ShuffleOp::create(b, even, odd, low), vector::ShuffleOp::create(b, even, odd, high)};
}

PhiloxKey loadPhiloxKey(ImplicitLocOpBuilder &b, Value seed) {
  Value wide = memref::LoadOp::create(b, seed, ValueRange{});
  Value shift = arith::ConstantIntOp::create(b, 32, 64);
  Value high = arith::ShRUIOp::create(b, wide, shift);
  return {arith::TruncIOp::create(b, b.getI32Type(), wide), arith::TruncIOp::create(b, b.getI32Type(), high)};
}

std::array<Value, 4> buildPhilox(ImplicitLocOpBuilder &b, std::array<Value, 4> c, PhiloxKey key, bool asPairs) {
  Type type = c[0].getType();
  Value k0 = key.low, k1 = key.high;
  Value w0 = constantLike(b, k0.getType(), 0x9E3779B9u), w1 = constantLike(b, k0.getType(), 0xBB67AE85u);
  for (int round = 0; round < 10; ++round) {
    if (round) {
      k0 = arith::AddIOp::create(b, k0, w0);
      k1 = arith::AddIOp::create(b, k1, w1);
    }
    auto [low0, high0] = buildProduct(b, c[0], 0xD2511F53u, asPairs);
    auto [low1, high1] = buildProduct(b, c[2], 0xCD9E8D57u, asPairs);
    Value x0 = arith::XOrIOp::create(b, arith::XOrIOp::create(b, high1, c[1]), broadcastLike(b, type, k0));
    Value x2 = arith::XOrIOp::create(b, arith::XOrIOp::create(b, high0, c[3]), broadcastLike(b, type, k1));
    c = {x0, low1, x2, low0};
  }
  return c;
}

int64_t getDropoutThreshold(double probability) {
  return std::clamp<int64_t>(std::llround(probability * 65536.0), 0, 65535);
}

Value buildKeep(ImplicitLocOpBuilder &b, const std::array<Value, 4> &words, unsigned k, int64_t threshold) {
  Value word = words[k / 2];
  Type type = word.getType();
  // A high half is compared in place: word >= threshold << 16 exactly when its upper half is >= threshold.
  if (k % 2 == 0)
    word = arith::AndIOp::create(b, word, constantLike(b, type, 0xFFFF));
  uint32_t limit = static_cast<uint32_t>(threshold) << (k % 2 ? 16 : 0);
  return arith::CmpIOp::create(b, arith::CmpIPredicate::uge, word, constantLike(b, type, limit));
}

Value buildKeepInOrder(ImplicitLocOpBuilder &b, const std::array<Value, 4> &words, int64_t threshold) {
  // Interleaving twice puts the words of one call side by side; their half words are then in order (little endian).
  Value even = vector::InterleaveOp::create(b, words[0], words[2]);
  Value odd = vector::InterleaveOp::create(b, words[1], words[3]);
  Value all = vector::InterleaveOp::create(b, even, odd);
  int64_t lanes = cast<VectorType>(all.getType()).getNumElements();
  auto type = VectorType::get(2 * lanes, b.getI16Type());
  Value halves = vector::BitCastOp::create(b, type, all);
  Value limit = arith::ConstantOp::create(b, DenseElementsAttr::get(type, APInt(16, static_cast<uint64_t>(threshold))));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::uge, halves, limit);
}

} // namespace bpt
