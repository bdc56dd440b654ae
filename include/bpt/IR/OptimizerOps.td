// Optimizer: AdamW step and the norm of all gradients.
#ifndef BPT_IR_OPTIMIZEROPS_TD
#define BPT_IR_OPTIMIZEROPS_TD

include "bpt/IR/BPTAttrs.td"

def BPT_AdamWOp : BPT_DestinationOp<"adamw"> {
  let summary = "one AdamW step with decoupled weight decay and optional clipping, in place";
  let description = [{
    With g = grad * c, c = min(1, clip / (norm + 1e-6)) when clip > 0 and 1 otherwise (Loshchilov & Hutter 2019; clipping as
    torch.nn.utils.clip_grad_norm_):

      m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
      param = param - lr * (m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) + weight_decay * param)

    All arithmetic in f32 (f64 for f64). grad may be of a narrower type than param (bf16 training has f32 master weights).
    outs: param, m, v; step 0-d i64 counts from 1; lr and norm 0-d f32 (f64 for f64).

    Constraints:
    * C1: param, m and v have one type; grad has their shape and element type or a narrower one; lr and norm are 0-d f32, f64
      when param is.
    * C2: clip >= 0, and a norm exactly when clip > 0.
    * C3: beta1 and beta2 in [0, 1); eps > 0; weight_decay >= 0.

    Made by `bpt-build-train-step`; removed in *kernels* or by `convert-bpt-to-linalg`.

    ```mlir
    %p1, %m1, %v1 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
      ins(%g, %step, %lr : tensor<64x64xf32>, tensor<i64>, tensor<f32>)
      outs(%p, %m, %v : tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>)
      -> tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatTensor:$grad, BPT_IntRanked<[0], I64>:$step, BPT_FloatRanked<[0]>:$lr,
      Optional<BPT_FloatRanked<[0]>>:$norm, Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace,
      F64Attr:$beta1, F64Attr:$beta2, F64Attr:$eps, F64Attr:$weight_decay, DefaultValuedAttr<F64Attr, "0.0">:$clip);
  let assemblyFormat = [{
    attr-dict `ins` `(` $grad `,` $step `,` $lr `:` type($grad) `,` type($step) `,` type($lr) `)`
    (`norm` `(` $norm^ `:` type($norm) `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

def BPT_GlobalNormOp : BPT_DestinationOp<"global_norm"> {
  let summary = "Euclidean norm of all gradients together";
  let description = [{
    norm = sqrt(sum over all operands and elements of g^2), in f32 (f64 for f64) with a fixed order that depends on shapes only.
    outs: norm, 0-d f32 (f64 when the operands are f64).

    Constraints:
    * C1: one operand or more, all of one element type; the out is 0-d f32, f64 for f64.

    Made by `bpt-build-train-step`; removed in *kernels* or by `convert-bpt-to-linalg`.

    ```mlir
    %n = bpt.global_norm ins(%g0, %g1 : tensor<64x64xf32>, tensor<64xf32>) outs(%o : tensor<f32>) -> tensor<f32>
    ```
  }];
  let arguments = (ins Variadic<BPT_FloatTensor>:$grads, Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace);
  let assemblyFormat = [{
    attr-dict `ins` `(` ($grads^ `:` type($grads))? `)`
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

#endif
