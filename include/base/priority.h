/*
 * How a thread stands with the kernel's scheduler. Both speak of the calling
 * thread and are wishes: where the kernel refuses or doesn't know them, it goes
 * on as it was.
 */
#ifndef BASE_PRIORITY_H
#define BASE_PRIORITY_H

#include <stdint.h>

/* Stand back for others; for good, unless privileged. nice: 0..19 says which
 * share of a contended core it keeps; whoever wakes has the core at once. */
void priority_lower(int nice);

/* When it wakes, take the core from threads with longer turns, at once: since
 * Linux 6.12 a low nice value alone no longer does that. Its share stays the
 * same. 100000 ns or more. */
void priority_short_turns(uint64_t ns);

#endif
