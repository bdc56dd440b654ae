// RUN: bpt-opt %s --pass-pipeline='builtin.module(gpu.module(bpt-distribute-lanes))' --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @copy
// CHECK: %[[LANE:.*]] = nvvm.read.ptx.sreg.laneid : i32
// CHECK: %[[AT:.*]] = arith.index_castui %[[LANE]] : i32 to index
// CHECK: %[[FROM:.*]] = arith.addi %{{.*}}, %[[AT]] : index
// CHECK: nvvm.bar.warp.sync
// CHECK: %[[X:.*]] = memref.load %{{.*}}[%[[FROM]]]
// CHECK: nvvm.bar.warp.sync
// CHECK: memref.store %[[X]]
gpu.module @copy {
  func.func @copy(%a: memref<?xf32>, %b: memref<?xf32>, %i: index) {
    %v = vector.load %a[%i] : memref<?xf32>, vector<32xf32>
    vector.store %v, %b[%i] : memref<?xf32>, vector<32xf32>
    return
  }
}

// -----

// A masked access is a branch that lanes take on their own.
// CHECK-LABEL: func.func @tail
// CHECK: %[[SEEN:.*]] = arith.cmpi slt, %{{.*}}, %arg1 : index
// CHECK: %[[X:.*]] = scf.if %[[SEEN]] -> (f32)
// CHECK: memref.load
// CHECK: arith.addf %[[X]], %[[X]] : f32
gpu.module @tail {
  func.func @tail(%a: memref<?xf32>, %n: index) -> vector<32xf32> {
    %c0 = arith.constant 0 : index
    %zero = arith.constant dense<0.0> : vector<32xf32>
    %mask = vector.create_mask %n : vector<32xi1>
    %v = vector.maskedload %a[%c0], %mask, %zero : memref<?xf32>, vector<32xi1>, vector<32xf32> into vector<32xf32>
    %w = arith.addf %v, %v : vector<32xf32>
    return %w : vector<32xf32>
  }
}

// -----

// The upper half of the lanes comes down; the sum of two lanes is taken from lane 0.
// CHECK-LABEL: func.func @halves
// CHECK: %[[SOURCE:.*]] = arith.addi %{{.*}}, %c16{{.*}} : i32
// CHECK: %[[HIGH:.*]] = nvvm.shfl.sync idx %{{.*}}, %arg0, %[[SOURCE]], %{{.*}} : f32 -> f32
// CHECK: arith.addf %arg0, %[[HIGH]] : f32
// CHECK: nvvm.shfl.sync idx
gpu.module @halves {
  func.func @halves(%v: vector<32xf32>) -> f32 {
    %low = vector.extract_strided_slice %v {offsets = [0], sizes = [16], strides = [1]} : vector<32xf32> to vector<16xf32>
    %high = vector.extract_strided_slice %v {offsets = [16], sizes = [16], strides = [1]} : vector<32xf32> to vector<16xf32>
    %sum = arith.addf %low, %high : vector<16xf32>
    %x = vector.extract %sum[0] : f32 from vector<16xf32>
    return %x : f32
  }
}

// -----

// One lane stores what all have.
// CHECK-LABEL: func.func @scalar
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %{{.*}}, %c0{{.*}} : i32
// CHECK: nvvm.bar.warp.sync
// CHECK: scf.if %[[FIRST]]
// CHECK-NEXT: memref.store
gpu.module @scalar {
  func.func @scalar(%a: memref<?xf32>, %x: f32, %i: index) {
    memref.store %x, %a[%i] : memref<?xf32>
    return
  }
}

// -----

gpu.module @wide {
  func.func @wide(%x: f32) -> vector<64xf32> {
    // expected-error @below {{expected vectors of at most 32 elements, but got 'vector<64xf32>'}}
    %v = vector.broadcast %x : f32 to vector<64xf32>
    return %v : vector<64xf32>
  }
}
