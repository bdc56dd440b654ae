// bpt-verify-stage: names every op that may not be there any more at a stage.
#include "bpt/IR/BPT.h"
#include "bpt/Transforms/Passes.h"
