// Errors of the runtime: returned values that carry the exit code a tool ends with and a message for the user.
// No exception crosses a function of include/bpt/Runtime. Nothing here needs more than the standard library.
#pragma once
#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace bpt {

/// Exit codes of every bpt tool (docs: exit codes). The numbers are a contract with users' scripts.
enum class ExitCode : int {
  Ok = 0,           ///< success
  BadInput = 1,     ///< a file, graph, argument or value is wrong
  Usage = 2,        ///< the command line is wrong
  NonFinite = 3,    ///< a NaN or infinity where training needs a number
  Memory = 4,       ///< an allocation was refused, or a plan is over its budget
  Io = 5,           ///< a read or write failed (no space, file too large, device error, permission)
  Interrupted = 130 ///< SIGINT or SIGTERM
};

/// What went wrong. `message` is lower case without a full stop and names the file or value, what was expected, and
/// what to change.
struct [[nodiscard]] Error {
  ExitCode code = ExitCode::BadInput;
  std::string message;

  /// The same error with `prefix` and ": " before the message: callers add the file or argument they know.
  Error in(const std::string &prefix) const { return {code, prefix + ": " + message}; }
};

inline Error badInput(std::string message) { return {ExitCode::BadInput, std::move(message)}; }
inline Error usageError(std::string message) { return {ExitCode::Usage, std::move(message)}; }
inline Error nonFinite(std::string message) { return {ExitCode::NonFinite, std::move(message)}; }
inline Error outOfMemory(std::string message) { return {ExitCode::Memory, std::move(message)}; }
inline Error ioError(std::string message) { return {ExitCode::Io, std::move(message)}; }

/// Success (the default) or an Error.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(Error error) : failure(std::move(error)) {}

  bool ok() const { return !failure; }
  explicit operator bool() const { return ok(); }

  /// The error; only when `!ok()`.
  const Error &error() const {
    assert(failure && "error() of a success");
    return *failure;
  }
  Error takeError() {
    assert(failure && "takeError() of a success");
    return std::move(*failure);
  }

private:
  std::optional<Error> failure;
};

/// A `T` or an Error. Typical use:
///   Expected<Tensor> tensor = file.read("wte");
///   if (!tensor) return tensor.takeError();
///   use(*tensor);
template <typename T> class [[nodiscard]] Expected {
public:
  Expected(T value) : content(std::in_place_index<0>, std::move(value)) {}
  Expected(Error error) : content(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return content.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// The value; only when `ok()`.
  T &operator*() { return *value(); }
  const T &operator*() const { return *value(); }
  T *operator->() { return value(); }
  const T *operator->() const { return value(); }
  T take() { return std::move(*value()); }

  /// The error; only when `!ok()`.
  const Error &error() const {
    assert(!ok() && "error() of a value");
    return *std::get_if<1>(&content);
  }
  Error takeError() {
    assert(!ok() && "takeError() of a value");
    return std::move(*std::get_if<1>(&content));
  }

private:
  T *value() {
    assert(ok() && "value of an error");
    return std::get_if<0>(&content);
  }
  const T *value() const {
    assert(ok() && "value of an error");
    return std::get_if<0>(&content);
  }

  std::variant<T, Error> content;
};

} // namespace bpt
