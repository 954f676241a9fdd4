/* NVML's reasons for clocks below the highest. */
#ifndef PK_THROTTLE_H
#define PK_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

/* Bits of nvmlDeviceGetCurrentClocksEventReasons (NVML API reference, "NvmlClocksEventReasons"). */
enum {
    PK_CLOCKS_IDLE = 0x1,
    PK_CLOCKS_APPLICATION_SETTING = 0x2,
    PK_CLOCKS_POWER_CAP = 0x4,
    PK_CLOCKS_HARDWARE_SLOWDOWN = 0x8,
    PK_CLOCKS_SYNC_BOOST = 0x10,
    PK_CLOCKS_SOFTWARE_THERMAL = 0x20,
    PK_CLOCKS_HARDWARE_THERMAL = 0x40,
    PK_CLOCKS_POWER_BRAKE = 0x80,
    PK_CLOCKS_DISPLAY_SETTING = 0x100,
    /* Slowed against its will: power, heat or hardware. A clock that was set, or an idle device, is not. */
    PK_CLOCKS_THROTTLED = PK_CLOCKS_POWER_CAP | PK_CLOCKS_HARDWARE_SLOWDOWN | PK_CLOCKS_SOFTWARE_THERMAL |
                          PK_CLOCKS_HARDWARE_THERMAL | PK_CLOCKS_POWER_BRAKE
};

/* The word for one bit, or NULL for a bit that this list does not know. */
const char *pk_throttle_word(uint64_t bit);

#endif
