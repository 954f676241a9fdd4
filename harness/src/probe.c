/* pk_probe: what the device is, as lines of key=value; exit 77 with one line when there is none. */
#include <stdio.h>

#include "pk_device.h"

static const struct {
    unsigned bit;
    const char *name;
} capabilities[] = {{PK_NEED_MAPPED_HOST, "mapped_host"},
                    {PK_NEED_COOPERATIVE, "cooperative"},
                    {PK_NEED_GRAPH, "graph"},
                    {PK_NEED_GRAPH_WHILE, "graph_while"},
                    {PK_NEED_PDL, "pdl"},
                    {PK_NEED_ASYNC_COPY, "async_copy"},
                    {PK_NEED_BULK_ASYNC_COPY, "bulk_async_copy"},
                    {PK_NEED_CLUSTER, "cluster"},
                    {PK_NEED_GRAPH_DEVICE, "graph_device"}};

int main(void)
{
    pk_device_info device;
    pk_status status = pk_device_open(&device);
    if (status != PK_OK) {
        fprintf(stderr, "%s\n", pk_error_text());
        return pk_exit_code(status);
    }
    printf("backend=%s\nkind=%s\nname=%s\narch=%s\ndriver=%s\ntoolkit=%s\n", device.backend,
           device.is_gpu ? "gpu" : "cpu", device.name, device.arch, device.driver, device.toolkit);
    printf("processors=%d\nwarp_size=%d\nmax_threads_per_block=%d\nshared_bytes_per_block=%zu\nl2_bytes=%zu\nmemory_"
           "bytes=%zu\n",
           device.processors, device.warp_size, device.max_threads_per_block, device.shared_bytes_per_block,
           device.l2_bytes, device.memory_bytes);
    printf("capabilities=");
    for (size_t i = 0; i < sizeof capabilities / sizeof capabilities[0]; i++)
        if (device.capabilities & capabilities[i].bit)
            printf("%s ", capabilities[i].name);
    printf("\n");
    pk_device_close();
    return 0;
}
