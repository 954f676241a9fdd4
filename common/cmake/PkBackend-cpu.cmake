# The CPU device: .cu files are C++ against the runtime in common/cpu.
set(PK_GPU_LANGUAGE CXX)
target_include_directories(pk_backend INTERFACE ${PK_COMMON_DIR}/cpu/include)
# Kernels may be compiled for the machine's own vector units: the CPU device's code never leaves this machine.
target_compile_options(pk_backend INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-unknown-pragmas>)

# Programs whose every access PK_CPU_CHECK=1 can see: several times slower, so a build of its own.
option(PK_CPU_CHECKED "CPU device: compile programs so that PK_CPU_CHECK=1 sees each access" OFF)
if(PK_CPU_CHECKED)
    if(PK_SANITIZE)
        message(FATAL_ERROR "PK_CPU_CHECKED and PK_SANITIZE both want the compiler's instrumentation: choose one")
    endif()
    target_link_libraries(pk_backend INTERFACE pk_cpu_checked)
endif()
