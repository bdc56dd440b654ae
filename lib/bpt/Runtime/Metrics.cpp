// Rows of metrics.jsonl are written by one write() each; a row that does not fit is taken back.
#include "bpt/Runtime/Metrics.h"
#include "bpt/Runtime/File.h"
#include <cerrno>
#include <cmath>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace bpt {

std::string jsonNumber(double value) {
  if (!std::isfinite(value))
    return "null";
  if (auto narrow = static_cast<float>(value); static_cast<double>(narrow) == value)
    return fmt::format("{}", narrow);
  return fmt::format("{}", value);
}

std::string metricsRow(const StepMetrics &m) {
  return fmt::format(
      R"({{"step":{},"loss":{},"grad_norm":{},"lr":{},"tokens":{},"seconds":{:.6g},"tokens_per_second":{:.6g}}})",
      m.step, jsonNumber(m.loss), jsonNumber(m.gradNorm), jsonNumber(m.lr), m.tokens, m.seconds, m.tokensPerSecond);
}

std::string validationRow(int64_t step, double loss) {
  return fmt::format(R"({{"step":{},"valid_loss":{}}})", step, jsonNumber(loss));
}

bool MetricsLog::keepRow(const std::string &line, int64_t lastStep) {
  nlohmann::json row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  auto number = [&](const char *key) { return row.contains(key) && row[key].is_number(); };
  if (!row.is_object() || !number("step") || row["step"].get<double>() > static_cast<double>(lastStep))
    return false;
  int64_t step = row["step"].get<int64_t>();
  if (number("valid_loss"))
    validationCurve.push_back({step, row["valid_loss"].get<double>()});
  else if (number("loss"))
    trainingCurve.push_back({step, row["loss"].get<double>()});
  else
    return false;
  return true;
}

Expected<MetricsLog> MetricsLog::open(const std::string &path, int64_t lastStep) {
  MetricsLog log;
  log.path = path;
  int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return fileError(path, "open", errno);
  log.descriptor = std::shared_ptr<const int>(new int(descriptor), [](const int *d) {
    ::close(*d);
    delete d;
  });
  Expected<std::string> text = readFile(path, std::numeric_limits<int64_t>::max() - 1);
  if (!text)
    return text.takeError();
  // Steps only grow, so everything after the first row that does not belong goes.
  size_t begin = 0;
  for (size_t end; (end = text->find('\n', begin)) != std::string::npos; begin = end + 1)
    if (!log.keepRow(text->substr(begin, end - begin), lastStep))
      break;
  log.bytes = static_cast<int64_t>(begin);
  if (begin != text->size() && ::ftruncate(descriptor, log.bytes) < 0)
    return fileError(path, "cut", errno);
  return log;
}

Status MetricsLog::appendLine(const std::string &row) {
  std::string line = row + "\n";
  size_t written = 0;
  while (written < line.size()) {
    ssize_t count = ::write(*descriptor, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0) {
      Error error = fileError(path, "write", errno);
      (void)!::ftruncate(*descriptor, bytes); // where even that fails, the next resume cuts the torn line
      return error;
    }
    written += static_cast<size_t>(count);
  }
  bytes += static_cast<int64_t>(line.size());
  return {};
}

Status MetricsLog::append(const StepMetrics &metrics) {
  trainingCurve.push_back({metrics.step, metrics.loss});
  return appendLine(metricsRow(metrics));
}

Status MetricsLog::appendValidation(int64_t step, double loss) {
  validationCurve.push_back({step, loss});
  return appendLine(validationRow(step, loss));
}

Status MetricsLog::sync() const {
  if (::fsync(*descriptor) < 0 && errno != EINVAL)
    return fileError(path, "write to the device", errno);
  return {};
}

} // namespace bpt
