// Attention and its gradient.
#ifndef BPT_IR_ATTENTIONOPS_TD
#define BPT_IR_ATTENTIONOPS_TD

include "bpt/IR/BPTAttrs.td"

def BPT_AttentionOp : BPT_DestinationOp<"attention"> {
  let summary = "exact softmax attention with log-sum-exp";
  let description = [{
    With z(b,h,i,j) = softcap(scale * sum_d query(b,i,h,d) * key(b,j,h / (H/G),d)) + bias(b,h,i,j), where softcap(x) =
    c * tanh(x / c) for `softcap` c > 0 and x otherwise:

      lse(b,h,i)   = log sum over visible j of exp(z)         (base e)
      out(b,i,h,:) = sum over visible j of keep(b,h,i,j) / (1 - dropout) * exp(z - lse) * value(b,j,h / (H/G),:)

    Column j is visible to row i when the `mask` says so for (i + query_offset, j) and, with segments,
    query_segments(b,i) = key_segments(b,j). A row without a visible column gives out 0 and lse -inf. `keep` is the
    replayable dropout of DESIGN 3: Philox of (seed; stream, b, h + head_offset, i + query_offset, j), with `head_count` heads in
    all: an op of some heads of another (`bpt-form-blocks{heads}`) draws what that one drew for them. A `head_count` of 0, the
    default, means H.

    Shapes: query `[B,S,H,D]`, key `[B,T,G,D]`, value `[B,T,G,D]`, bias `[B|1,H|1,S|1,T|1]`, segments `[B,S]` and
    `[B,T]` of i32; outs: out `[B,S,H,D]`, lse `[B,H,S]` of f32 (f64 for f64), optionally probabilities `[B,H,S,T]` =
    exp(z - lse) before dropout, which only the `vanilla` strategy materialises.

    Accumulation: scores, statistics and the sum over j in f32 (f64 for f64); out is rounded once.

    Constraints:
    * C1: query, key, value, out and bias have one element type.
    * C2: batch and head dim agree; H is a multiple of G; H, G and D are positive.
    * C3: lse is `[B,H,S]` of f32 (f64 when query is f64).
    * C4: each bias dim is 1 or the full one.
    * C5: both segments or none, `[B,S]` and `[B,T]`.
    * C6: 0 <= dropout < 1, and a seed exactly when dropout > 0.
    * C7: softcap >= 0, and both softcap and scale are finite.
    * C8: two or three outs; probabilities are `[B,H,S,T]` of the query's element type.
    * C9: head_offset is 0, or at least 0 with head_offset + H <= head_count.

    Made by model builders and `bpt-raise-linalg`; removed in *kernels* (`convert-bpt-to-vector`) or by
    `convert-bpt-to-linalg`.

    ```mlir
    %a, %lse = bpt.attention {mask = #bpt.causal, scale = 0.125 : f64}
      ins(%q, %k, %v : tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>)
      outs(%o, %l : tensor<2x128x4x64xf32>, tensor<2x4x128xf32>) -> tensor<2x128x4x64xf32>, tensor<2x4x128xf32>
    ```
  }];
  let arguments = (ins BPT_FloatRanked<[4]>:$query, BPT_FloatRanked<[4]>:$key, BPT_FloatRanked<[4]>:$value,
      Optional<BPT_FloatRanked<[4]>>:$bias, Optional<BPT_IntRanked<[2], I32>>:$query_segments,
      Optional<BPT_IntRanked<[2], I32>>:$key_segments, Optional<Index>:$query_offset, Optional<BPT_Seed>:$seed,
      Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace,
      DefaultValuedAttr<BPT_BlockMask, "FullMaskAttr">:$mask, F64Attr:$scale,
      DefaultValuedAttr<F64Attr, "0.0">:$softcap, DefaultValuedAttr<F64Attr, "0.0">:$dropout,
      DefaultValuedAttr<I64Attr, "0">:$stream, DefaultValuedAttr<I64Attr, "0">:$head_offset,
      DefaultValuedAttr<I64Attr, "0">:$head_count, OptionalAttr<BPT_ScheduleAttr>:$schedule);
  let assemblyFormat = [{
    attr-dict `ins` `(` $query `,` $key `,` $value `:` type($query) `,` type($key) `,` type($value) `)`
    (`bias` `(` $bias^ `:` type($bias) `)`)?
    (`segments` `(` $query_segments^ `,` $key_segments `:` type($query_segments) `,` type($key_segments) `)`)?
    (`offset` `(` $query_offset^ `)`)? (`seed` `(` $seed^ `:` type($seed) `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)?
    (`->` type($results)^)?
  }];
  let extraClassDeclaration = destinationDeclaration # [{
    bool hasProbabilities() { return getOuts().size() == 3; }
  }];
  let hasCanonicalizer = 1;
}

def BPT_AttentionGradOp : BPT_DestinationOp<"attention_grad"> {
  let summary = "gradient of bpt.attention with respect to query, key, value and bias";
  let description = [{
    With P = select(lse = -inf, 0, exp(z - lse)) recomputed (or given as probabilities), K = keep / (1 - dropout) and
    delta(b,h,i) = sum_d dout * out - dlse:

      dP = (dout . value) * K;  dz = P * (dP - delta);  ds = dz * softcap'(scale * q.k)
      dvalue += (P * K)^T dout;  dquery += scale * ds key;  dkey += scale * ds^T query;  dbias += dz

    summed over the heads of a group for dkey and dvalue, and over broadcast dims for dbias (FlashAttention-2, algorithm 2,
    with the cotangent of lse). No S x T temporary exists, unless the bias itself is that large.

    Operands beyond those of `bpt.attention`: dout, optional dlse, and its results out and lse (and probabilities).
    outs: dquery, dkey, dvalue, and dbias exactly when there is a bias; gradients are *added* to them.

    Constraints:
    * C1: each out has the type of what it is the gradient of, or that with elements of the accumulator type.
    * C2: dout has the type of out; dlse, if any, that of lse.
    * C3: mask, scale, softcap, dropout, head_offset and the optional operands obey the constraints of `bpt.attention`.

    Made by `bpt-differentiate`; removed with `bpt.attention`.

    ```mlir
    %dq, %dk, %dv = bpt.attention_grad {mask = #bpt.causal, scale = 0.125 : f64} cotangent(%da : tensor<2x128x4x64xf32>)
      ins(%q, %k, %v, %a, %lse : tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>,
          tensor<2x128x4x64xf32>, tensor<2x4x128xf32>)
      outs(%z0, %z1, %z2 : tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>)
      -> tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatRanked<[4]>:$dout, Optional<BPT_FloatRanked<[3]>>:$dlse, BPT_FloatRanked<[4]>:$query,
      BPT_FloatRanked<[4]>:$key, BPT_FloatRanked<[4]>:$value, BPT_FloatRanked<[4]>:$out, BPT_FloatRanked<[3]>:$lse,
      Optional<BPT_FloatRanked<[4]>>:$probabilities,
      Optional<BPT_FloatRanked<[4]>>:$bias, Optional<BPT_IntRanked<[2], I32>>:$query_segments,
      Optional<BPT_IntRanked<[2], I32>>:$key_segments, Optional<Index>:$query_offset, Optional<BPT_Seed>:$seed,
      Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace,
      DefaultValuedAttr<BPT_BlockMask, "FullMaskAttr">:$mask, F64Attr:$scale,
      DefaultValuedAttr<F64Attr, "0.0">:$softcap, DefaultValuedAttr<F64Attr, "0.0">:$dropout,
      DefaultValuedAttr<I64Attr, "0">:$stream, DefaultValuedAttr<I64Attr, "0">:$head_offset,
      DefaultValuedAttr<I64Attr, "0">:$head_count, OptionalAttr<BPT_ScheduleAttr>:$schedule);
  let assemblyFormat = [{
    attr-dict `cotangent` `(` $dout `:` type($dout) `)` (`lse_cotangent` `(` $dlse^ `:` type($dlse) `)`)?
    `ins` `(` $query `,` $key `,` $value `,` $out `,` $lse `:` type($query) `,` type($key) `,` type($value) `,` type($out) `,`
    type($lse) `)` (`probabilities` `(` $probabilities^ `:` type($probabilities) `)`)?
    (`bias` `(` $bias^ `:` type($bias) `)`)?
    (`segments` `(` $query_segments^ `,` $key_segments `:` type($query_segments) `,` type($key_segments) `)`)?
    (`offset` `(` $query_offset^ `)`)? (`seed` `(` $seed^ `:` type($seed) `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)?
    (`->` type($results)^)?
  }];
  let hasCanonicalizer = 1;
}

#endif
