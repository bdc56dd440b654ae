// Both ends of a language model: embedding and fused linear + cross-entropy, with gradients.
#ifndef BPT_IR_VOCABULARYOPS_TD
#define BPT_IR_VOCABULARYOPS_TD

include "bpt/IR/BPTAttrs.td"

def BPT_EmbeddingOp : BPT_DestinationOp<"embedding"> {
  let summary = "rows of a table by token id";
  let description = [{
    out(b,s,:) = table(ids(b,s),:). ids `[B,S]` of i32, table `[V,E]`, out `[B,S,E]`. An id outside [0, V) is refused by the
    tools before the run; compiled code clamps it and never reads out of bounds.

    Constraints:
    * C1: out is `[B,S,E]` with the element type of the table; V and E are positive.

    Made by model builders; removed in *kernels* or by `convert-bpt-to-linalg`.

    ```mlir
    %x = bpt.embedding ins(%ids, %table : tensor<2x128xi32>, tensor<256x64xf32>) outs(%o : tensor<2x128x64xf32>)
      -> tensor<2x128x64xf32>
    ```
  }];
  let arguments = (ins BPT_IntRanked<[2], I32>:$ids, BPT_FloatRanked<[2]>:$table, Variadic<BPT_FloatTensor>:$outs,
      Optional<BPT_Workspace>:$workspace);
  let assemblyFormat = [{
    attr-dict `ins` `(` $ids `,` $table `:` type($ids) `,` type($table) `)`
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

def BPT_EmbeddingGradOp : BPT_DestinationOp<"embedding_grad"> {
  let summary = "gradient of bpt.embedding with respect to the table";
  let description = [{
    dtable(ids(b,s),:) += dout(b,s,:), tokens in ascending (b,s) order whatever the number of threads. outs: dtable `[V,E]`.

    Constraints:
    * C1: dout is `[B,S,E]`, dtable `[V,E]` of its element type or the accumulator type; V and E are positive.

    Made by `bpt-differentiate`; removed with `bpt.embedding`.

    ```mlir
    %dt = bpt.embedding_grad cotangent(%dx : tensor<2x128x64xf32>) ins(%ids : tensor<2x128xi32>)
      outs(%z : tensor<256x64xf32>) -> tensor<256x64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatRanked<[3]>:$dout, BPT_IntRanked<[2], I32>:$ids, Variadic<BPT_FloatTensor>:$outs,
      Optional<BPT_Workspace>:$workspace);
  let assemblyFormat = [{
    attr-dict `cotangent` `(` $dout `:` type($dout) `)` `ins` `(` $ids `:` type($ids) `)`
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

def BPT_LinearCrossEntropyOp : BPT_DestinationOp<"linear_cross_entropy"> {
  let summary = "mean cross-entropy of a linear layer's logits, which never exist whole";
  let description = [{
    With logits(n,:) = input(n,:) . weight for the rows n of input:

      lse(n) = log sum over v of exp(logits(n,v));  loss = sum over valid n of (lse(n) - logits(n, targets(n))) / count

    A row is valid when targets(n) != `ignore_index`. count is `valid_count` if given, else the number of valid rows; none gives
    NaN, as in PyTorch. Logits exist for one block of rows at a time.

    Shapes: input `[.., E]`, weight `[E, V]`, or `[V, E]` with `weights_transposed`; targets `[..]` of i32; valid_count 0-d i64;
    outs: loss 0-d and lse `[..]`, both of f32 (f64 for f64). Logits, lse and loss are accumulated in that type.

    Constraints:
    * C1: input and weight have one element type and agree on E; V and E are positive.
    * C2: targets and lse have the shape of input without the last dim.
    * C3: loss and lse are f32 (f64 when input is f64).

    Made by model builders; removed in *kernels* or by `convert-bpt-to-linalg`.

    ```mlir
    %loss, %lse = bpt.linear_cross_entropy {weights_transposed}
      ins(%x, %w, %t : tensor<2x128x64xf32>, tensor<256x64xf32>, tensor<2x128xi32>)
      outs(%o, %l : tensor<f32>, tensor<2x128xf32>) -> tensor<f32>, tensor<2x128xf32>
    ```
  }];
  let arguments = (ins BPT_FloatTensor:$input, BPT_FloatRanked<[2]>:$weight, BPT_AnyShaped:$targets,
      Optional<BPT_IntRanked<[0], I64>>:$valid_count, Variadic<BPT_AnyShaped>:$outs, Optional<BPT_Workspace>:$workspace,
      DefaultValuedAttr<I64Attr, "-100">:$ignore_index, UnitAttr:$weights_transposed, OptionalAttr<BPT_ScheduleAttr>:$schedule);
  let assemblyFormat = [{
    attr-dict `ins` `(` $input `,` $weight `,` $targets `:` type($input) `,` type($weight) `,` type($targets) `)`
    (`count` `(` $valid_count^ `:` type($valid_count) `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

def BPT_LinearCrossEntropyGradOp : BPT_DestinationOp<"linear_cross_entropy_grad"> {
  let summary = "gradient of bpt.linear_cross_entropy";
  let description = [{
    dlogits(n,v) = dloss / count * (exp(logits(n,v) - lse(n)) - [v = targets(n)]) for valid rows, 0 for the others; then

      dinput += dlogits . weight^T;  dweight += input^T dlogits   (in the layout of weight)

    in f32 (f64 for f64), dweight over all rows and rounded once. dloss is 0-d. outs: dinput, dweight.

    Without lse the op finds it itself and is the forward, too: a third out is the loss, which is overwritten. Logits of one
    block of rows then exist over the whole vocabulary, and are computed once instead of twice.

    Constraints:
    * C1: each gradient has the type of what it is the gradient of, or that with elements of the accumulator type.
    * C2: dloss is 0-d of the type of the loss; the rest as in `bpt.linear_cross_entropy`.
    * C3: there are two outs with lse, three without.

    Made by `bpt-differentiate`, without lse by `bpt-fuse-loss`; removed with `bpt.linear_cross_entropy`.

    ```mlir
    %dx, %dw = bpt.linear_cross_entropy_grad {weights_transposed} cotangent(%d : tensor<f32>)
      ins(%x, %w, %t, %lse : tensor<2x128x64xf32>, tensor<256x64xf32>, tensor<2x128xi32>, tensor<2x128xf32>)
      outs(%z0, %z1 : tensor<2x128x64xf32>, tensor<256x64xf32>) -> tensor<2x128x64xf32>, tensor<256x64xf32>
    ```
  }];
  let extraClassDeclaration = destinationDeclaration # [{
    /// Whether the op is the forward as well.
    bool computesLoss() { return !getLse(); }
  }];
  let arguments = (ins BPT_FloatRanked<[0]>:$dloss, BPT_FloatTensor:$input, BPT_FloatRanked<[2]>:$weight, BPT_AnyShaped:$targets,
      Optional<BPT_AnyShaped>:$lse, Optional<BPT_IntRanked<[0], I64>>:$valid_count, Variadic<BPT_FloatTensor>:$outs,
      Optional<BPT_Workspace>:$workspace,
      DefaultValuedAttr<I64Attr, "-100">:$ignore_index, UnitAttr:$weights_transposed, OptionalAttr<BPT_ScheduleAttr>:$schedule);
  let assemblyFormat = [{
    attr-dict `cotangent` `(` $dloss `:` type($dloss) `)`
    `ins` `(` $input `,` $weight `,` $targets (`,` $lse^)? `:` type($input) `,` type($weight) `,` type($targets) (`,` type($lse)^)? `)`
    (`count` `(` $valid_count^ `:` type($valid_count) `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

#endif
