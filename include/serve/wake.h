/*
 * Wakes the loop from any thread. It is an eventfd: with libuv's own handles
 * the loop spins while their sender is between two steps, and a loop of
 * real-time priority that took its sender's core does so until the kernel
 * throttles it, for most of a second.
 */
#ifndef SERVE_WAKE_H
#define SERVE_WAKE_H

#include "base/error.h"

#include <uv.h>

struct wake {
	uv_poll_t poll;
	int fd;
	void (*woken)(void *arg); /* on the loop, once for several sends */
	void *arg;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* Loop thread. ERROR_IO when there are no descriptors. */
int wake_open(struct wake *w, uv_loop_t *loop, void (*woken)(void *arg),
	void *arg, struct error *err);
/* Any thread. */
void wake_send(struct wake *w);
/* Loop thread, when nobody sends any more; w is the caller's again when closed
 * is called. */
void wake_close(struct wake *w, void (*closed)(void *arg), void *arg);

#endif
