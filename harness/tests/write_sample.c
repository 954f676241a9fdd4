/* write_sample gpu|cpu|empty FILE: a made-up report by the real writer, for the schema test. */
#include <stdio.h>
#include <string.h>

#include "sample_report.h"

static const struct {
    const char *name;
    void (*fill)(pk_report *report);
} samples[] = {{"gpu", sample_gpu_report}, {"cpu", sample_cpu_report}, {"empty", sample_empty_report}};

int main(int argc, char **argv)
{
    pk_report report;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        if (argc != 3 || strcmp(argv[1], samples[i].name) != 0)
            continue;
        samples[i].fill(&report);
        const pk_status status = pk_report_write_json(&report, argv[2]);
        if (status != PK_OK)
            (void)fprintf(stderr, "%s\n", pk_error_text());
        pk_report_free(&report);
        return pk_exit_code(status);
    }
    (void)fprintf(stderr, "usage: %s gpu|cpu|empty FILE\n", argv[0]);
    return 2;
}
