/*
 * Long work that leaves its core often while others are in a hurry. The
 * kernel's scheduler hands out turns of milliseconds, even to a thread of low
 * priority; a paced thread gives its own back after a moment, wherever it is in
 * its work.
 */
#ifndef BASE_PACE_H
#define BASE_PACE_H

#include <stdbool.h>

struct pace {
	/* Whether others are in a hurry: called from a signal handler, often.
	 */
	bool (*crowded)(void *arg);
	void *arg;
	long burst_us, rest_us; /* below a second */
};

/* From now on the calling thread works at this pace (NULL: as ever), which must
 * last until pace_end: while it is crowded, for burst_us of processor time,
 * then it rests for rest_us. Not nested. Where the kernel gives no timer, it
 * works on as ever. The work must do without system calls that a signal
 * interrupts for good, and hold no lock that those in a hurry need (malloc's is
 * one: work that seldom allocates holds it too shortly to matter). */
void pace_begin(const struct pace *p);
void pace_end(void);

#endif
