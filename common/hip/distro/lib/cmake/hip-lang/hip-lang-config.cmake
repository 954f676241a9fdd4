# What CMake's HIP language asks of a ROCm tree, for distributions that install HIP into /usr with the distribution's
# own clang (Debian, Ubuntu), where CMake does not find it. PkBackend-hip.cmake points CMake here only then; a ROCm
# tree brings a file of its own. No folder is named: /usr is in the compiler's path already, and naming /usr/include
# would put it before the C++ library's own folders.
if(TARGET hip-lang::device)
    return()
endif()

add_library(hip-lang::amdhip64 INTERFACE IMPORTED)
set_target_properties(hip-lang::amdhip64 PROPERTIES INTERFACE_LINK_LIBRARIES amdhip64)

add_library(hip-lang::host INTERFACE IMPORTED)
set_target_properties(hip-lang::host PROPERTIES INTERFACE_LINK_LIBRARIES hip-lang::amdhip64)

add_library(hip-lang::device INTERFACE IMPORTED)
set_target_properties(hip-lang::device PROPERTIES
    INTERFACE_LINK_LIBRARIES hip-lang::host
    INTERFACE_LINK_OPTIONS "$<$<LINK_LANGUAGE:HIP>:--hip-link>")

# The name by which CMake links every target that has HIP sources.
set(_CMAKE_HIP_DEVICE_RUNTIME_TARGET hip-lang::device)
