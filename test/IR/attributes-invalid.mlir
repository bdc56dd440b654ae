// What attributes refuse.
// RUN: bpt-opt %s --verify-diagnostics --split-input-file

// expected-error@+1 {{expected a positive size of the window, but got 0}}
func.func private @window() attributes {m = #bpt.sliding_window<0>}

// -----

// expected-error@+1 {{expected a positive length of the prefix, but got -1}}
func.func private @prefix() attributes {m = #bpt.prefix<-1>}

// -----

// expected-error@+1 {{expected masks, but got #bpt.zeros}}
func.func private @intersection() attributes {m = #bpt.intersection<#bpt.causal, #bpt.zeros>}

// -----

// expected-error@+1 {{expected a finite standard deviation >= 0 of f64, but got -1.000000e+00 : f64}}
func.func private @normal() attributes {m = #bpt.normal<-1.0>}

// -----

// expected-error@+1 {{expected 'bpt.name' to be a non-empty string, but got 3 : i64}}
func.func private @name(tensor<f32> {bpt.name = 3})

// -----

// expected-error@+1 {{expected names of arguments to be unique, but got "w" for arguments 0 and 2}}
func.func private @names(tensor<f32> {bpt.name = "w"}, tensor<f32>, tensor<f32> {bpt.name = "w"})

// -----

// expected-error@+1 {{expected names of results to be unique, but got "w" for results 0 and 1}}
func.func private @result_names() -> (tensor<f32> {bpt.name = "w"}, tensor<f32> {bpt.name = "w"})

// -----

// expected-error@+1 {{expected 'bpt.init' to be #bpt.normal, #bpt.zeros or #bpt.ones, but got "zeros"}}
func.func private @init(tensor<f32> {bpt.init = "zeros"})

// -----

// expected-error@+1 {{expected 'bpt.init' on floating-point arguments, but got 'tensor<i32>'}}
func.func private @init_type(tensor<i32> {bpt.init = #bpt.zeros})

// -----

// expected-error@+1 {{expected 'bpt.decay' to be true or false, but got 1 : i64}}
func.func private @decay(tensor<f32> {bpt.decay = 1})

// -----

// expected-error@+1 {{expected 'bpt.range' to be a positive i64, but got 0 : i64}}
func.func private @range(tensor<i32> {bpt.range = 0})

// -----

// expected-error@+1 {{expected 'bpt.range' on integer arguments, but got 'tensor<f32>'}}
func.func private @range_type(tensor<f32> {bpt.range = 3})

// -----

// expected-error@+1 {{expected 'bpt.inplace' to be the number of an argument as i64, but got 1 : i64}}
func.func private @inplace(tensor<f32>) -> (tensor<f32> {bpt.inplace = 1})
