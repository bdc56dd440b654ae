// The bpt dialect: attributes (masks, initialisation, schedules), enumerations and ops.
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/DeviceMappingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace bpt {
/// What a mask says about a block of scores.
enum class BlockVisibility { None, Mixed, All };

/// f64 for f64, f32 for every other floating-point type: what sums, statistics and norms are accumulated in.
mlir::Type getAccumulatorType(mlir::Type element);
} // namespace bpt

#include "bpt/IR/BPTDialect.h.inc"
#include "bpt/IR/BPTEnums.h.inc"
#include "bpt/IR/BlockMask.h.inc"
#define GET_ATTRDEF_CLASSES
#include "bpt/IR/BPTAttrs.h.inc"
#define GET_OP_CLASSES
#include "bpt/IR/BPTOps.h.inc"

namespace bpt {
/// The same mask in fewer words: nested intersections flattened, members that others imply dropped, one member alone.
BlockMaskAttrInterface simplifyMask(BlockMaskAttrInterface mask);
} // namespace bpt
