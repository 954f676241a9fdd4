# pk_add_criterion_test(name LABELS label... SOURCES file.c... [LIBRARIES target...]): a Criterion program `name` (with
# '.' made '_') and its CTest entry. Does nothing where Criterion is not to be used; the reason is said once.
set(PK_CRITERION FALSE)
find_path(PK_CRITERION_INCLUDE criterion/criterion.h)
find_library(PK_CRITERION_LIBRARY criterion)
if(NOT BUILD_TESTING)
    # nothing to say
elseif(NOT PK_CRITERION_INCLUDE OR NOT PK_CRITERION_LIBRARY)
    message(STATUS "Criterion: not installed, so host unit tests are not built (apt install libcriterion-dev)")
elseif(PK_SANITIZE MATCHES "thread")
    message(STATUS "Criterion: it crashes under ThreadSanitizer, so host unit tests are not built here")
else()
    message(STATUS "Criterion: ${PK_CRITERION_LIBRARY}")
    set(PK_CRITERION TRUE)
endif()

function(pk_add_criterion_test name)
    if(NOT PK_CRITERION)
        return()
    endif()
    cmake_parse_arguments(PARSE_ARGV 1 test "" "" "LABELS;SOURCES;LIBRARIES")
    string(REPLACE "." "_" program ${name})
    add_executable(${program} ${test_SOURCES})
    target_include_directories(${program} SYSTEM PRIVATE ${PK_CRITERION_INCLUDE})
    target_link_libraries(${program} PRIVATE ${test_LIBRARIES} ${PK_CRITERION_LIBRARY} m)
    pk_target_options(${program})
    add_test(NAME ${name} COMMAND ${program} --color=never --jobs=1)
    # Criterion exits with 0 when it ran no test at all.
    set_tests_properties(${name} PROPERTIES
        LABELS "${test_LABELS}" TIMEOUT 120 FAIL_REGULAR_EXPRESSION "Tested: 0 ")
endfunction()
