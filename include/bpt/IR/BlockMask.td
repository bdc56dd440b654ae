// The interface of masks. A file of its own: mlir-tblgen generates interfaces of the top-level file only.
#ifndef BPT_IR_BLOCKMASK_TD
#define BPT_IR_BLOCKMASK_TD

include "mlir/IR/OpBase.td"

def BPT_BlockMaskAttrInterface : AttrInterface<"BlockMaskAttrInterface"> {
  let cppNamespace = "::bpt";
  let description = [{
    A mask as a rule, not a tensor. Rows and columns are global: i = row + query_offset, j = column. Block skipping, split
    loops, the predicate of mixed blocks and FLOP counts all come from here. Ranges are half open.
  }];
  let methods = [
    InterfaceMethod<"visibility of the block rows [i0, i1) x columns [j0, j1); an empty block is `None`",
      "::bpt::BlockVisibility", "classifyBlock", (ins "int64_t":$i0, "int64_t":$i1, "int64_t":$j0, "int64_t":$j1)>,
    InterfaceMethod<"whether column j is visible to row i", "bool", "isVisible", (ins "int64_t":$i, "int64_t":$j)>,
    InterfaceMethod<[{i1 (or vector of i1): column `j` is visible to row `i`. `i` and `j` are index or integer values of one
      type, scalars or vectors. Null when everything is visible}],
      "::mlir::Value", "buildPredicate",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc, "::mlir::Value":$i, "::mlir::Value":$j)>,
    InterfaceMethod<[{columns [begin, end) within [0, columns) outside of which nothing is visible to rows [i0, i1);
      index values; may be wider than needed, never narrower}],
      "std::pair<::mlir::Value, ::mlir::Value>", "buildColumnBounds",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc, "::mlir::Value":$i0, "::mlir::Value":$i1,
           "::mlir::Value":$columns)>,
    InterfaceMethod<[{rows [begin, end) within [0, rows) outside of which nothing in columns [j0, j1) is visible; rows are
      local, i = row + offset; index values; may be wider than needed, never narrower}],
      "std::pair<::mlir::Value, ::mlir::Value>", "buildRowBounds",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc, "::mlir::Value":$j0, "::mlir::Value":$j1,
           "::mlir::Value":$rows, "::mlir::Value":$offset)>,
    InterfaceMethod<"i1: every pair of rows [i0, i1) and columns [j0, j1) is visible (index values); may be false too often",
      "::mlir::Value", "buildAllVisible",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc, "::mlir::Value":$i0, "::mlir::Value":$i1,
           "::mlir::Value":$j0, "::mlir::Value":$j1)>,
    InterfaceMethod<"number of visible pairs of `rows` rows from `offset` and `columns` columns", "int64_t", "countVisible",
      (ins "int64_t":$rows, "int64_t":$columns, "int64_t":$offset)>
  ];
}

#endif
