# The CPU device: .cu files are C++ against the runtime in common/cpu.
set(PK_GPU_LANGUAGE CXX)
target_include_directories(pk_backend INTERFACE ${PK_COMMON_DIR}/cpu/include)
# Kernels may be compiled for the machine's own vector units: the CPU device's code never leaves this machine.
target_compile_options(pk_backend INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-unknown-pragmas>)
