# For labs/labNN_*/CMakeLists.txt.

# pk_add_lab(01 [SOURCES more.c more.cu...] [LIBRARIES pk_decode...] [BASELINES baseline_chain.cu...] [LADDERS chain.cu...]
# [MISTAKES mistakes_chain.cu...]): the programs lab01_baseline, lab01_optimized and lab01_solution from problem.c, the .cu
# files and the further sources, lab01_mistakes where there is a mistakes.cu, and the CTest entries lab01.baseline,
# .optimized and .solution. BASELINES, LADDERS and MISTAKES are the files of variants that follow baseline.cu, optimized.cu
# and mistakes.cu, in this order; LADDERS are further student's files, and stand in the lab's folder and in that of its
# solution.
# A course pack (./lab pack --without-solutions) has no solutions and no mistakes: programs that say so stand in for them,
# tests of them are skipped, and PK_LAB_IS_WHOLE is not set for what the lab's CMakeLists.txt adds besides.
function(pk_add_lab number)
    cmake_parse_arguments(PARSE_ARGV 1 PK_LAB "" "" "SOURCES;LIBRARIES;BASELINES;LADDERS;MISTAKES")
    set(lab lab${number})
    get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    set(students optimized.cu ${PK_LAB_LADDERS})
    set(solutions ${students})
    list(TRANSFORM solutions PREPEND ${PROJECT_SOURCE_DIR}/solutions/${folder}/)
    set(is_whole FALSE)
    if(EXISTS ${PROJECT_SOURCE_DIR}/solutions/${folder}/optimized.cu)
        set(is_whole TRUE)
        pk_check_ladders(${folder} ${students})
    endif()
    set(PK_LAB_IS_WHOLE ${is_whole} PARENT_SCOPE)
    pk_add_lab_given(${lab}_given)
    pk_add_lab_program(${lab}_baseline)
    pk_add_lab_program(${lab}_optimized ${students})
    if(is_whole)
        pk_add_lab_program(${lab}_solution ${solutions})
        pk_add_graded_program(${lab} ${students})
    else()
        pk_add_left_out(${lab}_solution)
    endif()
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/mistakes.cu)
        pk_add_lab_program(${lab}_mistakes mistakes.cu ${PK_LAB_MISTAKES})
    elseif(NOT is_whole)
        pk_add_left_out(${lab}_mistakes)
    endif()
    foreach(role baseline optimized solution)
        add_test(NAME ${lab}.${role} COMMAND ${lab}_${role} --quick --no-timing)
        pk_lab_test_properties(${lab} ${lab}.${role})
    endforeach()
    if(PK_CPU_CHECKED) # nothing to report
        foreach(role baseline solution)
            pk_add_checked_test(${lab} ${role} ${lab}_${role} --quick --no-timing)
            set_tests_properties(${lab}.checked.${role} PROPERTIES FAIL_REGULAR_EXPRESSION "CPU device: check: ")
        endforeach()
    endif()
endfunction()

# pk_add_judged_test(01 WRONG no-wait,ulp [RUNGS stream,pdl]): the test lab01.judged has the solution judged as a
# submission is, these rungs of it or all; and these mistakes, none of which may pass. A sanitizer has other ideas of
# memory than the limits, and an emulator of processes.
function(pk_add_judged_test number)
    cmake_parse_arguments(PARSE_ARGV 1 PK_JUDGED "" "WRONG;RUNGS" "")
    find_program(PK_PYTHON3 python3)
    if(PK_LAB_IS_WHOLE AND PK_PYTHON3 AND NOT PK_SANITIZE AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
        add_test(NAME lab${number}.judged COMMAND ${PK_PYTHON3} ${PROJECT_SOURCE_DIR}/harness/tests/grade/honest.py
            $<TARGET_FILE:lab${number}_solution> $<TARGET_FILE:lab${number}_mistakes> ${PK_JUDGED_WRONG}
            ${PK_JUDGED_RUNGS})
        pk_lab_test_properties(lab${number} lab${number}.judged)
    endif()
endfunction()

# A program in the place of one whose sources are not here.
function(pk_add_left_out program)
    add_executable(${program} ${PROJECT_SOURCE_DIR}/harness/src/left_out.c)
    pk_target_options(${program})
endfunction()

# lab01_graded, which nobody builds but ./lab grade: the program of a submission's files, which it puts into the build
# folder, grade/source/lab01, where as long as there are none the shipped ones stand. All else is what is given.
# grade/lab01.objects and lab01.trusted name what was compiled of the submission, and of the solution and the baselines.
function(pk_add_graded_program lab)
    set(program ${lab}_graded)
    set(folder ${PROJECT_BINARY_DIR}/grade/source/${lab})
    set(files ${ARGN})
    list(TRANSFORM files PREPEND ${folder}/)
    foreach(file ${ARGN})
        if(NOT EXISTS ${folder}/${file})
            file(COPY ${file} DESTINATION ${folder})
        endif()
    endforeach()
    add_executable(${program} EXCLUDE_FROM_ALL $<TARGET_OBJECTS:${lab}_given>)
    pk_gpu_sources(${program} ${files})
    set_target_properties(${program} PROPERTIES LINKER_LANGUAGE ${PK_GPU_LANGUAGE})
    pk_add_program_files(${program} ${files})
    pk_lab_target(${program})
    target_link_options(${program} PRIVATE LINKER:-z,relro,-z,now)
    if(PK_WERROR AND PK_GPU_LANGUAGE STREQUAL "CXX") # a submission's warnings are no errors
        target_compile_options(${program} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-error>)
    endif()
    string(REPLACE ";" "|" theirs "${ARGN}")
    string(REPLACE ";" "|" trusted "${ARGN};baseline.cu;${PK_LAB_BASELINES}")
    file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/grade/${lab}.objects CONTENT
        "$<JOIN:$<FILTER:$<TARGET_OBJECTS:${program}>,INCLUDE,/(${theirs})[.]o$>,\n>\n")
    file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/grade/${lab}.trusted CONTENT
        "$<JOIN:$<FILTER:$<TARGET_OBJECTS:${lab}_given>;$<TARGET_OBJECTS:${lab}_solution>,INCLUDE,/(${trusted})[.]o$>,\n>\n")
endfunction()

# The student's files are those that the solution's folder has: so ./lab finds them.
function(pk_check_ladders folder)
    file(GLOB there RELATIVE ${PROJECT_SOURCE_DIR}/solutions/${folder} ${PROJECT_SOURCE_DIR}/solutions/${folder}/*.cu)
    set(named ${ARGN})
    list(SORT there)
    list(SORT named)
    if(NOT there STREQUAL named)
        message(FATAL_ERROR "solutions/${folder} has ${there}, and pk_add_lab names ${named}: write the same files in LADDERS")
    endif()
endfunction()

# lab01.checked.NAME: a program of a checked build, with PK_CPU_CHECK=1.
function(pk_add_checked_test lab name)
    add_test(NAME ${lab}.checked.${name} COMMAND ${ARGN})
    pk_lab_test_properties(${lab} ${lab}.checked.${name})
    set_tests_properties(${lab}.checked.${name} PROPERTIES ENVIRONMENT PK_CPU_CHECK=1)
endfunction()

# What all programs of a lab have: the problem, its further sources and the baselines, compiled once.
function(pk_add_lab_given given)
    set(c_sources ${PK_LAB_SOURCES})
    set(gpu_sources ${PK_LAB_SOURCES})
    list(FILTER c_sources INCLUDE REGEX "[.]c$")
    list(FILTER gpu_sources INCLUDE REGEX "[.]cu$")
    add_library(${given} OBJECT problem.c ${c_sources})
    pk_gpu_sources(${given} baseline.cu ${PK_LAB_BASELINES} ${gpu_sources})
    pk_lab_target(${given})
endfunction()

function(pk_lab_target target)
    target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${target} PRIVATE pk_harness_main ${PK_LAB_LIBRARIES})
    pk_target_options(${target})
endfunction()

# pk_add_lab_program(lab01_traced file...): a program of the lab's baselines and of the ladder that these files are.
function(pk_add_lab_program program)
    string(SUBSTRING ${program} 0 5 lab)
    add_executable(${program} $<TARGET_OBJECTS:${lab}_given>)
    set_target_properties(${program} PROPERTIES LINKER_LANGUAGE ${PK_GPU_LANGUAGE})
    foreach(ladder ${ARGN})
        if(ladder MATCHES "[.]cu$")
            pk_gpu_sources(${program} ${ladder})
        else()
            target_sources(${program} PRIVATE ${ladder})
        endif()
    endforeach()
    pk_add_program_files(${program} ${ARGN})
    pk_lab_target(${program})
endfunction()

# pk_add_text_of_rungs(07 [LIBRARIES pk_judge...] [MISTAKE ring-many-lost]): lab07_text, whose main is text.c and whose
# rungs are the student's, and lab07_text_solution, with the solution's. Their objects are those of lab07_optimized and
# lab07_solution. MISTAKE: lab07_text_mistakes, whose LAB07_TEXT_RUNG is that one of lab07_mistakes.
function(pk_add_text_of_rungs number)
    cmake_parse_arguments(PARSE_ARGV 1 PK_TEXT "" "MISTAKE" "LIBRARIES")
    set(lab lab${number})
    set(roles optimized)
    if(PK_LAB_IS_WHOLE)
        list(APPEND roles solution)
        if(PK_TEXT_MISTAKE)
            list(APPEND roles mistakes)
        endif()
    endif()
    foreach(role IN LISTS roles)
        string(REPLACE "_text_optimized" "_text" program ${lab}_text_${role})
        add_executable(${program} text.c $<TARGET_OBJECTS:${lab}_given> $<TARGET_OBJECTS:${lab}_${role}>)
        set_target_properties(${program} PROPERTIES LINKER_LANGUAGE ${PK_GPU_LANGUAGE})
        target_include_directories(${program} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
        target_link_libraries(${program} PRIVATE ${PK_TEXT_LIBRARIES} pk_prompt pk_harness)
        pk_target_options(${program})
        if(role STREQUAL "mistakes")
            target_compile_definitions(${program} PRIVATE LAB${number}_TEXT_RUNG="${PK_TEXT_MISTAKE}")
        endif()
    endforeach()
endfunction()

# What the program is told of its files (pk/program.h): which define variants, and the ladder's texts.
function(pk_add_program_files program)
    set(sources)
    foreach(ladder ${ARGN})
        get_filename_component(source ${ladder} ABSOLUTE)
        list(APPEND sources ${source})
    endforeach()
    set(files ${CMAKE_CURRENT_BINARY_DIR}/${program}_files.c)
    set(script ${PROJECT_SOURCE_DIR}/harness/cmake/program_files.cmake)
    add_custom_command(OUTPUT ${files}
        COMMAND ${CMAKE_COMMAND} "-DBASELINES=baseline.cu;${PK_LAB_BASELINES}" "-DLADDER=${sources}" -DOUTPUT=${files}
                -P ${script}
        DEPENDS ${sources} ${script}
        COMMENT "Writing ${program}_files.c" VERBATIM)
    target_sources(${program} PRIVATE ${files})
endfunction()

# A GPU runs one test at a time; of the CPU device each process has its own, and no test judges speed.
function(pk_lab_test_properties lab)
    set(alone TRUE)
    if(PK_BACKEND_RESOLVED STREQUAL "cpu")
        set(alone FALSE)
    endif()
    set_tests_properties(${ARGN} PROPERTIES LABELS "${lab};device" SKIP_RETURN_CODE 77 TIMEOUT 300 RUN_SERIAL ${alone})
endfunction()

# pk_add_mistake(01 step-dropped 1 "saw 39 steps"): the test lab01.mistake.step-dropped demands that this variant of
# lab01_mistakes ends with the exit code and says something that matches. Further arguments go to the program.
# ThreadSanitizer has those of lab 01, which take the harness to each of its ends; of later labs, what is a race.
function(pk_add_mistake number variant code match)
    if(PK_SANITIZE MATCHES "thread" AND NOT number STREQUAL "01")
        return()
    endif()
    pk_expect_exit(lab${number} lab${number}.mistake.${variant} lab${number}_mistakes ${code} "${match}"
        --quick --no-timing --variant=${variant} ${ARGN})
endfunction()

# pk_add_overlap_mistake(01 reads-before-wait 1 "256 of 1000 outputs wrong"): a mistake that only shows where two kernels
# overlap. A GPU lets them; the CPU device does under PK_CPU_SCHEDULE=reverse, and ThreadSanitizer sees the race there.
function(pk_add_overlap_mistake number variant code match)
    if(PK_SANITIZE MATCHES "thread")
        set(code 66)
        set(match "data race")
    endif()
    pk_expect_exit(lab${number} lab${number}.mistake.${variant} lab${number}_mistakes ${code} "${match}"
        BY ${CMAKE_COMMAND} -E env TSAN_OPTIONS=halt_on_error=1 PK_CPU_SCHEDULE=reverse -- --quick --variant=${variant} ${ARGN})
endfunction()

# pk_add_race(02 claim-twice 1 "outputs wrong"): a mistake that is a data race besides, which ThreadSanitizer reports, with
# an exit code of its own, before the harness can judge the outputs. Not for one that needs PK_CPU_SCHEDULE=random: blocks
# take turns there, and what is ordered by the turns is no race.
function(pk_add_race number variant code match)
    if(PK_SANITIZE MATCHES "thread")
        pk_expect_exit(lab${number} lab${number}.mistake.${variant} lab${number}_mistakes 66 "data race"
            BY ${CMAKE_COMMAND} -E env TSAN_OPTIONS=halt_on_error=1 -- --quick --no-timing --variant=${variant} ${ARGN})
    else()
        pk_add_mistake(${number} ${variant} ${code} "${match}" ${ARGN})
    endif()
endfunction()

# pk_add_checked_mistake(02 posts-at-device "and the host reads it"): a mistake that only a checked build sees, where the
# test lab02.checked.posts-at-device demands the report. It ends the kernel, or by a signal the host: whichever comes second.
function(pk_add_checked_mistake number variant match)
    if(PK_CPU_CHECKED)
        pk_add_checked_test(lab${number} ${variant} sh -c
            "'$<TARGET_FILE:lab${number}_mistakes>' --quick --no-timing --variant=${variant}; true")
        set_tests_properties(lab${number}.checked.${variant} PROPERTIES PASS_REGULAR_EXPRESSION "${match}")
    endif()
endfunction()

# pk_expect_exit(lab01 name program code match [BY starter words... --] arguments...): `starter` runs the program.
function(pk_expect_exit lab name program code match)
    set(command ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:${program}>)
    set(arguments ${ARGN})
    if("BY" IN_LIST arguments)
        list(FIND arguments "--" end)
        list(SUBLIST arguments 1 ${end} starter)
        list(REMOVE_AT starter -1)
        math(EXPR end "${end} + 1")
        list(SUBLIST arguments ${end} -1 arguments)
        list(POP_FRONT starter command)
        set(arguments ${starter} ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:${program}> ${arguments})
    endif()
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} "-DPROGRAM=${command}" "-DARGUMENTS=${arguments}"
        -DCODE=${code} "-DMATCH=${match}" -P ${PK_COMMON_DIR}/cmake/expect_exit.cmake)
    pk_lab_test_properties(${lab} ${name})
    set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED: ")
endfunction()

# pk_add_schedule_test(02 "--quick" "--quick --blocks=1"...): the test lab02.schedules demands exit code 0 of the solution
# with each of these arguments, in every order of blocks and threads that the CPU device has: fifo, reverse and 12 random
# ones, or 2 where a sanitizer slows them down. Other devices have no such orders. lab02.optimized.schedules demands it of
# the student's program, and is skipped while a step is open.
function(pk_add_schedule_test number)
    if(PK_BACKEND_RESOLVED STREQUAL "cpu")
        set(schedules 12)
        if(PK_SANITIZE)
            set(schedules 2)
        endif()
        pk_add_cases(${number} schedules ${schedules} ${ARGN})
    endif()
endfunction()

# pk_add_problem_test(01 "--n=1 --k=1" "--n=255"...): the test lab01.problem demands that the reference accepts the
# solution at each of these knobs: the edges of sizes and other seeds. lab01.optimized.problem likewise. ThreadSanitizer,
# to which sizes are all alike, has every fifth of them.
function(pk_add_problem_test number)
    set(cases ${ARGN})
    if(PK_SANITIZE MATCHES "thread")
        set(cases)
        set(fifth 0)
        foreach(case IN LISTS ARGN)
            if(fifth EQUAL 0)
                list(APPEND cases "${case}")
            endif()
            math(EXPR fifth "(${fifth} + 1) % 5")
        endforeach()
    endif()
    pk_add_cases(${number} problem 0 ${cases})
endfunction()

function(pk_add_cases number what schedules) # cases...
    set(lab lab${number})
    foreach(role solution optimized)
        set(name ${lab}.${role}.${what})
        string(REPLACE ".solution." "." name ${name})
        add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -DROLE=${role}
            "-DPROGRAM=${CMAKE_CROSSCOMPILING_EMULATOR};$<TARGET_FILE:${lab}_${role}>"
            -DARGUMENTS=--no-timing -DSCHEDULES=${schedules} "-DCASES=${ARGN}" -P ${PK_COMMON_DIR}/cmake/run_each.cmake)
        pk_lab_test_properties(${lab} ${name})
        set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED: ")
    endforeach()
endfunction()
