/*
 * One POST /sample, from body to last byte. It is freed once its generation
 * has ended and its client was answered or has left.
 *
 *   PARSING -> OPENING [on a worker: a long body, or a session to read]
 *   PARSING or OPENING -> RUNNING [engine_submit]
 *   RUNNING -> gone [ENDED read];  any -> gone [refused]
 */
#ifndef HTTP_SAMPLE_H
#define HTTP_SAMPLE_H

#include "http/api_internal.h"
#include "serve/generate.h"

#include <jansson.h>

struct sample_params {
	const char *model, *session;
	struct request_text prompt;
	int64_t length, max_tokens;
	double temperature, top_p, min_p;
	double repetition_penalty, presence_penalty, frequency_penalty;
	int64_t top_k, n, logprobs, expected_position;
	const json_t *logit_bias, *stop;
	uint64_t seed;
	bool echo, stream;
	int unknown;
	int priority; /* enum scheduler_priority */
	const char *user;
	int64_t deadline_ms; /* 0: none */
	bool has_seed, has_logprobs, has_position;
};

#define SAMPLE_USER_MAX 256
#define SAMPLE_MAX_DEADLINE 86400000 /* ms: a day */
#define SAMPLE_FIELDS 24
extern const struct field sample_fields[SAMPLE_FIELDS];

/* Fields of the body, checked against each other and the limits; borrows from
 * json. */
int sample_read(const json_t *json, uint64_t max_length,
	struct sample_params *p, struct error *err);

/* What was generated of one choice. */
struct sample_choice {
	struct buf text; /* not yet sent, when streaming */
	bool ended;
	enum generate_finish finish;
	json_t *tokens, *token_logprobs, *top_logprobs; /* arrays, or NULL */
};

struct sample {
	struct worker_job job; /* first */
	struct api_reader reader;
	struct sample *next, *prev;
	struct api *api;
	struct exchange *x; /* NULL once the client has left */
	char id[40];
	int64_t created; /* Unix seconds */
	struct buf body;
	json_t *json; /* what params borrow from */
	struct sample_params params;
	uint64_t client;  /* who asks, as the engine tells clients apart */
	struct error err; /* of the worker */
	struct generate_request *request;
	bool submitted, cancelled, stopping;
	bool told_first;	/* the first token was seen */
	uint64_t last_write;	/* loop time, ms */
	uint64_t stream_tokens; /* of all choices, in frames written */
	uint64_t stream_bytes;	/* of all that was written */
	struct buf marks;	/* struct sample_mark: frames not yet sent */
	uint64_t kept;		/* tokens of choice 0 that the client has */
	unsigned echo_choice;	/* to be sent the prompt next */
	size_t echo_offset;
	unsigned frame_choice;		      /* whose text is pending */
	uint64_t frame_settled, frame_tokens; /* of the pending frame */
	struct sample_choice choices[GENERATE_MAX_CHOICES];
};

#define SAMPLE_STOPPED "the server stopped before the generation ended"

/* Room that any one frame fits in, escapes and log-probabilities included. */
#define SAMPLE_FRAME_ROOM (96u << 10)

/* A frame's end: bytes of the stream, and choice 0's tokens by then, as far as
 * all of their text is out. */
struct sample_mark {
	uint64_t bytes, tokens;
};

/* The answer in one piece, or a stream's last frame (without text). */
json_t *sample_answer(struct sample *s);

/* Take an event into the choice it is of. -1 when memory ran out. */
int sample_take(struct sample *s, const struct generate_event *e);

/* Streaming: the frame that is pending is sent. -1: the client lags. */
int sample_flush(struct sample *s);
/* The prompt, before all else, when it is echoed: false while there is more of
 * it than the client has room for. */
bool sample_echo(struct sample *s);
bool sample_frame_full(const struct sample *s);
void sample_send_last(struct sample *s);
/* Tokens of choice 0 that were handed to the socket. */
uint64_t sample_sent(struct sample *s);

#endif
