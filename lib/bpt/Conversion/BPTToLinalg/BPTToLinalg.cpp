// convert-bpt-to-linalg: the unblocked definition of every op.
#include "bpt/Conversion/Passes.h"
#include "bpt/IR/BPT.h"
