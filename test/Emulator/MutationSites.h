// The instructions of a kernel that mutations change, and how they are changed.
#pragma once
#include "KernelMutations.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"

namespace bpt::test {

/// Collects mutations of one kernel. A site is a call of an intrinsic (by the beginning of its name after "llvm.nvvm.")
/// or of inline PTX (by a part of its text).
class MutationSites {
public:
  explicit MutationSites(llvm::Function &kernel) : kernel(kernel) {}

  llvm::Function &kernel;
  std::vector<Mutation> mutations;

  std::vector<llvm::CallInst *> intrinsics(llvm::StringRef prefix) const;
  std::vector<llvm::CallInst *> inlinePTX(llvm::StringRef part) const;

  /// One mutation for each site.
  template <typename Site> void add(const char *kind, const std::vector<Site *> &sites, void (*change)(Site *)) {
    for (size_t i = 0; i < sites.size(); ++i)
      mutations.push_back({kind, "#" + std::to_string(i), [=, site = sites[i]] { change(site); }});
  }
};

/// The call and what it does go; values that pass through it stay.
void dropCall(llvm::CallInst *call);
/// operand += amount; operands are integers.
void addToOperand(llvm::CallInst *call, unsigned operand, int64_t amount);
/// operand += bytes; the operand is a pointer.
void advanceOperand(llvm::CallInst *call, unsigned operand, int64_t bytes);
llvm::StringRef getPTX(const llvm::CallInst *call);
void setPTX(llvm::CallInst *call, const std::string &text);

/// Mutations of products of warpgroups: fences, commits, waits, descriptors, flags.
void listMatrixMutations(MutationSites &sites);
/// Mutations of mbarriers, copies and their groups.
void listCopyMutations(MutationSites &sites);
/// Mutations of what warps and blocks do together, of masks and loops.
void listThreadMutations(MutationSites &sites);

} // namespace bpt::test
