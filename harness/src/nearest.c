/* The name that was probably meant. */
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"

/* Longer words are no slip of the fingers, and their table would not fit on the stack. */
enum { LONGEST = 64 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance in its optimal string alignment form: insertions, deletions, substitutions and swaps
 * of neighbours, no letter edited twice. Both words have at most LONGEST letters. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t d[LONGEST + 1][LONGEST + 1]; /* d[i][j]: from the first i letters of a to the first j of b */
    for (size_t i = 0; i <= a_length; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= b_length; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= a_length; i++)
        for (size_t j = 1; j <= b_length; j++) {
            const size_t changed = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = smaller(changed, 1 + smaller(d[i - 1][j], d[i][j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = smaller(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[a_length][b_length];
}

const char *pk_nearest(const char *word, const char *const *candidates, size_t count)
{
    const size_t length = strlen(word);
    const char *nearest = NULL;
    size_t least = (length / 3 > 2 ? length / 3 : 2) + 1; /* one more than may differ */
    if (length > LONGEST)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const size_t candidate_length = candidates[i] ? strlen(candidates[i]) : LONGEST + 1;
        if (candidate_length > LONGEST)
            continue;
        const size_t differ = distance(word, length, candidates[i], candidate_length);
        /* With every letter changed there is nothing left that says it was meant. */
        if (differ < least && differ < (length > candidate_length ? length : candidate_length)) {
            least = differ;
            nearest = candidates[i];
        }
    }
    return nearest;
}
