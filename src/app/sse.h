/*
 * The client's side of server-sent events: bytes as they come, cut anywhere,
 * into events. Pure.
 */
#ifndef APP_SSE_H
#define APP_SSE_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>

#define SSE_EVENT_MAX (1u << 20) /* bytes of an event's data, or of a line */

/* `id` is the last that was given, "" before. Nonzero ends the parsing. */
typedef int sse_event_fn(void *arg, const char *id, const char *data);

struct sse {
	sse_event_fn *fn;
	void *arg;
	struct buf line, data;
	bool any_data, after_cr;
	char id[64];
};

void sse_init(struct sse *s, sse_event_fn *fn, void *arg);
void sse_release(struct sse *s);
/* 0; what fn returned; or -1: an event or line is too long. */
int sse_feed(struct sse *s, const char *bytes, size_t len);

#endif
