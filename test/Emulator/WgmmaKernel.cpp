// Kernels around wgmma.
#include "WgmmaKernel.h"
#include <cstring>
#include <gtest/gtest.h>

namespace bpt::test {

const char *const wgmmaFence = "  call void @llvm.nvvm.wgmma.fence.sync.aligned()\n";
const char *const wgmmaCommit = "  call void @llvm.nvvm.wgmma.commit_group.sync.aligned()\n";

static std::string list(uint32_t count, const std::string &text, const char *separator = ", ") {
  std::string all = repeated(int(count), text + separator);
  return all.substr(0, all.size() - strlen(separator));
}

std::string Product::text() const {
  uint32_t registers_ = n / 2, first = accumulate ? 2 * registers_ : registers_;
  auto operand = [](uint32_t number) { return "$" + std::to_string(number); };
  std::string left = registers ? "{" + operand(first) + "," + operand(first + 1) + "," + operand(first + 2) + "," +
                                     operand(first + 3) + "}"
                               : operand(first);
  std::string right = operand(first + (registers ? 4 : 1));
  std::string prefix = "{ .reg .b64 da, db; ";
  if (addA) {
    prefix += "add.s64 da, " + left + ", " + std::to_string(addA) + "; ";
    left = "da";
  }
  if (addB) {
    prefix += "add.s64 db, " + right + ", " + std::to_string(addB) + "; ";
    right = "db";
  }
  std::string ptx = prefix + "wgmma.mma_async.sync.aligned.m64n" + std::to_string(n) + "k" +
                    (type == "tf32" ? "8" : "16") + ".f32." + type + "." + type + " {" + list(registers_, "$#", ",") +
                    "}, " + left + ", " + right + ", " + (accumulate ? "1" : "0") + ", " + std::to_string(signA) +
                    ", " + std::to_string(signB);
  if (type != "tf32")
    ptx +=
        (registers ? "" : std::string(", ") + (transposeA ? "1" : "0")) + std::string(", ") + (transposeB ? "1" : "0");
  ptx += "; }";
  std::string constraints = list(registers_, "=f", ",");
  std::string arguments;
  if (accumulate) {
    constraints += "," + list(registers_, "#", ",");
    arguments = list(registers_, "float " + input + "#") + ", ";
  }
  constraints += registers ? ",r,r,r,r,l" : ",l,l";
  arguments += registers ? "i32 %a0, i32 %a1, i32 %a2, i32 %a3" : "i64 " + a;
  arguments += ", i64 " + b;
  std::string structure = "{" + list(registers_, "float") + "}";
  return "  " + output + "all = call " + structure + " asm sideeffect \"" + ptx + "\", \"" + constraints + "\"(" +
         arguments + ")\n" +
         repeated(int(registers_), "  " + output + "# = extractvalue " + structure + " " + output + "all, #\n");
}

std::string tiedWait(int pending, uint32_t count, const std::string &from, const std::string &to) {
  std::string structure = "{" + list(count, "float") + "}";
  return "  " + to + "all = call " + structure + " asm sideeffect \"wgmma.wait_group.sync.aligned " +
         std::to_string(pending) + ";\", \"" + list(count, "=f", ",") + "," + list(count, "#", ",") + "\"(" +
         list(count, "float " + from + "#") + ")\n" +
         repeated(int(count), "  " + to + "# = extractvalue " + structure + " " + to + "all, #\n");
}

std::string wgmmaKernel(uint32_t sharedBytes, const std::string &body, uint32_t count, const std::string &result) {
  std::string copy = sharedBytes ? R"(
  br label %copy
copy:
  %i = phi i32 [ $tid, %0 ], [ %j, %copy ]
  %from = getelementptr <4 x i32>, ptr %in, i32 %i
  %chunk = load <4 x i32>, ptr %from
  %to = getelementptr <4 x i32>, ptr addrspace(3) @bpt_shared, i32 %i
  store <4 x i32> %chunk, ptr addrspace(3) %to
  %j = add i32 %i, 128
  %more = icmp ult i32 %j, )" + std::to_string(sharedBytes / 16) +
                                       R"(
  br i1 %more, label %copy, label %copied
copied:
  call void @llvm.nvvm.fence.proxy.async.shared_cta()
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
)"
                                 : "";
  std::string descriptors = R"(
  %address = ptrtoint ptr addrspace(3) @bpt_shared to i64
  %low = and i64 %address, 262143
  %encoded = lshr i64 %low, 4
  %descA = add i64 %rawA, %encoded
  %descB = add i64 %rawB, %encoded
  %mine = getelementptr <4 x i32>, ptr %a, i32 $tid
  %words = load <4 x i32>, ptr %mine
)" + repeated(4, "  %a# = extractelement <4 x i32> %words, i32 #\n");
  std::string store =
      "  %row = mul i32 $tid, " + std::to_string(count) + "\n  %outRow = getelementptr float, ptr %out, i32 %row\n" +
      repeated(int(count), "  %o# = getelementptr float, ptr %outRow, i32 #\n  store float " + result + "#, ptr %o#\n");
  return kernelText("ptr %in, ptr %out, i64 %rawA, i64 %rawB, ptr %a",
                    copy + descriptors + body + store + "  ret void\n");
}

static uint16_t bits16(float value, const std::string &type) { return type == "f16" ? toF16(value) : toBF16(value); }

Operand makeOperand(uint32_t extent, uint32_t k, const std::string &type, Atom atom, bool mnMajor, uint32_t seed) {
  Operand operand{extent, k, {}, {}, 0};
  uint32_t size = type == "tf32" ? 4 : 2;
  for (uint32_t i = 0; i < extent * k; ++i) {
    seed = seed * 1664525 + 1013904223;
    operand.numbers.push_back(float(int(seed >> 24) % 9 - 4));
  }
  // Layout_*_Atom of CUTLASS: 8 rows of `width` bytes, 16-byte chunks XORed with the row.
  uint32_t width = atom == Atom::B128 ? 128 : atom == Atom::B64 ? 64 : atom == Atom::B32 ? 32 : 16;
  uint32_t fastExtent = mnMajor ? extent : k, slowExtent = mnMajor ? k : extent;
  uint32_t perRow = width / size, atomsFast = (fastExtent + perRow - 1) / perRow, atomsSlow = (slowExtent + 7) / 8,
           atomBytes = 8 * width;
  operand.bytes.resize(atomsFast * atomsSlow * atomBytes);
  // tile_to_shape puts the atoms along m or n one after the other first.
  uint32_t alongMn = atomBytes, alongK = (mnMajor ? atomsFast : atomsSlow) * atomBytes;
  uint32_t stepFast = mnMajor ? alongMn : alongK, stepSlow = mnMajor ? alongK : alongMn;
  for (uint32_t mn = 0; mn < extent; ++mn)
    for (uint32_t kk = 0; kk < k; ++kk) {
      uint32_t fast = mnMajor ? mn : kk, slow = mnMajor ? kk : mn;
      uint32_t inRow = fast % perRow * size, row = slow % 8;
      uint32_t chunk = inRow / 16 ^ (row * width / 128 & (width / 16 - 1));
      uint32_t at = fast / perRow * stepFast + slow / 8 * stepSlow + row * width + chunk * 16 + inRow % 16;
      float number = operand.numbers[mn * k + kk];
      if (size == 4) {
        memcpy(&operand.bytes[at], &number, 4);
      } else {
        uint16_t bits = bits16(number, type);
        memcpy(&operand.bytes[at], &bits, 2);
      }
    }
  // make_gmma_desc: which offset is which.
  uint32_t leading, stride;
  if (mnMajor) {
    leading = atom == Atom::Interleave ? alongK : alongMn;
    stride = atom == Atom::Interleave ? alongMn : alongK;
  } else {
    leading = alongK; // not used with a swizzle
    stride = alongMn;
  }
  operand.descriptor = uint64_t(leading >> 4) << 16 | uint64_t(stride >> 4) << 32 | uint64_t(atom) << 62;
  return operand;
}

std::vector<uint32_t> fragmentsOf(const Operand &a, const std::string &type) {
  std::vector<uint32_t> words(128 * 4);
  for (uint32_t thread = 0; thread < 128; ++thread)
    for (uint32_t r = 0; r < 4; ++r) {
      uint32_t row = thread / 32 * 16 + thread % 32 / 4 + r % 2 * 8;
      uint32_t &word = words[thread * 4 + r];
      if (type == "tf32") {
        memcpy(&word, &a.numbers[row * a.k + thread % 4 + r / 2 * 4], 4);
        continue;
      }
      uint32_t column = thread % 4 * 2 + r / 2 * 8;
      word = bits16(a.numbers[row * a.k + column], type) | uint32_t(bits16(a.numbers[row * a.k + column + 1], type))
                                                               << 16;
    }
  return words;
}

std::vector<float> runWgmma(const std::string &kernel, const Operand &a, const Operand &b,
                            const std::vector<uint32_t> &fragments, uint32_t count, emulator::LaunchResult &result,
                            emulator::Options options) {
  alignas(16) static uint8_t shared[200 * 1024];
  memcpy(shared, a.bytes.data(), a.bytes.size());
  uint32_t start = uint32_t(a.bytes.size() + 1023) / 1024 * 1024;
  memcpy(shared + start, b.bytes.data(), b.bytes.size());
  uint64_t descriptorA = a.descriptor, descriptorB = b.descriptor + (start >> 4);
  std::vector<float> out(128 * count, -1);
  std::vector<uint32_t> words = fragments.empty() ? std::vector<uint32_t>(512) : fragments;
  void *in = shared, *to = out.data(), *from = words.data();
  result = Kernel(kernel).run({&in, &to, &descriptorA, &descriptorB, &from}, 128, 200 * 1024, options);
  return out;
}

} // namespace bpt::test
