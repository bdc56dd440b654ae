// C declarations of RuntimeABI.def and of a compiled entry.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What compiled code receives first and hands to every function of the runtime. Opaque to it.
typedef struct bpt_context bpt_context;

/// A compiled entry. `args`: data pointers of the arguments, dense row-major; `dims`: their dynamic dimensions in
/// order; `arena`, `offsets`: slot i lies at arena + offsets[i]. Returns 0, or a number that is reported as an error.
typedef int32_t (*bpt_entry)(bpt_context *context, void *const *args, const int64_t *dims, uint8_t *arena,
                             const int64_t *offsets);

#define BPT_RUNTIME_FUNCTION(name, result, parameters) result name parameters;
#include "bpt/Runtime/RuntimeABI.def"

#ifdef __cplusplus
}

namespace bpt {
struct RuntimeSymbol {
  const char *name;
  void *address;
};
/// The functions of RuntimeABI.def with their addresses, ended by a null name: what a JIT binds.
const RuntimeSymbol *runtimeSymbols();
} // namespace bpt
#endif
