// A program whose "compiled" entries are C functions in FakeProgram.cpp: what the compiler emits, without the compiler.
#pragma once
#include "bpt/Runtime/Program.h"

/// Entries:
///   scale(x: ?x64xf32, factor: f32) -> y: ?x64xf32 = factor * x, computed row by row in scratch, in parallel
///   step(w: 8xf32 parameter, tokens: 4xi32 in [0, 10) or -100) -> (count: i64, w: in place, w += 1)
///   fail() -> status 7
bpt::Manifest fakeManifest();
bpt::Expected<bpt::Program> fakeProgram(bpt::Manifest manifest = fakeManifest());
