// The options of bpt-train, one row each: name, place, form, default, meaning, range. Everything else is derived from
// here.
#include "bpt/Runtime/MachineModel.h"
#include "bpt/Runtime/Threads.h"
#include "bpt/Runtime/TrainOptions.h"

namespace bpt {

static std::vector<OptionSpec> makeTable() {
  using O = TrainOptions;
  using K = OptionKind;
  const char *model = "Model", *data = "Data", *optimize = "Optimization", *machine = "Machine", *run = "Run";
  const char *preset = "the preset's";
  const double any = noLimit;
  const OptionSpec::Role num = OptionSpec::Role::Numerical, mode = OptionSpec::Role::Mode,
                         plain = OptionSpec::Role::Run;
  const std::vector<std::string> yesNo = {"true", "false"};
  // clang-format off
  return {
      // flag, field, kind, unit, default where the field does not show it, group, accepted texts, least, most, role, help
      {"graph", &O::graph, K::File, "FILE", "none", model, {}, 1, 0, plain, "the loss graph to train; - is standard input"},
      {"model", &O::model, K::Text, "NAME", "gpt where no graph is given", model, {"gpt", "llama"}, 1, 0, num, "a model builder instead of a graph"},
      {"preset", &O::preset, K::Text, "NAME", "that of bpt-gen", model, {}, 1, 0, num, "sizes to start from; the flags below override them"},
      {"layers", &O::layers, K::Integer, "LAYERS", preset, model, {}, 1, any, num, "transformer layers"},
      {"heads", &O::heads, K::Integer, "HEADS", preset, model, {}, 1, any, num, "query heads"},
      {"kv-heads", &O::kvHeads, K::Integer, "HEADS", preset, model, {}, 1, any, num, "key/value heads (llama)"},
      {"embed", &O::embed, K::Integer, "FEATURES", preset, model, {}, 1, any, num, "model width"},
      {"hidden", &O::hidden, K::Integer, "FEATURES", preset, model, {}, 1, any, num, "feed-forward width"},
      {"vocab", &O::vocab, K::Integer, "TOKENS", preset, model, {}, 1, any, num, "vocabulary size"},
      {"dtype", &O::dtype, K::Text, "TYPE", preset, model, {"f32", "bf16", "f16", "f64"}, 1, 0, num, "type of the activations; bf16 and f16 have f32 master weights"},
      {"dropout", &O::dropout, K::Real, "PROBABILITY", preset, model, {}, 0, 0.999, num, "dropout (gpt)"},
      {"position", &O::position, K::Text, "KIND", preset, model, {"learned", "rotary"}, 1, 0, num, "position encoding (gpt)"},
      {"tied", &O::tied, K::Bool, "BOOL", preset, model, yesNo, 1, 0, num, "the output layer shares the embedding (gpt)"},
      {"bias", &O::bias, K::Bool, "BOOL", preset, model, yesNo, 1, 0, num, "linear layers and norms have biases (gpt)"},
      {"rope-theta", &O::ropeTheta, K::Real, "BASE", preset, model, {}, 1, any, num, "base of the rotary frequencies"},
      {"norm-eps", &O::normEps, K::Real, "NUMBER", preset, model, {}, 0, 1, num, "epsilon of the norms (llama)"},
      {"context", &O::context, K::Integer, "TOKENS", "0: the graph's or preset's", model, {}, 0, any, num, "length of a sequence"},
      {"batch", &O::batch, K::Integer, "SEQUENCES", "0: the graph's, else 8", model, {}, 0, any, num, "sequences of a micro-step"},

      {"tokens", &O::tokens, K::File, "FILE", "required", data, {}, 1, 0, plain, "token file to train on"},
      {"token-type", &O::tokenType, K::Text, "TYPE", nullptr, data, {"auto", "u8", "u16", "u32", "llmc"}, 1, 0, plain,
       "element type of token files; auto: an llm.c header, or the file name's ending (.u8 .u16 .u32), or the smallest type that holds the vocabulary"},
      {"valid-tokens", &O::validTokens, K::File, "FILE", "none", data, {}, 1, 0, plain, "token file to validate on"},
      {"valid-every", &O::validEvery, K::Integer, "STEPS", "that of checkpoint-every", data, {}, 0, any, plain, "steps between validations"},
      {"valid-batches", &O::validBatches, K::Integer, "MICRO-STEPS", nullptr, data, {}, 1, any, plain, "batches of one validation"},

      {"steps", &O::steps, K::Integer, "STEPS", nullptr, optimize, {}, 0, any, num, "length of the whole run; the schedule follows it"},
      {"stop-at", &O::stopAt, K::Integer, "STEP", "steps", optimize, {}, 0, any, plain, "end after this step with a checkpoint"},
      {"accumulate", &O::accumulate, K::Integer, "MICRO-STEPS", nullptr, optimize, {}, 1, any, num, "micro-steps whose gradients make one step"},
      {"lr", &O::lr, K::Real, "RATE", nullptr, optimize, {}, 0, any, num, "learning rate after the warm-up"},
      {"min-lr", &O::minLr, K::Real, "RATE", "lr / 10", optimize, {}, 0, any, num, "learning rate at the last step"},
      {"warmup", &O::warmup, K::Integer, "STEPS", nullptr, optimize, {}, 0, any, num, "steps of linear warm-up"},
      {"weight-decay", &O::weightDecay, K::Real, "FACTOR", nullptr, optimize, {}, 0, any, num, "decoupled weight decay (times the learning rate)"},
      {"beta1", &O::beta1, K::Real, "FACTOR", nullptr, optimize, {}, 0, 0.99999999, num, "decay of the first moment"},
      {"beta2", &O::beta2, K::Real, "FACTOR", nullptr, optimize, {}, 0, 0.99999999, num, "decay of the second moment"},
      {"eps", &O::eps, K::Real, "NUMBER", nullptr, optimize, {}, 0, any, num, "added to the root of the second moment"},
      {"clip", &O::clip, K::Real, "NORM", nullptr, optimize, {}, 0, any, num, "largest global norm of the gradients; 0: no clipping"},
      {"seed", &O::seed, K::Integer, "NUMBER", nullptr, optimize, {}, 0, any, num, "of initial parameters, data order, dropout and samples"},
      {"init", &O::init, K::File, "FILE", "random", optimize, {}, 1, 0, plain, "safetensors file with initial parameters"},

      {"target", &O::target, K::Text, "TARGET", nullptr, machine, {"cpu", "reference", "emulator", "cuda"}, 1, 0, num, "what to compile for"},
      {"cpu", &O::cpu, K::Text, "NAME", nullptr, machine, {}, 1, 0, num,
       "processor to compile for: native (with AMX where it pays), native-amx (without), x86-64-v4, x86-64-v4+amx, x86-64-v3 or x86-64"},
      {"opt-level", &O::optLevel, K::Integer, "LEVEL", nullptr, machine, {}, 1, 2, plain, "2: code that runs fast; 1: that is made fast, for a short run on the CPU; the results are the same"},
      {"strategy", &O::strategy, K::Text, "NAME", nullptr, machine, {"vanilla", "memory-efficient", "blockwise"}, 1, 0, num, "how layers are blocked"},
      {"block", &O::block, K::Integer, "ROWS", nullptr, machine, {}, 1, any, num, "sequence rows of a block"},
      {"keep-activations", &O::keepActivations, K::Text, "NAME", nullptr, machine, {"auto", "input", "attention", "qkv", "all"}, 1, 0, plain,
       "what a layer keeps for its backward pass; auto: what suits the strategy and the memory"},
      {"segment", &O::segment, K::Integer, "LAYERS", "0: what suits the memory", machine, {}, 0, any, plain,
       "layers of a segment: the backward computes them again from the segment's input alone; 1: each layer's input is kept"},
      {"last-layers", &O::lastLayers, K::Integer, "LAYERS", "0: what suits the memory", machine, {}, 0, any, plain,
       "layers at the end that keep what --last-keep says instead, each by itself"},
      {"last-keep", &O::lastKeep, K::Text, "NAME", nullptr, machine, {"input", "attention", "qkv", "all"}, 1, 0, plain, "what the last --last-layers keep"},
      {"offload", &O::offload, K::Text, "CHOICE", nullptr, machine, {"auto", "true", "false"}, 1, 0, plain,
       "what the backward pass needs much later waits in host memory, with --target=cuda or emulator; auto: where nothing faster fits"},
      {"heads-at-once", &O::headsAtOnce, K::Integer, "HEADS", "0: all", machine, {}, 0, any, num,
       "key/value heads of a layer that exist at a time, where the input is kept; sums then have another order"},
      {"memory", &O::memory, K::Bytes, "SIZE", "0: nine tenths of what is free", machine, {}, 0, any, plain, "bytes the run may plan: 6GiB, 512MB, 64k or plain bytes"},
      {"threads", &O::threads, K::Integer, "THREADS", "0: OMP_NUM_THREADS, else all processors", machine, {}, 0, maxThreads, plain, "threads to run on"},

      {"out", &O::out, K::File, "DIR", nullptr, run, {}, 1, 0, plain, "folder of configuration, metrics, plots and checkpoints"},
      {"checkpoint-every", &O::checkpointEvery, K::Integer, "STEPS", nullptr, run, {}, 0, any, plain, "steps between checkpoints; 0: only the last"},
      {"keep", &O::keep, K::Integer, "CHECKPOINTS", nullptr, run, {}, 0, any, plain, "checkpoints that stay; 0: all"},
      {"resume", &O::resume, K::Bool, "", nullptr, run, yesNo, 1, 0, mode, "go on from the newest complete checkpoint in --out"},
      {"sample-every", &O::sampleEvery, K::Integer, "STEPS", "0: never", run, {}, 0, any, plain, "steps between sampled continuations"},
      {"sample-prompt", &O::samplePrompt, K::Text, "TEXT", "a line break", run, {}, 1, 0, plain, "what to continue: text (vocabulary of 256 bytes) or ids such as 5,17"},
      {"sample-tokens", &O::sampleTokens, K::Integer, "TOKENS", nullptr, run, {}, 1, any, plain, "length of a sample"},
      {"sample-temperature", &O::sampleTemperature, K::Real, "FACTOR", nullptr, run, {}, 0, any, plain, "of the sampling distribution; 0: the likeliest token"},
      {"profile", &O::profile, K::Bool, "", nullptr, run, yesNo, 1, 0, mode, "report at the end where the time went, also by op, and write trace.json for Perfetto"},
      {"dry-run", &O::dryRun, K::Bool, "", nullptr, run, yesNo, 1, 0, mode, "plan and print the table; compile, allocate and write nothing"},
      {"frontier", &O::frontier, K::Bool, "", nullptr, run, yesNo, 1, 0, mode, "with --dry-run: also memory and predicted time of every policy worth a choice"},
      {"max-context", &O::maxContext, K::Bool, "", nullptr, run, yesNo, 1, 0, mode, "with --dry-run: also the longest --context that fits the memory"},
      {"max-batch", &O::maxBatch, K::Bool, "", nullptr, run, yesNo, 1, 0, mode, "with --dry-run: also the largest --batch that fits the memory"},
      {"machine", &O::machine, K::Text, "NAME", nullptr, run, machineNames(), 1, 0, mode, "with --dry-run: whose speed the predicted time of a step is for"},
      {"json", &O::json, K::Bool, "", nullptr, run, yesNo, 1, 0, mode, "print one JSON object a line instead of text"},
      {"config", &O::config, K::File, "FILE", "none", run, {}, 1, 0, mode, "TOML file with any of these options (min_lr = 1e-5); the command line wins"},
  };
  // clang-format on
}

const std::vector<OptionSpec> &trainOptionSpecs() {
  static const std::vector<OptionSpec> table = makeTable();
  return table;
}

} // namespace bpt
