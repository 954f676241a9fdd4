# cmake -DSOURCE=dir -DHEADER=file -DGIT=program -P git_stamp.cmake: write the commit that is being built into a header,
# and leave the header alone when that has not changed.
function(git result)
    set(${result} "" PARENT_SCOPE)
    if(NOT GIT)
        return()
    endif()
    # No optional locks: another git command may be at work in the same tree.
    execute_process(COMMAND ${GIT} --no-optional-locks -C ${SOURCE} ${ARGN}
        OUTPUT_VARIABLE output ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    set(${result} "${output}" PARENT_SCOPE)
endfunction()

set(commit "$ENV{PK_GIT_COMMIT}")   # for a tree that came without its history, such as an unpacked archive
set(dirty 0)
git(top rev-parse --show-toplevel)
if(top)
    get_filename_component(top "${top}" REALPATH)
    get_filename_component(here "${SOURCE}" REALPATH)
    if(top STREQUAL here)   # else: an unpacked archive that lies inside somebody's own work tree
        git(head rev-parse --verify HEAD)
        git(changes status --porcelain --untracked-files=no)
        if(head)
            set(commit ${head})
        endif()
        if(head AND changes)
            set(dirty 1)
        endif()
    endif()
endif()

set(text "/* Written by the build. */\n#define PK_GIT_COMMIT \"${commit}\"\n#define PK_GIT_DIRTY ${dirty}\n")
set(old "")
if(EXISTS ${HEADER})
    file(READ ${HEADER} old)
endif()
if(NOT text STREQUAL old)
    file(WRITE ${HEADER} "${text}")
endif()
