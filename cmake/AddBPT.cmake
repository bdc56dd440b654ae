# The only place that knows how bpt's targets link: one libMLIR.so and one libLLVM.so in the process, never the static
# archives (mixing them registers every option and type twice), our own install and export.

# Compiler-side code: no RTTI games, same flags as the packaged libMLIR (RTTI on, exceptions off).
set(BPT_COMPILER_FLAGS -fno-exceptions -Wall -Wextra -Wno-unused-parameter -Wno-deprecated-declarations)
# -O1: the compiler's own speed is not what users wait for; the objects it emits are optimised by LLVM.
set(BPT_COMPILER_OPTIMIZE $<$<CONFIG:Release>:-O1>)

# bpt_add_library(NAME sources... [DEPENDS targets...] [LINK libraries...]): a static, exported compiler library.
function(bpt_add_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_compile_options(${name} PRIVATE ${BPT_COMPILER_FLAGS} ${BPT_COMPILER_OPTIMIZE})
  target_include_directories(${name} SYSTEM PUBLIC ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM)
  add_dependencies(${name} bpt-headers ${ARG_DEPENDS})
  if(TARGET bpt-pch)
    target_precompile_headers(${name} REUSE_FROM bpt-pch)
    add_dependencies(${name} bpt-pch)
  endif()
  set_property(GLOBAL APPEND PROPERTY BPT_LIBRARIES ${name})
endfunction()

# bpt_add_tool(NAME sources... LINK libraries...): a program in build/bin.
function(bpt_add_tool name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unused-parameter ${BPT_COMPILER_OPTIMIZE})
  target_include_directories(${name} SYSTEM PRIVATE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()

# bpt_tablegen(TD OUTPUTS...): pairs of "file generator-flags" become headers of the target bpt-headers.
macro(bpt_tablegen td)
  set(LLVM_TARGET_DEFINITIONS ${td})
  set(_arguments ${ARGN})
  while(_arguments)
    list(POP_FRONT _arguments _output _flags)
    separate_arguments(_flags)
    mlir_tablegen(${_output} ${_flags})
  endwhile()
endmacro()

# Install tree: headers (with .td), libraries, tools, and BPTConfig.cmake so that find_package(BPT) works.
function(bpt_install_package)
  include(CMakePackageConfigHelpers)
  get_property(libraries GLOBAL PROPERTY BPT_LIBRARIES)
  install(TARGETS ${libraries} bpt_runtime bpt_emulator EXPORT BPTTargets
          ARCHIVE DESTINATION lib LIBRARY DESTINATION lib)
  install(EXPORT BPTTargets NAMESPACE BPT:: DESTINATION lib/cmake/bpt)
  install(DIRECTORY include/bpt DESTINATION include FILES_MATCHING PATTERN "*.h" PATTERN "*.td" PATTERN "*.def")
  install(DIRECTORY ${CMAKE_BINARY_DIR}/include/bpt DESTINATION include FILES_MATCHING PATTERN "*.inc")
  configure_package_config_file(cmake/BPTConfig.cmake.in ${CMAKE_BINARY_DIR}/BPTConfig.cmake INSTALL_DESTINATION lib/cmake/bpt)
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/BPTConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/BPTConfig.cmake ${CMAKE_BINARY_DIR}/BPTConfigVersion.cmake DESTINATION lib/cmake/bpt)
endfunction()
