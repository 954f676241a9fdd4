# Warnings and sanitizers for the project's own targets: pk_target_options(target).
function(pk_target_options target)
    target_compile_options(${target} PRIVATE
        $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion>
        $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow>)
    if(PK_WERROR)
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
    endif()
    if(PK_SANITIZE)
        target_compile_options(${target} PRIVATE
            $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${PK_SANITIZE} -fno-omit-frame-pointer>)
        if(PK_SANITIZE MATCHES "undefined")
            target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:-fno-sanitize-recover=undefined>)
        endif()
        target_link_options(${target} PRIVATE $<$<LINK_LANGUAGE:C,CXX>:-fsanitize=${PK_SANITIZE}>)
    endif()
endfunction()
