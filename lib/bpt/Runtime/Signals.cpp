// The handler only sets a flag: everything it could do besides is not async-signal-safe.
#include "bpt/Runtime/Signals.h"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>

namespace bpt {

static std::atomic<int> received{0};
static std::atomic<int64_t> receivedAt{0};

// `timeout` signals its child and then the child's group, microseconds apart: that is one wish, not two.
static constexpr int64_t sameWishNanoseconds = 30'000'000;

static int64_t now() {
  timespec t = {};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

static void onInterrupt(int signal) {
  int none = 0;
  if (received.compare_exchange_strong(none, signal)) {
    receivedAt = now();
    return;
  }
  if (now() - receivedAt < sameWishNanoseconds)
    return;
  // Checkpoints are complete or absent at any moment, so dying here does no harm.
  std::signal(signal, SIG_DFL);
  raise(signal);
}

static void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART; // writes in progress go on; the flag is looked at between steps
  sigaction(signal, &action, nullptr);
}

void installSignalHandlers() {
  handle(SIGXFSZ, SIG_IGN);
  handle(SIGPIPE, SIG_IGN);
  handle(SIGINT, onInterrupt);
  handle(SIGTERM, onInterrupt);
  struct sigaction hangUp = {};
  if (sigaction(SIGHUP, nullptr, &hangUp) == 0 && hangUp.sa_handler != SIG_IGN)
    handle(SIGHUP, onInterrupt);
}

int interruptSignal() { return received; }

const char *interruptName() { return received == SIGINT ? "SIGINT" : received == SIGHUP ? "SIGHUP" : "SIGTERM"; }

void clearInterrupt() { received = 0; }

} // namespace bpt
