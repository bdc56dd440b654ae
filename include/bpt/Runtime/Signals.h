// Turns SIGINT and SIGTERM into a request that training looks at between steps, and keeps other signals from killing it.
#pragma once

namespace bpt {

/// From here on the first SIGINT, SIGTERM or SIGHUP is remembered; the second one ends the process at once by its default
/// action. SIGXFSZ and SIGPIPE are ignored, so that full files and closed pipes are errors of write(). SIGHUP stays ignored
/// where it was (nohup).
void installSignalHandlers();

/// The first signal received, or 0.
int interruptSignal();

/// "SIGINT", "SIGTERM", "SIGHUP".
const char *interruptName();

/// Forgets a received signal (tests).
void clearInterrupt();

} // namespace bpt
