// From the options of a training run to a compiled program that trains.
#pragma once

#include "bpt/Engine/Compiler.h"
#include "bpt/Runtime/Trainer.h"

namespace bpt {
/// The loss graph of `options`: the file it names (`-` is standard input), or the model it describes. Exit 1 or 2 for what is
/// wrong with it.
Expected<mlir::OwningOpRef<mlir::ModuleOp>> readTrainingGraph(Compiler &compiler, const TrainOptions &options);
/// The arguments of the graph's function `loss`, without compiling it. Consumes standard input when the graph is `-`.
Expected<std::vector<ArgumentInfo>> readTrainingSignature(const TrainOptions &options);
/// Compiles the graph to a program with the entries `train_step` and, where the run validates, `loss`, where it samples and the graph
/// ends in one linear + cross-entropy, `next_logits`. What options.keepActivations, segment and lastLayers leave open (auto, 0) is chosen: the
/// fastest program that fits into options.memory with `threads` threads (0: nine tenths of what the system has to give); where
/// none does, there is the plan of the smallest and no code. Programs that differ in these only compute the same bits.
Expected<CompiledTraining> compileTraining(const TrainOptions &options, int threads);
/// The same program without its code. With PackEffort::Bound the training step alone, chosen by lower bounds.
Expected<PlannedTraining> planTraining(const TrainOptions &options, int threads, PackEffort effort);
} // namespace bpt
