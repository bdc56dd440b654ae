// Ways to spoil a kernel as a mistake in its source would: what a proof of the emulator looks for.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace llvm {
class Function;
} // namespace llvm

namespace bpt::test {

/// One change of one kernel.
struct Mutation {
  std::string kind;  ///< "drop the wait for an mbarrier"
  std::string place; ///< the instruction by its number among its like, in the order of the function: "#2"
  std::function<void()> apply;
};

/// All changes that `kernel` (NVPTX, as translated) offers, in an order that depends on its code only.
std::vector<Mutation> listMutations(llvm::Function &kernel);

/// The part of `all` that is taken: of each kind at most `each`, the first, the last and what lies evenly between; if
/// one, another place for each kind.
std::vector<Mutation> sampleMutations(const std::vector<Mutation> &all, size_t each);

} // namespace bpt::test
