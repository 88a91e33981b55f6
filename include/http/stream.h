/*
 * Server-sent events over an exchange. Loop thread.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "http/exchange.h"

#include <jansson.h>

#define STREAM_TYPE "text/event-stream; charset=utf-8"
void stream_headers(struct exchange *x);
/* Status 200 and the headers that keep proxies from buffering. */
void stream_begin(struct exchange *x);
/* Append a frame to b: `id: ID`, when id is not NULL, and `data: {json}`. Takes
 * the reference. -1 when memory ran out. */
int stream_format(struct buf *b, const char *id, json_t *json);
#define STREAM_DONE "data: [DONE]\n\n"
/* `id: ID`, when id is not NULL, and `data: {json}`. Takes the reference. -1
 * when the client lags too far behind, or memory ran out. */
int stream_event(struct exchange *x, const char *id, json_t *json);
/* A comment: shows a silent connection to be alive. */
void stream_ping(struct exchange *x);
/* `data: [DONE]`, and the end. */
void stream_end(struct exchange *x);

#endif
