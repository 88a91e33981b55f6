/*
 * Streams by their ids, and what was sent of each lately: the bytes of its
 * frames, and where each ends. Bounded per stream and in all; what is dropped
 * can be generated again (sample_resume.c). Loop thread.
 *
 *   LIVE [a sample generates it] -> OVER [its last frame is logged]
 *   LIVE -> gone [cancelled, failed]; OVER -> gone [its time, or room is short]
 */
#ifndef HTTP_STREAMS_H
#define HTTP_STREAMS_H

#include "base/buf.h"
#include "base/error.h"
#include "serve/record.h"

#include <stdbool.h>
#include <stdint.h>

#define STREAMS_BUCKETS 1024
/* A replay must fit into what may wait for a client. */
#define STREAMS_MAX_BUFFER (192u << 10)
#define STREAMS_FRAME (256u << 10) /* no frame is larger */

struct sample;

struct stream {
	struct stream *next;	      /* in its bucket */
	struct stream *older, *newer; /* of those that are over */
	char id[RECORD_ID_MAX + 1];
	char session[SESSION_ID_MAX + 1];  /* or "" */
	char owner[SESSION_OWNER_MAX + 1]; /* whose key made it */
	struct sample *live; /* that makes it, or is about to; or NULL */
	bool over;
	uint64_t until;	  /* when over: loop time, ms */
	struct buf log;	  /* frames as they were sent */
	struct buf marks; /* struct stream_mark, one per frame with an id */
	uint64_t base;	  /* tokens before the log's first byte */
	bool from_start;  /* nothing came before the log's first byte */
};

struct stream_mark {
	size_t end; /* of the frame in the log */
	uint64_t tokens;
	uint64_t settled; /* of them, see generate_event */
};

struct streams {
	size_t max, max_total; /* bytes of a log, of all */
	uint64_t ttl;	       /* ms; 0: nothing is kept */
	size_t bytes, count;
	struct stream *oldest, *newest; /* of those that are over */
	struct stream *buckets[STREAMS_BUCKETS];
};

void streams_release(struct streams *t);
struct stream *streams_find(struct streams *t, const char *id);
/* The stream of that id with an empty log, to begin after `base` tokens. NULL
 * when memory ran out. */
struct stream *streams_begin(
	struct streams *t, const char *id, uint64_t base, bool from_start);
void streams_forget(struct streams *t, struct stream *s);
/* Those of a session that are over: the session is deleted. */
void streams_forget_session(struct streams *t, const char *session);
/* Those that are over and whose time has come. */
void streams_sweep(struct streams *t, uint64_t now);

/* A frame was sent that ends at `tokens`, or has no id. */
void stream_log(struct streams *t, struct stream *s, const char *bytes,
	size_t len, bool has_id, uint64_t tokens, uint64_t settled);
/* All was logged. */
void stream_over(struct streams *t, struct stream *s, uint64_t now);

/* Where in the log the frames after token `from` begin; NULL: all frames. 1
 * when they are not in it any more; -1: no event ended there (ERROR_INVALID,
 * param `from`). */
int stream_seek(const struct stream *s, const uint64_t *from, size_t *offset,
	struct error *err);

#endif
