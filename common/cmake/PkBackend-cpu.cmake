# The CPU device: .cu files are C++ against the runtime in common/cpu.
set(PK_GPU_LANGUAGE CXX)
target_include_directories(pk_backend INTERFACE ${PK_COMMON_DIR}/cpu/include)
target_compile_options(pk_backend INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-unknown-pragmas>)
# While a step is open nothing launches the kernel that calls what another step is about.
target_compile_options(pk_backend INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-unneeded-internal-declaration>)

# Kernels are compiled for the machine's own vector units: a condition that guards a store (`if (i < n)`) can be
# vectorised only where stores can be masked. As nvcc does, a multiply and an add become one operation. Host code in C
# keeps the default. Off for a build that is to run elsewhere.
option(PK_CPU_NATIVE "CPU device: compile kernels for this machine's processor" ON)
set(PK_CPU_KERNEL_OPTIONS -ffp-contract=fast)
if(PK_CPU_NATIVE)
    include(CheckCXXCompilerFlag)
    check_cxx_compiler_flag(-march=native PK_CPU_HAS_MARCH_NATIVE)
    if(PK_CPU_HAS_MARCH_NATIVE)
        list(APPEND PK_CPU_KERNEL_OPTIONS -march=native)
    endif()
endif()
foreach(option ${PK_CPU_KERNEL_OPTIONS})
    target_compile_options(pk_backend INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${option}>)
endforeach()

# Programs whose every access PK_CPU_CHECK=1 can see: several times slower, so a build of its own.
option(PK_CPU_CHECKED "CPU device: compile programs so that PK_CPU_CHECK=1 sees each access" OFF)
if(PK_CPU_CHECKED)
    if(PK_SANITIZE)
        message(FATAL_ERROR "PK_CPU_CHECKED and PK_SANITIZE both want the compiler's instrumentation: choose one")
    endif()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 16)
        message(FATAL_ERROR "PK_CPU_CHECKED needs GCC, or clang 16 or newer: clang ${CMAKE_CXX_COMPILER_VERSION} does "
            "not show which memory it copies")
    endif()
    target_link_libraries(pk_backend INTERFACE pk_cpu_checked)
endif()
