/* What stands in for a lab's solution and its planted mistakes where their sources are not: in a course pack. */
#include <stdio.h>

int main(int argc, char **argv)
{
    (void)argc;
    (void)fprintf(stderr, "%s: skipped: not in this course pack\n", argv[0]);
    return 77; /* as pk_exit_code(PK_SKIP); CTest's skip */
}
