# pk_cjson: the target that gives #include <cjson/cJSON.h>. The system's library, or else the pinned release, fetched.
set(PK_CJSON_VERSION 1.7.18)
set(PK_CJSON_SHA256 3aa806844a03442c00769b83e99970be70fbef03735ff898f4811dd03b9f5ee5)

find_path(PK_CJSON_INCLUDE cjson/cJSON.h)
find_library(PK_CJSON_LIBRARY cjson)
if(PK_CJSON_INCLUDE AND PK_CJSON_LIBRARY)
    message(STATUS "cJSON: ${PK_CJSON_LIBRARY}")
    add_library(pk_cjson INTERFACE)
    target_include_directories(pk_cjson SYSTEM INTERFACE ${PK_CJSON_INCLUDE})
    target_link_libraries(pk_cjson INTERFACE ${PK_CJSON_LIBRARY})
    return()
endif()

message(STATUS "cJSON: not installed (apt install libcjson-dev); fetching and building ${PK_CJSON_VERSION}")
include(FetchContent)
if(POLICY CMP0135)
    cmake_policy(SET CMP0135 NEW)   # unpacked files get the time of unpacking
endif()
# The folder named by SOURCE_SUBDIR does not exist: its own CMakeLists.txt stays out of this build.
FetchContent_Declare(pk_cjson_source
    URL https://github.com/DaveGamble/cJSON/archive/refs/tags/v${PK_CJSON_VERSION}.tar.gz
    URL_HASH SHA256=${PK_CJSON_SHA256}
    SOURCE_SUBDIR none)
FetchContent_MakeAvailable(pk_cjson_source)
configure_file(${pk_cjson_source_SOURCE_DIR}/cJSON.h ${PROJECT_BINARY_DIR}/cjson/include/cjson/cJSON.h COPYONLY)
add_library(pk_cjson STATIC ${pk_cjson_source_SOURCE_DIR}/cJSON.c)
target_include_directories(pk_cjson SYSTEM INTERFACE ${PROJECT_BINARY_DIR}/cjson/include)
