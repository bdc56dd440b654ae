# lit configuration: every tool of build/bin and of LLVM is on the PATH of a test, ours first.
import os
import shutil
import lit.formats

config.name = "bpt"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
# Not lit tests: gtest programs, the consumer project, the conformance suite, and files other tests read.
config.excludes = ["Inputs", "Runtime", "Consumer", "Conformance", "CAPI"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.bpt_binary_dir, "test")

config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.bpt_binary_dir, "bin"), config.llvm_tools_dir, config.environment["PATH"]])
# Readable failures: what was checked, and the input around it.
config.environment["FILECHECK_OPTS"] = (
    "--enable-var-scope --allow-unused-prefixes=false --dump-input=fail --dump-input-context=20")

config.substitutions.append(("%bpt_lib", os.path.join(config.bpt_binary_dir, "lib")))
config.substitutions.append(("%bpt_bin", os.path.join(config.bpt_binary_dir, "bin")))
config.substitutions.append(("%bpt_build", config.bpt_binary_dir))
config.substitutions.append(("%cxx", config.cxx))
config.substitutions.append(("%cc", config.cc))
config.substitutions.append(("%bpt_src", config.bpt_source_dir))
config.substitutions.append(("%python", config.python))

# Tools a test may need and that a build may lack: `REQUIRES: mlir-opt`.
for tool in ["mlir-opt"]:
    if os.path.exists(os.path.join(config.llvm_tools_dir, tool)):
        config.available_features.add(tool)

# The assembler of the CUDA toolkit, on the PATH or where the toolkit installs itself: `REQUIRES: ptxas`.
ptxas = shutil.which("ptxas") or "/usr/local/cuda/bin/ptxas"
if os.path.exists(ptxas):
    config.available_features.add("ptxas")
config.substitutions.append(("%ptxas", ptxas))
