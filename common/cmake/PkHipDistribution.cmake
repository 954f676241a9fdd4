# The HIP that Debian and Ubuntu install into /usr: which clang it goes with, and where it keeps the device libraries.
# Sets CMAKE_HIP_COMPILER, CMAKE_HIP_COMPILER_ROCM_ROOT and CMAKE_HIP_FLAGS.
function(pk_find_distribution_hip)
    find_program(PK_HIPCC NAMES hipcc)
    if(NOT PK_HIPCC)
        message(FATAL_ERROR
            "PK_BACKEND=hip needs HIP, and neither /opt/rocm nor hipcc is here. On Debian and Ubuntu: "
            "apt-get install hipcc libamdhip64-dev; elsewhere install ROCm and set ROCM_PATH if it is not /opt/rocm.")
    endif()
    # Standard error holds the complaint that there is no GPU to ask for its architecture.
    execute_process(COMMAND ${PK_HIPCC} --version OUTPUT_VARIABLE version ERROR_QUIET)
    if(NOT version MATCHES "clang version ([0-9]+)")
        message(FATAL_ERROR "${PK_HIPCC} --version names no clang; set -DCMAKE_HIP_COMPILER=/path/to/clang++")
    endif()
    set(major ${CMAKE_MATCH_1})
    find_program(PK_HIP_CLANG NAMES clang++-${major} clang++)
    # In clang's own folder since rocm-device-libs is a package for each clang (Debian 13), in /usr/lib before.
    set(resources "")
    if(PK_HIP_CLANG)
        execute_process(COMMAND ${PK_HIP_CLANG} -print-resource-dir
            OUTPUT_VARIABLE resources OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    endif()
    find_path(PK_HIP_DEVICE_LIBS ocml.bc
        PATHS ${resources}/amdgcn/bitcode /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/amdgcn/bitcode
              /usr/lib/amdgcn/bitcode /usr/amdgcn/bitcode)
    find_library(PK_HIP_RUNTIME amdhip64)
    if(NOT PK_HIP_CLANG OR NOT PK_HIP_DEVICE_LIBS OR NOT PK_HIP_RUNTIME)
        message(FATAL_ERROR
            "hipcc is here, but not all of its clang++-${major}, the device libraries and the runtime: "
            "apt-get install clang-${major} libamdhip64-dev, and rocm-device-libs-${major} or, where there is none "
            "of that name, rocm-device-libs")
    endif()
    mark_as_advanced(PK_HIPCC PK_HIP_CLANG PK_HIP_DEVICE_LIBS PK_HIP_RUNTIME)
    set(CMAKE_HIP_COMPILER ${PK_HIP_CLANG} PARENT_SCOPE)
    set(CMAKE_HIP_COMPILER_ROCM_ROOT ${PK_COMMON_DIR}/hip/distro PARENT_SCOPE)
    set(CMAKE_HIP_FLAGS
        "${CMAKE_HIP_FLAGS} --rocm-path=/usr --rocm-device-lib-path=${PK_HIP_DEVICE_LIBS}" PARENT_SCOPE)
endfunction()
