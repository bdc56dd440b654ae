func.func @f(%x: tensor<33x96xf32>, %w: tensor<96xf32>, %b: tensor<96xf32>) -> tensor<33x96xf32> {
  %e = tensor.empty() : tensor<33x96xf32>
  // The line of the op is part of messages.
  %0 = bpt.layer_norm {eps = 1.0e-05 : f64} ins(%x : tensor<33x96xf32>) weight(%w : tensor<96xf32>) bias(%b : tensor<96xf32>) outs(%e : tensor<33x96xf32>) -> tensor<33x96xf32>
  return %0 : tensor<33x96xf32>
}
