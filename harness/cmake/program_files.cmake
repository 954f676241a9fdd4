# cmake -DBASELINES=files -DLADDER=files -DOUTPUT=file.c -P program_files.cmake: write a C file that defines what pk/program.h
# declares. The first file of either list has the role baseline or ladder in PK_VARIANTS, a further one its own name.

set(declarations "")
set(variants "")
set(texts "")
set(sources "")

macro(add_file file first_role index is_baseline)
    set(role ${first_role})
    if(${index} GREATER 0)
        get_filename_component(name ${file} NAME_WE)
        string(MAKE_C_IDENTIFIER "${name}" role)
    endif()
    string(APPEND declarations "pk_variant_list pk_${role}_variants(void);\n")
    string(APPEND variants "    {${is_baseline}, pk_${role}_variants},\n")
endmacro()

set(index 0)
foreach(file ${BASELINES})
    add_file(${file} baseline ${index} true)
    math(EXPR index "${index} + 1")
endforeach()

set(index 0)
foreach(file ${LADDER})
    add_file(${file} ladder ${index} false)
    get_filename_component(name ${file} NAME)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(APPEND texts "static const unsigned char text_${index}[] = {\n${bytes}0};\n")
    string(APPEND sources "    {\"${name}\", (const char *)text_${index}},\n")
    math(EXPR index "${index} + 1")
endforeach()
if(NOT LADDER) # an array has an element
    set(sources "    {NULL, NULL},\n")
endif()

file(WRITE ${OUTPUT} "/* Written by the build. */
#include \"pk/program.h\"

${declarations}
const pk_variant_file pk_variant_files[] = {
${variants}};
const size_t pk_variant_file_count = PK_COUNT(pk_variant_files);

${texts}
const pk_source pk_ladder_sources[] = {
${sources}};
const size_t pk_ladder_source_count = ${index};
")
