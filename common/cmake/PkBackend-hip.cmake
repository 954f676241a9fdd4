# HIP on an AMD GPU, by CMake's HIP language: a ROCm tree (/opt/rocm, ROCM_PATH) as it is, or the HIP that Debian and
# Ubuntu install into /usr, with the help of common/hip/distro.

include(PkHipDistribution)   # pk_find_distribution_hip()

# The architectures among `wanted` that this compiler and these device libraries can make code for.
function(pk_hip_architectures result wanted)
    set(probe ${PROJECT_BINARY_DIR}/CMakeFiles/pk_hip_probe.hip)
    file(WRITE ${probe} "__attribute__((global)) void probe() {}\n")
    separate_arguments(flags UNIX_COMMAND "${CMAKE_HIP_FLAGS}")
    set(able "")
    foreach(architecture ${wanted})
        execute_process(
            COMMAND ${CMAKE_HIP_COMPILER} ${flags} -x hip --cuda-device-only --offload-arch=${architecture}
                    -c ${probe} -o ${probe}.o
            RESULT_VARIABLE code OUTPUT_QUIET ERROR_QUIET)
        if(code EQUAL 0)
            list(APPEND able ${architecture})
        else()
            message(STATUS "HIP: ${CMAKE_HIP_COMPILER} makes no code for ${architecture}: left out")
        endif()
    endforeach()
    set(${result} "${able}" PARENT_SCOPE)
endfunction()

set(pk_rocm_root /opt/rocm)
if(DEFINED ENV{ROCM_PATH})
    set(pk_rocm_root $ENV{ROCM_PATH})
endif()
if(NOT CMAKE_HIP_COMPILER AND NOT DEFINED ENV{HIPCXX})
    if(EXISTS ${pk_rocm_root}/lib/cmake/hip-lang/hip-lang-config.cmake)
        find_program(PK_ROCM_CLANG NAMES amdclang++ clang++
            PATHS ${pk_rocm_root}/llvm/bin ${pk_rocm_root}/bin NO_DEFAULT_PATH REQUIRED)
        mark_as_advanced(PK_ROCM_CLANG)
        set(CMAKE_HIP_COMPILER ${PK_ROCM_CLANG})
        set(CMAKE_HIP_COMPILER_ROCM_ROOT ${pk_rocm_root})
    else()
        pk_find_distribution_hip()
    endif()
endif()

# Instinct MI200 and MI300, Radeon RX 7000: as many of them as the compiler that is found can make code for.
set(pk_hip_default_architectures gfx90a gfx942 gfx1100)
if(DEFINED CMAKE_HIP_ARCHITECTURES)
    set(pk_hip_choose FALSE)
else()
    set(pk_hip_choose TRUE)
    set(CMAKE_HIP_ARCHITECTURES gfx90a)   # so that CMake does not ask a GPU that may not be there
endif()
set(CMAKE_HIP_STANDARD 17)
set(CMAKE_HIP_STANDARD_REQUIRED ON)
enable_language(HIP)
if(pk_hip_choose)
    pk_hip_architectures(CMAKE_HIP_ARCHITECTURES "${pk_hip_default_architectures}")
    if(NOT CMAKE_HIP_ARCHITECTURES)
        message(FATAL_ERROR
            "${CMAKE_HIP_COMPILER} makes code for none of ${pk_hip_default_architectures}: "
            "set -DCMAKE_HIP_ARCHITECTURES, or -DCMAKE_HIP_COMPILER to the clang that goes with this HIP")
    endif()
endif()
message(STATUS "HIP: ${CMAKE_HIP_COMPILER} ${CMAKE_HIP_COMPILER_VERSION} for ${CMAKE_HIP_ARCHITECTURES}")

set(PK_GPU_LANGUAGE HIP)
target_compile_options(pk_backend INTERFACE $<$<COMPILE_LANGUAGE:HIP>:-Wall -Wextra -Wshadow>)
# While a step is open nothing launches the kernel that calls what another step is about.
target_compile_options(pk_backend INTERFACE $<$<COMPILE_LANGUAGE:HIP>:-Wno-unneeded-internal-declaration>)
# A program whose kernels all come from libraries is linked as HIP too.
target_link_options(pk_backend INTERFACE $<$<LINK_LANGUAGE:HIP>:--hip-link>)
