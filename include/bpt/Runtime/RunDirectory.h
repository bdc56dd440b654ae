// The folder of a training run: its lock, and files that are replaced whole.
#pragma once
#include "bpt/Runtime/Error.h"
#include <memory>
#include <string>
#include <string_view>

namespace bpt {

/// DIR of --out, locked for as long as this object (or a copy) lives. The lock is flock on `.lock`: it ends with the
/// process, however that ends, so a file left behind never blocks.
class RunDirectory {
public:
  /// Creates the folder where needed and locks it. Errors: exit 1 when another process trains there (with its process
  /// id where known), exit 5 when the folder cannot be made.
  static Expected<RunDirectory> open(const std::string &path);

  const std::string &path() const { return folder; }
  std::string file(const std::string &name) const { return folder + "/" + name; }
  std::string checkpoints() const { return file("checkpoints"); }

  /// Says in the lock file who trains here, for the message a second trainer gets. Failing to is harmless.
  void announce() const;

  /// Replaces the file `name` by `text`: readers see the old or the new contents. Errors: exit 5.
  Status replaceFile(const std::string &name, std::string_view text) const;

private:
  std::string folder;
  std::shared_ptr<const int> lock;
};

} // namespace bpt
