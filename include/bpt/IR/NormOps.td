// Row-wise ops: layer and RMS norm with gradients, rotary embedding, dropout.
#ifndef BPT_IR_NORMOPS_TD
#define BPT_IR_NORMOPS_TD

include "bpt/IR/BPTAttrs.td"

def BPT_LayerNormOp : BPT_DestinationOp<"layer_norm"> {
  let summary = "layer normalisation over the last dim";
  let description = [{
    out = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, mean and (biased) variance over the last dim (Ba et al. 2016).
    Statistics in f32 (f64 for f64); out is rounded once. input and out `[.., E]`; weight and bias `[E]`, both optional.

    Constraints:
    * C1: one element type throughout; out has the shape of input.
    * C2: weight and bias are `[E]`, E > 0.
    * C3: eps > 0.

    Made by model builders; removed in *kernels* or by `convert-bpt-to-linalg`.

    ```mlir
    %y = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<2x128x64xf32>) weight(%w : tensor<64xf32>)
      bias(%b : tensor<64xf32>) outs(%o : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatTensor:$input, Optional<BPT_FloatRanked<[1]>>:$weight, Optional<BPT_FloatRanked<[1]>>:$bias,
      Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace, F64Attr:$eps);
  let assemblyFormat = [{
    attr-dict `ins` `(` $input `:` type($input) `)` (`weight` `(` $weight^ `:` type($weight) `)`)?
    (`bias` `(` $bias^ `:` type($bias) `)`)? `outs` `(` $outs `:` type($outs) `)`
    (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

def BPT_LayerNormGradOp : BPT_DestinationOp<"layer_norm_grad"> {
  let summary = "gradient of bpt.layer_norm";
  let description = [{
    With r = 1 / sqrt(var + eps), n = (x - mean) * r and c = dout * weight:

      dinput += r * (c - mean(c) - n * mean(c * n));  dweight += sum over rows of dout * n;  dbias += sum over rows of dout

    outs: dinput, then dweight and dbias where weight and bias are given; gradients are *added* to them. Row sums are in f32
    (f64 for f64), in an order that depends on shapes only.

    Constraints:
    * C1: each out has the type of what it is the gradient of, or that with elements of the accumulator type; dout has the
      type of input.
    * C2: weight and bias are `[E]`, E > 0.
    * C3: eps > 0.

    Made by `bpt-differentiate`; removed with `bpt.layer_norm`.

    ```mlir
    %dx, %dw, %db = bpt.layer_norm_grad {eps = 1.0e-5 : f64} cotangent(%dy : tensor<2x128x64xf32>)
      ins(%x : tensor<2x128x64xf32>) weight(%w : tensor<64xf32>) bias(%b : tensor<64xf32>)
      outs(%z0, %z1, %z2 : tensor<2x128x64xf32>, tensor<64xf32>, tensor<64xf32>)
      -> tensor<2x128x64xf32>, tensor<64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatTensor:$dout, BPT_FloatTensor:$input, Optional<BPT_FloatRanked<[1]>>:$weight,
      Optional<BPT_FloatRanked<[1]>>:$bias, Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace, F64Attr:$eps);
  let assemblyFormat = [{
    attr-dict `cotangent` `(` $dout `:` type($dout) `)` `ins` `(` $input `:` type($input) `)`
    (`weight` `(` $weight^ `:` type($weight) `)`)? (`bias` `(` $bias^ `:` type($bias) `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

def BPT_RMSNormOp : BPT_DestinationOp<"rms_norm"> {
  let summary = "root-mean-square normalisation over the last dim";
  let description = [{
    out = x / sqrt(mean(x^2) + eps) * weight, the mean over the last dim (Zhang & Sennrich 2019). Statistics in f32 (f64 for
    f64); out is rounded once. input and out `[.., E]`; weight `[E]`, optional.

    Constraints:
    * C1: one element type throughout; out has the shape of input.
    * C2: weight is `[E]`, E > 0.
    * C3: eps > 0.

    Made by model builders; removed in *kernels* or by `convert-bpt-to-linalg`.

    ```mlir
    %y = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%x : tensor<2x128x64xf32>) weight(%w : tensor<64xf32>)
      outs(%o : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatTensor:$input, Optional<BPT_FloatRanked<[1]>>:$weight,
      Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace, F64Attr:$eps);
  let assemblyFormat = [{
    attr-dict `ins` `(` $input `:` type($input) `)` (`weight` `(` $weight^ `:` type($weight) `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

def BPT_RMSNormGradOp : BPT_DestinationOp<"rms_norm_grad"> {
  let summary = "gradient of bpt.rms_norm";
  let description = [{
    With r = 1 / sqrt(mean(x^2) + eps), n = x * r and c = dout * weight:

      dinput += r * (c - n * mean(c * n));  dweight += sum over rows of dout * n

    outs: dinput, then dweight where a weight is given; gradients are *added* to them. Row sums are in f32 (f64 for f64), in
    an order that depends on shapes only.

    Constraints:
    * C1: each out has the type of what it is the gradient of, or that with elements of the accumulator type; dout has the
      type of input.
    * C2: weight is `[E]`, E > 0.
    * C3: eps > 0.

    Made by `bpt-differentiate`; removed with `bpt.rms_norm`.

    ```mlir
    %dx, %dw = bpt.rms_norm_grad {eps = 1.0e-6 : f64} cotangent(%dy : tensor<2x128x64xf32>)
      ins(%x : tensor<2x128x64xf32>) weight(%w : tensor<64xf32>)
      outs(%z0, %z1 : tensor<2x128x64xf32>, tensor<64xf32>) -> tensor<2x128x64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatTensor:$dout, BPT_FloatTensor:$input, Optional<BPT_FloatRanked<[1]>>:$weight,
      Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace, F64Attr:$eps);
  let assemblyFormat = [{
    attr-dict `cotangent` `(` $dout `:` type($dout) `)` `ins` `(` $input `:` type($input) `)`
    (`weight` `(` $weight^ `:` type($weight) `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

def BPT_RotaryOp : BPT_DestinationOp<"rotary"> {
  let summary = "rotary position embedding, half-split pairs";
  let description = [{
    With position p = s + offset and f_k = theta^(-2k/D), k < D/2 (Su et al. 2021, pairs (k, k + D/2) as in Llama):

      out(k)       = x(k) * cos(p f_k) - x(k + D/2) * sin(p f_k)
      out(k + D/2) = x(k + D/2) * cos(p f_k) + x(k) * sin(p f_k)

    `inverse` turns by -p f_k, which is the gradient. Angles, sine and cosine are in f32 (f64 for f64); out is rounded once.
    input and out `[B,S,H,D]`.

    Constraints:
    * C1: out has the type of input; D is even and positive.
    * C2: theta > 0.

    Made by model builders and `bpt-differentiate`; removed in *kernels* or by `convert-bpt-to-linalg`.

    ```mlir
    %y = bpt.rotary {theta = 10000.0 : f64} ins(%x : tensor<2x128x4x64xf32>) outs(%o : tensor<2x128x4x64xf32>)
      -> tensor<2x128x4x64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatRanked<[4]>:$input, Optional<Index>:$position_offset, Variadic<BPT_FloatTensor>:$outs,
      Optional<BPT_Workspace>:$workspace, F64Attr:$theta, UnitAttr:$inverse);
  let hasFolder = 1;
  let assemblyFormat = [{
    attr-dict `ins` `(` $input `:` type($input) `)` (`offset` `(` $position_offset^ `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

def BPT_DropoutOp : BPT_DestinationOp<"dropout"> {
  let summary = "replayable dropout; its gradient is the same op on the cotangent";
  let description = [{
    out = keep(b, s + offset, e) * x / (1 - probability), where keep comes from Philox of (seed; stream, b, s + offset, e): half
    word e % 8 of the block e / 8 is compared with round(probability * 65536). The same in forward, backward, oracle, and for
    every blocking. input and out `[B,S,..]`; e is the flattened index of the trailing dims.

    Constraints:
    * C1: out has the type of input, of rank 2 or more.
    * C2: 0 <= probability < 1.

    Made by model builders and `bpt-differentiate`; removed in *kernels* or by `convert-bpt-to-linalg`.

    ```mlir
    %y = bpt.dropout {probability = 0.1 : f64, stream = 3 : i64} ins(%x : tensor<2x128x64xf32>) seed(%seed : tensor<i64>)
      outs(%o : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatTensor:$input, BPT_Seed:$seed, Optional<Index>:$position_offset, Variadic<BPT_FloatTensor>:$outs,
      Optional<BPT_Workspace>:$workspace, F64Attr:$probability, DefaultValuedAttr<I64Attr, "0">:$stream);
  let hasFolder = 1;
  let assemblyFormat = [{
    attr-dict `ins` `(` $input `:` type($input) `)` `seed` `(` $seed `:` type($seed) `)`
    (`offset` `(` $position_offset^ `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`->` type($results)^)?
  }];
}

#endif
