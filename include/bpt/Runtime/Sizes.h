// Byte counts as people write and read them.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <string>
#include <string_view>

namespace bpt {

/// "1.50 GiB", "640 B": for messages and tables.
std::string formatBytes(int64_t bytes);

/// The bytes `text` means: a number with an optional fraction and unit. kB MB GB TB are powers of 1000; KiB MiB GiB TiB
/// and k m g t powers of 1024; a plain number is bytes. Fractions of a byte are dropped. Errors: exit 2, naming the
/// text.
Expected<int64_t> parseBytes(std::string_view text);

} // namespace bpt
