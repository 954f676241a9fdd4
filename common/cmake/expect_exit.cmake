# cmake -DPROGRAM=... -DARGUMENTS=a;b -DCODE=1 (or "1|3") -DMATCH=regex -P expect_exit.cmake
# Run a program and demand its exit code and, in what it printed, a match. A skip (77) stays a skip where the program
# has nothing to run on: CTest sees the word SKIPPED.
execute_process(COMMAND ${PROGRAM} ${ARGUMENTS} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
message("${out}${err}")
if(code STREQUAL "77" AND NOT CODE STREQUAL "77" AND "${out}${err}" MATCHES "(no usable GPU|: skipped: [^\n]*)")
    message("SKIPPED: ${CMAKE_MATCH_1}")
    return()
endif()
if(NOT code MATCHES "^(${CODE})$")
    message(FATAL_ERROR "exit code ${code}, but ${CODE} was demanded")
endif()
string(REGEX REPLACE "[ \n]+" " " text "${out}${err}")   # the program breaks long lines
if(MATCH AND NOT text MATCHES "${MATCH}")
    message(FATAL_ERROR "nothing printed matches '${MATCH}'")
endif()
