// Block masks: visibility of blocks, bounds of loops, the elementwise predicate, counts.
#include "bpt/IR/BPT.h"
