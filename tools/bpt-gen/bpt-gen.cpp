// bpt-gen: prints the loss graph of a model.
#include "bpt/Models/Models.h"
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/File.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <CLI/CLI.hpp>

using namespace mlir;

static OwningOpRef<ModuleOp> build(MLIRContext *context, const bpt::GPTOptions &options) {
  return bpt::buildGPT(context, options);
}
static OwningOpRef<ModuleOp> build(MLIRContext *context, const bpt::LlamaOptions &options) {
  return bpt::buildLlama(context, options);
}

static constexpr char exitCodes[] = "Exit codes: 0 ok, 2 usage (options that make no model, too), 5 output failed.";

/// Prints the graph of the model whose options are on the command line; `argv[0]` is the model's name.
template <typename Options>
static int generate(const std::string &tool, const std::string &what, int argc, char **argv) {
  CLI::App app("Prints the loss graph of " + what + " on standard output.", tool);
  Options options;
  std::string preset;
  // Taken as soon as it is read; the options themselves are set after the whole line is: single flags win.
  auto takePreset = [&](const std::string &name) {
    if (std::optional<std::string> mistake = bpt::applyPreset(name, options))
      throw CLI::ValidationError(*mistake, CLI::ExitCodes::ValidationError);
  };
  app.add_option_function<std::string>("--preset", takePreset,
                                       llvm::join(bpt::getPresetNames(options), " | ") +
                                           "; other flags override it; default: none")
      ->trigger_on_parse();
  bpt::visitOptions(options, [&](const char *flag, auto &field, const char *help) {
    CLI::Option *option = app.add_option(std::string("--") + flag, field, help)->capture_default_str();
    if constexpr (std::is_same_v<decltype(field), bool &>)
      option->default_str(field ? "true" : "false");
  });
  app.footer(exitCodes);
  if (std::optional<int> code = bpt::parseCommandLine(app, argc, argv))
    return *code;
  if (std::optional<std::string> mistake = bpt::findMistake(options))
    return bpt::reportError(tool, bpt::usageError(*mistake));

  MLIRContext context(MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = build(&context, options);
  bpt::printModel(*module, llvm::outs());
  llvm::outs().flush();
  if (std::error_code error = llvm::outs().error()) {
    llvm::outs().clear_error();
    return bpt::reportError(tool, bpt::fileError("standard output", "write", error.value()));
  }
  return 0;
}

int main(int argc, char **argv) {
  bpt::ignoreWriteSignals();
  std::string model = argc > 1 ? argv[1] : "";
  if (model == "gpt")
    return generate<bpt::GPTOptions>("bpt-gen gpt", "GPT-2", argc - 1, argv + 1);
  if (model == "llama")
    return generate<bpt::LlamaOptions>("bpt-gen llama", "Llama", argc - 1, argv + 1);
  CLI::App app(
      "Prints the loss graph of a model on standard output. Its flags: bpt-gen gpt --help, bpt-gen llama --help.",
      "bpt-gen");
  app.add_option("MODEL", model, "gpt | llama")->required();
  app.footer(exitCodes);
  if (std::optional<int> code = bpt::parseCommandLine(app, argc, argv))
    return *code;
  return bpt::reportError("bpt-gen", bpt::usageError("expected gpt or llama first, but got " + bpt::inQuotes(model)));
}
