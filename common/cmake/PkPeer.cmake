# For labs/labNN_*/CMakeLists.txt: programs in Python that measure what others offer for a lab's problem. Included after
# PkLab.
find_program(PK_PYTHON3 python3)

# pk_add_peer(02 peer_triton.py): the test lab02.peer runs the program at a smoke shape, without timing; of a lab's further
# programs the tests are lab02.peer.run-NAME. It is skipped where python3 lacks what the program needs, or finds no GPU.
# `./lab demo --full` runs it too, by build/peers/lab02-triton.txt.
function(pk_add_peer number script)
    string(REGEX REPLACE "^peer_|[.]py$" "" peer ${script})
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/peers/lab${number}-${peer}.txt CONTENT "${CMAKE_CURRENT_SOURCE_DIR}/${script}\n")
    if(NOT PK_PYTHON3)
        message(STATUS "python3: not installed, so ${script} of lab ${number} is not tested")
        return()
    endif()
    set(name lab${number}.peer)
    if(TEST ${name})
        string(APPEND name .run-${peer})
    endif()
    add_test(NAME ${name} COMMAND ${PK_PYTHON3} ${CMAKE_CURRENT_SOURCE_DIR}/${script} --quick --no-timing)
    pk_lab_test_properties(lab${number} ${name})
    set_tests_properties(${name} PROPERTIES ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endfunction()

# pk_add_peer_tests(02 peer_test.py PARTS numbers files [NUMBERS peer_numbers.c ...] [GPU x.cu ...]): the tests
# lab02.peer.<part> of what such a program is made of. They need no GPU. The C program prints numbers to compare with; it
# is linked with the harness.
function(pk_add_peer_tests number script)
    cmake_parse_arguments(PARSE_ARGV 2 peer "" "" "PARTS;NUMBERS;GPU")
    if(NOT PK_PYTHON3)
        return()
    endif()
    set(programs)
    if(peer_NUMBERS)
        set(program lab${number}_peer_numbers)
        add_executable(${program} ${peer_NUMBERS})
        if(peer_GPU)
            pk_gpu_sources(${program} ${peer_GPU})
        endif()
        target_include_directories(${program} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
        target_link_libraries(${program} PRIVATE pk_harness)
        pk_target_options(${program})
        set(programs $<TARGET_FILE:${program}> $<TARGET_FILE:pk-lab>)
    endif()
    foreach(part ${peer_PARTS})
        set(name lab${number}.peer.${part})
        add_test(NAME ${name} COMMAND ${PK_PYTHON3} ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${part} ${programs})
        set_tests_properties(${name} PROPERTIES LABELS "lab${number};host" SKIP_RETURN_CODE 77 TIMEOUT 300
            ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
    endforeach()
endfunction()
