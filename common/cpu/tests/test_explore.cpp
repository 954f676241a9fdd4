/* PK_CPU_SCHEDULE=random finds what the order of blocks decides: what is one step in the program's author's mind only,
 * and blocks that count on all being resident. Arguments: the mistake, or right-NAME for its right form. Ends with 1
 * where a result is wrong, as its own program would. */
#include "check.h"

#include <string.h>

enum { BLOCKS = 6, STEPS = 40, ROUNDS = 12 };

struct board {
    unsigned next, taken[STEPS], turn, position, host;
};

/* Every step is claimed once. */
__global__ void claim(struct board *board, bool in_one)
{
    for (;;) {
        unsigned step;
        if (in_one) {
            step = atomicAdd(&board->next, 1u);
        } else {
            step = __atomic_load_n(&board->next, __ATOMIC_RELAXED);
            pk_cpu_point();
            __atomic_store_n(&board->next, step + 1, __ATOMIC_RELAXED);
            pk_cpu_point();
        }
        if (step >= STEPS)
            return;
        atomicAdd(&board->taken[step], 1u);
    }
}

/* The turn goes from block to block with a position; whoever has it moves both on. */
__global__ void hand_on(struct board *board, bool position_first)
{
    for (unsigned mine = atomicAdd(&board->next, 1u); mine < STEPS; mine = atomicAdd(&board->next, 1u)) {
        while (atomicAdd(&board->turn, 0u) != mine)
            __nanosleep(100);
        __threadfence();
        const unsigned position = *(volatile unsigned *)&board->position;
        if (position < STEPS)
            atomicAdd(&board->taken[position], 1u);
        if (position_first)
            *(volatile unsigned *)&board->position = position + 1;
        __threadfence();
        atomicAdd(&board->turn, 1u);
        if (!position_first)
            *(volatile unsigned *)&board->position = position + 1;
    }
}

/* Threads of one block: the same claim. */
__global__ void claim_in_block(struct board *board, bool in_one)
{
    __shared__ unsigned next;
    if (threadIdx.x == 0)
        next = 0;
    __syncthreads();
    for (;;) {
        unsigned step;
        if (in_one) {
            step = atomicAdd(&next, 1u);
        } else {
            step = atomicAdd(&next, 0u);
            atomicExch(&next, step + 1);
        }
        if (step >= STEPS)
            return;
        atomicAdd(&board->taken[step], 1u);
    }
}

/* Every block waits for all: right only if all are resident, which a cooperative launch promises. */
__global__ void meet(struct board *board)
{
    atomicAdd(&board->next, 1u);
    while (atomicAdd(&board->next, 0u) < gridDim.x)
        __nanosleep(100);
    if (blockIdx.x == 0)
        for (unsigned i = 0; i < STEPS; ++i)
            board->taken[i] = 1;
}

/* Blocks that serve the host, each until it says stop: one block is enough for it. */
__global__ void serve(struct board *board)
{
    while (__atomic_load_n(&board->host, __ATOMIC_ACQUIRE) == 0) /* pairs with the release in launch */
        __nanosleep(100);
    if (atomicAdd(&board->next, 1u) == 0)
        for (unsigned i = 0; i < STEPS; ++i)
            board->taken[i] = 1;
}

static bool launch(const char *name, bool right, struct board *board)
{
    if (strcmp(name, "claim") == 0)
        LAUNCH(claim, BLOCKS, 1, 0, nullptr, board, right);
    else if (strcmp(name, "hand-on") == 0)
        LAUNCH(hand_on, BLOCKS, 1, 0, nullptr, board, right);
    else if (strcmp(name, "claim-in-block") == 0)
        LAUNCH(claim_in_block, 1, BLOCKS, 0, nullptr, board, right);
    else if (strcmp(name, "meet") == 0 && right)
        OK(PK_CPU_LAUNCH_COOPERATIVE(meet, BLOCKS, 1, 0, nullptr, board));
    else if (strcmp(name, "meet") == 0)
        LAUNCH(meet, BLOCKS, 1, 0, nullptr, board);
    else
        LAUNCH(serve, BLOCKS, 1, 0, nullptr, board);
    usleep(1000);
    __atomic_store_n(&board->host, 1u, __ATOMIC_RELEASE);
    const double began = now_us();
    while (cudaStreamQuery(nullptr) == cudaErrorNotReady)
        if (now_us() - began > 3e6) {
            char text[1024];
            pk_cpu_describe_blocked(text, sizeof(text));
            printf("%s\n", text);
            return false;
        }
    OK(cudaDeviceSynchronize());
    for (unsigned i = 0; i < STEPS; ++i)
        if (board->taken[i] != 1) {
            printf("step %u was taken %u times\n", i, board->taken[i]);
            return false;
        }
    return true;
}

int main(int argc, char **argv)
{
    limit_seconds(60);
    const char *mistake = argc > 1 ? argv[1] : "claim";
    const bool right = strncmp(mistake, "right-", 6) == 0;
    bool passed = true;
    struct board *board;
    OK(cudaMallocHost(&board, sizeof(*board)));
    for (int round = 0; passed && round < ROUNDS; ++round) {
        memset(board, 0, sizeof(*board));
        passed = launch(right ? mistake + 6 : mistake, right, board);
    }
    fflush(stdout);
    _exit(!passed || failures != 0);
}
