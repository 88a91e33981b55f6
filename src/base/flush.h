/* Private to base: the thread's denormal mode, saved and restored. */
#ifndef BASE_FLUSH_H
#define BASE_FLUSH_H

#include <stdint.h>

/* Flush denormals from here on; returns the mode to give back. */
uint64_t flush_denormals_begin(void);
void flush_denormals_end(uint64_t mode);

#endif
