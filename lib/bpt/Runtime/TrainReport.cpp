// Formats and prints the events of a training run.
#include "bpt/Runtime/TrainReport.h"
#include "bpt/Runtime/File.h"
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bpt {

static std::string quotedJson(const std::string &text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ReportRow numberRow(const std::string &key, const std::string &name, const std::string &text, double value) {
  return {key, name, text,
          value == static_cast<double>(static_cast<int64_t>(value)) ? fmt::format("{}", static_cast<int64_t>(value))
                                                                    : jsonNumber(value)};
}

ReportRow textRow(const std::string &key, const std::string &name, const std::string &text) {
  return {key, name, text, quotedJson(text)};
}

std::string formatDuration(double seconds) {
  auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole >= 86400)
    return fmt::format("{}d {}h", whole / 86400, whole % 86400 / 3600);
  if (whole >= 3600)
    return fmt::format("{}h {:02}m", whole / 3600, whole % 3600 / 60);
  if (whole >= 60)
    return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  if (seconds < 1)
    return fmt::format("{:.3g}ms", 1000 * seconds);
  return seconds < 10 ? fmt::format("{:.1f}s", seconds) : fmt::format("{}s", whole);
}

std::string formatCount(double count) {
  const char *suffix = "";
  for (const char *next : {"k", "M", "G", "T"}) {
    if (count < 1000)
      break;
    count /= 1000;
    suffix = next;
  }
  return *suffix ? fmt::format("{:.3g}{}", count, suffix) : fmt::format("{:.4g}", count);
}

TrainReport::TrainReport(std::FILE *output, bool terminal, bool json)
    : output(output), terminal(terminal), json(json), begin(Clock::now()) {}

void TrainReport::write(const std::string &text) {
  if (silenced)
    return;
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), output) == text.size() && std::fflush(output) == 0)
    return;
  silenced = true;
  if (errno != EPIPE && errno != EBADF) // nobody listens, or never did
    failure = fileError("<standard output>", "write", errno);
}

void TrainReport::line(const std::string &text) {
  if (progressShown)
    write("\r\x1b[K"); // the progress line makes room
  progressShown = false;
  write(text + "\n");
}

void TrainReport::table(const std::string &event, const std::string &title, const std::vector<ReportRow> &rows) {
  if (json) {
    std::string object = fmt::format(R"({{"event":"{}")", event);
    for (const ReportRow &row : rows)
      object += fmt::format(R"(,"{}":{})", row.key, row.json);
    return line(object + "}");
  }
  size_t width = 0;
  for (const ReportRow &row : rows)
    width = std::max(width, row.name.size());
  line(title);
  for (const ReportRow &row : rows)
    line(fmt::format("  {:<{}}  {}", row.name, width, row.text));
}

bool TrainReport::dueNow() {
  Clock::time_point now = Clock::now();
  // A log file wants to show that all is well, not every step of a night.
  std::chrono::milliseconds pause(terminal ? 100 : now - begin < std::chrono::minutes(1) ? 1000 : 10000);
  if (anythingShown && now - shown < pause)
    return false;
  shown = now;
  anythingShown = true;
  return true;
}

void TrainReport::step(const StepMetrics &m, int64_t lastStep) {
  if (json)
    return line(metricsRow(m));
  secondsPerStep = secondsPerStep > 0 ? 0.9 * secondsPerStep + 0.1 * m.seconds : m.seconds;
  if (!dueNow() && m.step != lastStep)
    return;
  std::string text = fmt::format("step {}/{}  loss {:.4f}  norm {:.3g}  lr {:.2e}  {} tokens/s", m.step, lastStep,
                                 m.loss, m.gradNorm, m.lr, formatCount(m.tokensPerSecond));
  if (validated)
    text += fmt::format("  valid {:.4f}", lastValidation);
  if (m.step < lastStep)
    text += fmt::format("  {} left", formatDuration(secondsPerStep * static_cast<double>(lastStep - m.step)));
  if (!terminal || m.step == lastStep)
    return line(text);
  write("\r\x1b[K" + text);
  progressShown = true;
}

void TrainReport::validation(int64_t step, double loss) {
  lastValidation = loss;
  validated = true;
  line(json ? validationRow(step, loss) : fmt::format("step {}: validation loss {:.4f}", step, loss));
}

void TrainReport::sample(int64_t step, const std::string &text, const std::vector<int32_t> &ids) {
  if (json)
    line(fmt::format(R"({{"event":"sample","step":{},"text":{},"tokens":[{}]}})", step, quotedJson(text),
                     fmt::join(ids, ",")));
  else
    line(fmt::format("step {}: sample\n{}\n", step, text));
}

void TrainReport::note(const std::string &message) {
  line(json ? fmt::format(R"({{"event":"note","message":{}}})", quotedJson(message)) : message);
}

void TrainReport::profile(const Profile &profile) {
  std::string table = profile.table();
  table.pop_back(); // the line break that line() adds
  line(json ? fmt::format(R"({{"event":"profile","runs":{},"ops":{}}})", profile.runs(), profile.json()) : table);
}

} // namespace bpt
