// Feed-forward layer and its gradient.
#ifndef BPT_IR_FEEDFORWARDOPS_TD
#define BPT_IR_FEEDFORWARDOPS_TD

include "bpt/IR/BPTAttrs.td"
include "bpt/IR/BPTEnums.td"

def BPT_FeedForwardOp : BPT_DestinationOp<"feed_forward"> {
  let summary = "two-layer feed-forward network, optionally gated";
  let description = [{
    Without a gate: u = input . up + up_bias; out = act(u) . down + down_bias.
    With a gate (SwiGLU, GEGLU; Shazeer 2020): g = input . gate + gate_bias; out = (act(g) * u) . down + down_bias.

    Shapes: input `[.., E]`; up and gate `[E, F]`, down `[F, N]`, or `[F, E]` and `[N, F]` with `weights_transposed`;
    biases `[F]` and `[N]`. outs: out `[.., N]`, optionally hidden: the pre-activations u `[.., F]`, or `[.., 2F]` = g then u with a gate.
    Without the second out the hidden exists for one block of rows at a time.

    Accumulation: both products in f32 (f64 for f64) and the activation in that type; for bf16 and f16 the activated hidden is
    rounded to the storage type before the second product, out once.

    Constraints:
    * C1: one element type throughout.
    * C2: the inner dims of the weights agree with input, with each other and with out; E, F and N are positive.
    * C3: biases are `[F]`, `[F]` and `[N]`; a gate bias needs a gate.
    * C4: one or two outs; hidden has F columns, 2F with a gate.

    Made by model builders; removed in *kernels* or by `convert-bpt-to-linalg`.

    ```mlir
    %y = bpt.feed_forward {activation = #bpt.activation<gelu_tanh>} ins(%x : tensor<2x128x64xf32>)
      up(%w1 : tensor<64x256xf32> bias %b1 : tensor<256xf32>) down(%w2 : tensor<256x64xf32> bias %b2 : tensor<64xf32>)
      outs(%o : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatTensor:$input, BPT_FloatRanked<[2]>:$up_weight, Optional<BPT_FloatRanked<[1]>>:$up_bias,
      Optional<BPT_FloatRanked<[2]>>:$gate_weight, Optional<BPT_FloatRanked<[1]>>:$gate_bias,
      BPT_FloatRanked<[2]>:$down_weight, Optional<BPT_FloatRanked<[1]>>:$down_bias,
      Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace,
      DefaultValuedAttr<BPT_ActivationAttr, "::bpt::Activation::GeluTanh">:$activation, UnitAttr:$weights_transposed,
      OptionalAttr<BPT_ScheduleAttr>:$schedule);
  let assemblyFormat = [{
    attr-dict `ins` `(` $input `:` type($input) `)`
    `up` `(` $up_weight `:` type($up_weight) (`bias` $up_bias^ `:` type($up_bias))? `)`
    (`gate` `(` $gate_weight^ `:` type($gate_weight) `)`)? (`gate_bias` `(` $gate_bias^ `:` type($gate_bias) `)`)?
    `down` `(` $down_weight `:` type($down_weight) (`bias` $down_bias^ `:` type($down_bias))? `)`
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)?
    (`->` type($results)^)?
  }];
  let extraClassDeclaration = destinationDeclaration # [{
    bool hasHidden() { return getOuts().size() == 2; }
  }];
  let hasCanonicalizeMethod = 1;
}

def BPT_FeedForwardGradOp : BPT_DestinationOp<"feed_forward_grad"> {
  let summary = "gradient of bpt.feed_forward; the hidden is recomputed block by block unless it is given";
  let description = [{
    With u, g as in `bpt.feed_forward` (recomputed, or read from hidden), a = act(u) or act(g) * u, and da = dout . down^T:

      ddown += a^T dout;  ddown_bias += sum dout
      no gate: du = da * act'(u);   gate: du = da * act(g), dg = da * u * act'(g)
      dup += input^T du;  dgate += input^T dg;  biases: sums over rows;  dinput += du . up^T + dg . gate^T

    outs, in this order, each present exactly when its operand is: dinput, dup_weight, dup_bias, dgate_weight, dgate_bias,
    ddown_weight, ddown_bias; gradients are *added* to them, in f32 (f64 for f64) over all rows, rounded once.

    Constraints:
    * C1: each out has the type of what it is the gradient of, or that with elements of the accumulator type.
    * C2: dout is `[.., N]`; hidden as in `bpt.feed_forward`; weights and biases as there.

    Made by `bpt-differentiate`; removed with `bpt.feed_forward`.

    ```mlir
    %dx, %dw1, %dw2 = bpt.feed_forward_grad {activation = #bpt.activation<relu>} cotangent(%dy : tensor<2x128x64xf32>)
      ins(%x : tensor<2x128x64xf32>) up(%w1 : tensor<64x256xf32>) down(%w2 : tensor<256x64xf32>)
      outs(%z0, %z1, %z2 : tensor<2x128x64xf32>, tensor<64x256xf32>, tensor<256x64xf32>)
      -> tensor<2x128x64xf32>, tensor<64x256xf32>, tensor<256x64xf32>
    ```
  }];
  let arguments = (ins BPT_FloatTensor:$dout, BPT_FloatTensor:$input, BPT_FloatRanked<[2]>:$up_weight,
      Optional<BPT_FloatRanked<[1]>>:$up_bias, Optional<BPT_FloatRanked<[2]>>:$gate_weight,
      Optional<BPT_FloatRanked<[1]>>:$gate_bias, BPT_FloatRanked<[2]>:$down_weight,
      Optional<BPT_FloatRanked<[1]>>:$down_bias, Optional<BPT_FloatTensor>:$hidden,
      Variadic<BPT_FloatTensor>:$outs, Optional<BPT_Workspace>:$workspace,
      DefaultValuedAttr<BPT_ActivationAttr, "::bpt::Activation::GeluTanh">:$activation, UnitAttr:$weights_transposed,
      OptionalAttr<BPT_ScheduleAttr>:$schedule);
  let assemblyFormat = [{
    attr-dict `cotangent` `(` $dout `:` type($dout) `)` `ins` `(` $input `:` type($input) `)`
    `up` `(` $up_weight `:` type($up_weight) (`bias` $up_bias^ `:` type($up_bias))? `)`
    (`gate` `(` $gate_weight^ `:` type($gate_weight) `)`)? (`gate_bias` `(` $gate_bias^ `:` type($gate_bias) `)`)?
    `down` `(` $down_weight `:` type($down_weight) (`bias` $down_bias^ `:` type($down_bias))? `)`
    (`hidden` `(` $hidden^ `:` type($hidden) `)`)?
    `outs` `(` $outs `:` type($outs) `)` (`workspace` `(` $workspace^ `:` type($workspace) `)`)?
    (`->` type($results)^)?
  }];
}

#endif
