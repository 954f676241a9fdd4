/* PK_CPU_SCHEDULE: the order in which blocks and threads run is the one asked for, and the same each time. Argument:
 * fifo, reverse or random. */
#include "check.h"

#include <string.h>

enum { BLOCKS = 10, THREADS = 20, ALL = BLOCKS * THREADS };

__global__ void note_order(int *log, int *length, int *after_barrier)
{
    const int self = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    log[atomicAdd(length, 1)] = self;
    __syncthreads();
    atomicAdd(after_barrier, 1);
}

static void run(int *log)
{
    int *words;
    OK(cudaMallocHost(&words, (ALL + 2) * sizeof(int)));
    words[ALL] = words[ALL + 1] = 0;
    LAUNCH(note_order, BLOCKS, THREADS, 0, nullptr, words, words + ALL, words + ALL + 1);
    OK(cudaDeviceSynchronize());
    CHECK(words[ALL] == ALL && words[ALL + 1] == ALL);
    memcpy(log, words, ALL * sizeof(int));
    OK(cudaFreeHost(words));
}

int main(int argc, char **argv)
{
    limit_seconds(60);
    const char *schedule = argc > 1 ? argv[1] : "fifo";
    int log[ALL], seen[ALL] = {}, in_order = 0;
    run(log);
    for (int i = 0; i < ALL; ++i) {
        seen[log[i]]++;
        in_order += strcmp(schedule, "reverse") == 0 ? log[i] == ALL - 1 - i : log[i] == i;
    }
    bool once = true;
    for (int i = 0; i < ALL; ++i)
        once &= seen[i] == 1;
    CHECK(once);
    CHECK(strcmp(schedule, "random") == 0 ? in_order < ALL / 4 : in_order == ALL);
    /* The order is a function of the seed and of how many launches came before: a checksum that a second process
     * must print again. */
    unsigned sum = 0;
    for (int i = 0; i < ALL; ++i)
        sum = sum * 31 + (unsigned)log[i];
    printf("%08x\n", sum);
    return failures != 0;
}
