# cmake -DSOURCE=file -DOUTPUT=file.c -P source_text.cmake: write a C file with the text of a ladder's file (pk/lab.h).
file(READ ${SOURCE} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "/* Written by the build. */
#include \"pk/lab.h\"

static const unsigned char text[] = {
${bytes}0};

const char *pk_ladder_text(void)
{
    return (const char *)text;
}
")
