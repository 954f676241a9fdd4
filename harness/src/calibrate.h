/* What `pk_calibrate` measures besides the limits of every run. Each measurement does its work once where it can be
 * checked before it times it; a sample is what one round gives. */
#ifndef PK_CALIBRATE_H
#define PK_CALIBRATE_H

#include "pk/result.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_calibrator {
    const pk_device_info *device;
    void *stream, *begin, *end; /* a stream, and events to time on it */
    int rounds;                 /* samples of a figure */
    bool quick;
} pk_calibrator;

/* PK_OK with samples; PK_SKIP, PK_WRONG or PK_FAULT after pk_fail. */
typedef pk_status pk_calibration_measure(const pk_calibrator *c, pk_samples *samples);

/* ---- calibrate.c ---- */

/* How often something is done: so often on a GPU, and a tenth of it on the CPU device, which takes longer. */
int pk_calibrate_times(const pk_calibrator *c, int on_gpu);

/* Something that takes longer the more `times` it is done, handed to the stream. */
typedef pk_status pk_repeated(const pk_calibrator *c, void *context, int times);

/* What one more takes: the time of `many` less that of `few`, on the device, over the difference; so that what a launch
 * takes by itself is not in it. A sample a round, and a round before them that does not count. */
pk_status pk_calibrate_slope(const pk_calibrator *c, pk_repeated *run, void *context, int few, int many,
                             pk_samples *samples);

/* Bytes over the device's time of `run` done once, in bytes a microsecond. */
pk_status pk_calibrate_rate(const pk_calibrator *c, pk_repeated *run, void *context, double bytes, pk_samples *samples);

/* PK_WRONG, naming the work, unless what it counted in device memory is `want`. */
pk_status pk_calibrate_demand(const pk_calibrator *c, const unsigned *counter, unsigned want, const char *what);

/* ---- calibrate_order.cu: who goes first ---- */
pk_status pk_calibrate_sync(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_graph_submit(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_graph_launch_sync(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_graph_node(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_graph_pdl_node(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_pdl_gap(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_launch_order(const pk_calibrator *c); /* that the limits' launches run, each, and in order */

/* ---- calibrate_meet.cu: who waits for whom ---- */
pk_status pk_calibrate_grid_sync(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_barrier(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_word(const pk_calibrator *c, pk_samples *us);

/* ---- calibrate_memory.cu: bytes ---- */
pk_status pk_calibrate_copy(const pk_calibrator *c, pk_samples *bytes_per_us);
pk_status pk_calibrate_latency(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_l2_latency(const pk_calibrator *c, pk_samples *us);
pk_status pk_calibrate_l2_read(const pk_calibrator *c, pk_samples *bytes_per_us);
pk_status pk_calibrate_to_device(const pk_calibrator *c, pk_samples *bytes_per_us);
pk_status pk_calibrate_to_host(const pk_calibrator *c, pk_samples *bytes_per_us);

/* ---- json.c ---- */

typedef struct pk_calibrated { /* a figure, as it came out */
    const char *name, *unit;   /* "graph_node_us", "us" */
    const char *what;          /* in a few words */
    pk_status status;
    char *reason; /* NULL when it passed */
    pk_summary summary;
} pk_calibrated;

/* As pk_report_write_json, in the shape of harness/schema/calibration.v1.json; the report's limits are part of it. */
pk_status pk_calibration_write_json(const pk_report *report, const pk_calibrated *figures, size_t count,
                                    const char *path);

#ifdef __cplusplus
}
#endif
#endif
