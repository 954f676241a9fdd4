/* What a judge says of a submission's variants, and its file. */
#ifndef PK_JUDGE_REPORT_H
#define PK_JUDGE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pk/lab.h"
#include "pk/result.h"

typedef struct pk_judged { /* one variant */
    const char *variant;
    pk_status status;
    char reason[1200];  /* "" when it passed */
    char open_step[32]; /* that ended it; "" */
    bool is_our_fault;  /* the judge could not even begin: no word on the submission */
    size_t sizes, repetitions;
    pk_samples ratios; /* the solution's time over this one's, a round each */
    double speed;      /* their median */
    pk_interval interval;
} pk_judged;

typedef struct pk_judgement {
    const pk_lab *lab;
    const pk_device_info *device;
    uint64_t seed;
    char lacks[160]; /* of the confinement; "" when it was whole */
    pk_judged *rows;
    size_t count;
} pk_judgement;

/* A new row; NULL, with a message, when memory is out. Valid until the next call. */
pk_judged *pk_judgement_add(pk_judgement *judgement, const char *variant);
pk_status pk_judgement_write(const pk_judgement *judgement, const char *path);
void pk_judgement_free(pk_judgement *judgement);

#endif
