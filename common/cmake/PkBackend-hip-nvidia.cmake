# HIP's own API on an NVIDIA GPU: HIP's NVIDIA headers, compiled by nvcc. It needs HIP's headers only, no ROCm: where
# they are not installed, -DPK_HIP_INCLUDE_DIR names a folder that holds hip/hip_runtime.h.
include(PkBackend-cuda)

find_path(PK_HIP_INCLUDE_DIR hip/nvidia_detail/nvidia_hip_runtime.h
    HINTS ENV HIP_PATH ENV ROCM_PATH PATHS /opt/rocm PATH_SUFFIXES include
    DOC "Folder that holds hip/hip_runtime.h and hip/nvidia_detail")
if(NOT EXISTS "${PK_HIP_INCLUDE_DIR}/hip/nvidia_detail/nvidia_hip_runtime.h")
    find_path(PK_HIP_OTHER_INCLUDE_DIR hip/hip_runtime.h
        HINTS ENV HIP_PATH ENV ROCM_PATH PATHS /opt/rocm PATH_SUFFIXES include)
    mark_as_advanced(PK_HIP_OTHER_INCLUDE_DIR)
    if(PK_HIP_OTHER_INCLUDE_DIR)
        message(FATAL_ERROR
            "PK_BACKEND=hip-nvidia needs HIP's NVIDIA headers, and the HIP in ${PK_HIP_OTHER_INCLUDE_DIR} has only "
            "AMD's: newer packages (Debian sid's libamdhip64-dev) leave hip/nvidia_detail out. Copy a folder 'hip' that "
            "has it, from Debian 12 or 13's libamdhip64-dev or ROCm's hip-dev, and name the folder above it with "
            "-DPK_HIP_INCLUDE_DIR=")
    endif()
    message(FATAL_ERROR
        "PK_BACKEND=hip-nvidia needs HIP's NVIDIA headers (hip/nvidia_detail): on Debian and Ubuntu "
        "apt-get install libamdhip64-dev, on ROCm the package hip-dev, or copy a folder 'hip' from a machine that has "
        "it and name the folder above it with -DPK_HIP_INCLUDE_DIR=")
endif()
message(STATUS "HIP on NVIDIA: headers in ${PK_HIP_INCLUDE_DIR}")

# A folder of the compiler's own path is left out: naming it again would change the order of the system's headers.
if(NOT PK_HIP_INCLUDE_DIR IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    target_include_directories(pk_backend SYSTEM INTERFACE ${PK_HIP_INCLUDE_DIR})
endif()
