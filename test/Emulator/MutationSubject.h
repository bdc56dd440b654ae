// A program whose kernels are spoiled one at a time and run on the emulator.
#pragma once
#include "KernelMutations.h"
#include "bpt/Runtime/Emulator.h"
#include "bpt/Runtime/Program.h"
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace llvm {
class Module;
namespace orc {
class LLJIT;
} // namespace orc
} // namespace llvm

namespace bpt::test {

/// What to compile, and which of its kernels to spoil.
struct SubjectSource {
  std::string name;
  std::string graph;                ///< one function @f
  std::vector<std::string> kernels; ///< names begin with one of these
  /// Blocks of these kernels take as many tiles as there are, so one block can take all: what only the second tile of a
  /// block shows needs no grid larger than the GPU.
  bool persistent = false;
};

/// A mutation by name, and what came of it.
struct Mutant {
  std::string subject, kernel, kind, place;
  /// "Deadlock, eager", "wrong by 0.3, late"; "" where nothing showed.
  std::string outcome;
  bool isCaught() const { return !outcome.empty(); }
};

/// Compiles its host code once; kernels are compiled anew for each mutant, the others of the program stay.
class MutationSubject {
public:
  explicit MutationSubject(SubjectSource source);
  ~MutationSubject();

  /// What went wrong before there was anything to spoil; empty when nothing did.
  const std::string &getFailure() const { return failure; }
  /// At most `each` mutants of a kind and kernel.
  std::vector<Mutant> listMutants(size_t each);
  /// Spoils and runs, in the modes eager, late and random until something shows. The process may not survive it.
  std::string run(const Mutant &mutant);

private:
  struct Results {
    std::vector<std::vector<double>> values;
    std::vector<DataType> types;
  };
  std::string compile();
  /// Kernels of the module (bitcode) as functions of the emulator, after `change`.
  std::map<std::string, emulator::KernelFunction> emulate(const std::set<std::string> &kept,
                                                          const std::function<void(llvm::Module &)> &change);
  /// Results, or the error of the run.
  Expected<Results> execute(const std::map<std::string, emulator::KernelFunction> &code, emulator::Mode mode);
  /// "wrong by .." where results differ from those of the kernel as it was.
  std::string compare(const Results &results) const;

  SubjectSource source;
  std::string failure, bitcode;
  Manifest manifest;
  std::unique_ptr<llvm::orc::LLJIT> host;
  std::vector<std::unique_ptr<llvm::orc::LLJIT>> compiled;
  std::map<std::string, emulator::KernelFunction> kernels;
  Results expected;
};

} // namespace bpt::test
