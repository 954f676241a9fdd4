/* The device's limits and settings. */
#ifndef PK_CPU_SETTINGS_H
#define PK_CPU_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits, as CUDA gives them for compute capability 9.0 where there is no reason to differ. */
enum {
    PK_MAX_SMS = 64,
    PK_MAX_BLOCK_THREADS = 1024,
    PK_MAX_SM_THREADS = 2048,
    PK_MAX_SM_BLOCKS = 32,
    PK_MAX_PACKET_BYTES = 32764,
    PK_SHARED_BYTES = 48 * 1024,        /* without asking */
    PK_SHARED_OPTIN_BYTES = 227 * 1024, /* after cudaFuncSetAttribute */
    PK_SHARED_SM_BYTES = 228 * 1024,
    PK_SHARED_RESERVED_BYTES = 1024 /* taken by each resident block */
};

enum pk_order { PK_ORDER_FREE, PK_ORDER_FIFO, PK_ORDER_REVERSE, PK_ORDER_RANDOM };

/* Settings, read once from the environment. */
struct pk_settings {
    int processors;        /* PK_CPU_SMS */
    int warp_threads;      /* PK_CPU_WARP */
    bool check;            /* PK_CPU_CHECK */
    enum pk_order order;   /* PK_CPU_SCHEDULE; FREE: in order, as many at once as there are cores */
    uint64_t seed;         /* of random */
    size_t stack_bytes;    /* PK_CPU_STACK_KB, of one thread of a block */
    int parallel;          /* OS threads that run blocks at once, while they make progress */
    int patience_ticks;    /* without an end, until a block is taken as waiting */
    bool valid;            /* false: a setting is wrong, every call fails */
    uint64_t memory_bytes; /* of the device */
};
extern struct pk_settings pk_settings;

void pk_settings_read(void);
/* Cores that the process may use. */
int pk_usable_cores(void);

#endif
