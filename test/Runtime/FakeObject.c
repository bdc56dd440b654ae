// A shared object as bpt-compile --emit=so writes it: a manifest, its size, and entries.
#include <stdint.h>

typedef struct bpt_context bpt_context;
void bpt_parallel_for(bpt_context *context, void (*body)(void *closure, int64_t item, uint8_t *scratch), void *closure,
                      int64_t n);

const char bpt_manifest[] =
    "{\"magic\":\"bpt-manifest\",\"version\":1,\"compiler\":\"0.1.0\",\"target\":\"cpu\","
    "\"cpu\":{\"name\":\"any\",\"features\":[\"+64bit\"]},\"thread_scratch\":0,\"entries\":[{"
    "\"name\":\"double\",\"symbol\":\"bpt_entry_double\",\"args\":[{\"name\":\"x\",\"dtype\":\"F64\",\"shape\":[-1]}],"
    "\"results\":[{\"name\":\"y\",\"dtype\":\"F64\",\"shape\":[\"d0\"],\"slot\":0}],"
    "\"slots\":[{\"name\":\"y\",\"kind\":\"result\",\"bytes\":\"d0 8 *\",\"first\":0,\"last\":1}],\"flops\":\"d0\"}]}";
const uint64_t bpt_manifest_size = sizeof(bpt_manifest) - 1;

struct closure {
  const double *x;
  double *y;
};

static void body(void *closure, int64_t item, uint8_t *scratch) {
  struct closure *data = closure;
  data->y[item] = 2 * data->x[item];
  (void)scratch;
}

int32_t bpt_entry_double(bpt_context *context, void *const *args, const int64_t *dims, uint8_t *arena,
                         const int64_t *offsets) {
  struct closure closure = {args[0], (double *)(arena + offsets[0])};
  bpt_parallel_for(context, body, &closure, dims[0]);
  return 0;
}
