/*
 * One generation for a client, from POST /sample (or a stream that is resumed)
 * to its last byte. It is freed once its generation has ended and its client
 * was answered or has left.
 *
 *   PARSING -> CLAIMING [with an Idempotency-Key] -> HOLDING [with a session]
 *     -> OPENING -> RUNNING [engine_submit]; each on the loop or a worker
 *   CLAIMING -> RESUMING or gone [it is answered already]
 *   RESUMING [its record is read] -> HOLDING or OPENING
 *   RUNNING -> SETTLED [the answer is stored with the session] -> gone
 *   RUNNING -> gone [ENDED read];  any -> gone [refused]
 */
#ifndef HTTP_SAMPLE_H
#define HTTP_SAMPLE_H

#include "http/idempotency.h"
#include "http/logprobs.h"
#include "serve/generate.h"

#include <jansson.h>

struct sample_params {
	const char *model, *session;
	struct request_text prompt;
	int64_t length, max_tokens;
	double temperature, top_p, min_p;
	double repetition_penalty, presence_penalty, frequency_penalty;
	int64_t top_k, n, logprobs, expected_position, wait_ms;
	const json_t *logit_bias, *stop;
	uint64_t seed;
	bool echo, stream;
	int unknown, on_disconnect;
	int priority; /* enum scheduler_priority */
	const char *user;
	int64_t deadline_ms; /* 0: none */
	bool has_seed, has_logprobs, has_position;
	/* Of a completion. */
	const json_t *prompts, *stream_options, *suffix;
	const json_t *prompt_ids; /* instead of prompt: token ids, or NULL */
	size_t n_prompts;
	int64_t best_of; /* `n` is that many */
	int64_t shown;	 /* of n */
	bool include_usage;
	bool may_be_empty; /* length may be 0 */
};

#define SAMPLE_MAX_DEADLINE 86400000 /* ms: a day */
#define SAMPLE_MAX_WAIT 600000	     /* ms */
/* The first so many rows are those of POST /sample; those of POST
 * /v1/completions begin among them. */
#define SAMPLE_FIELDS 26
#define COMPLETION_FIRST 3
#define COMPLETION_FIELDS 28
#define COMPLETION_MAX_PROMPTS 128
extern const struct field sample_fields[COMPLETION_FIRST + COMPLETION_FIELDS];

extern const struct sample_params sample_defaults;
/* What both kinds of request ask of their fields; bit i of given is
 * sample_fields[i], and `length` the name of the field that gave the length. */
int sample_check(struct sample_params *p, uint64_t given, uint64_t max_length,
	const char *length, struct error *err);

/* Fields of the body, checked against each other and the limits; borrows from
 * json. */
int sample_read(const json_t *json, uint64_t max_length,
	struct sample_params *p, struct error *err);

/* The same of a completion; names that nobody knows are passed over. */
int completion_read(const json_t *json, uint64_t max_length,
	struct sample_params *p, struct error *err);
/* A text or ids into p->prompt or p->prompt_ids. */
int completion_prompt(
	struct sample_params *p, const json_t *prompt, struct error *err);

/* What was generated of one choice. */
struct sample_choice {
	struct buf text; /* not yet sent, when streaming */
	bool ended;
	enum generate_finish finish;
	struct logprobs logprobs;
	double nats;	/* log-probability of what was drawn */
	uint64_t drawn; /* tokens */
};

struct sample;
struct sample_group;

/* What a client is sent, by the route that it came by. */
struct sample_shape {
	const char *prefix; /* of the answer's id */
	const char *stream; /* five bytes: of a stream's id */
	bool text_offsets;
	int (*read)(const json_t *json, uint64_t max_length,
		struct sample_params *p, struct error *err);
	/* The answer in one piece. */
	json_t *(*answer)(struct sample *s);
	/* A frame of the text that is pending of a choice. */
	json_t *(*frame)(struct sample *s, struct sample_choice *c);
	/* A stream's last frames but [DONE]; error is taken, or NULL. */
	int (*last)(
		struct sample *s, bool failed, json_t *error, struct buf *out);
};
extern const struct sample_shape sample_shape_own, sample_shape_completion;

/* A stream that is generated again; see sample_resume.c. */
struct sample_resume {
	bool is;
	bool has_from;
	uint64_t from; /* tokens that the client has */
	bool held;     /* its session was asked for */
	bool echoed;   /* the client has the prompt */
	bool needs_session;
	bool replays;		       /* nothing new, nothing to store */
	struct request_record *record; /* until it is the request's */
	struct session_state state;    /* it began at */
	bool has_state;
};

struct sample {
	struct worker_job job; /* first */
	struct api_reader reader;
	struct sample *next, *prev;
	struct api *api;
	const struct sample_shape *shape;
	struct sample_group *group; /* that it is one of, or NULL */
	size_t member;		    /* its place in that */
	struct exchange *x;	    /* NULL once the client has left */
	bool detached;		    /* it left, and this goes on */
	char id[40];
	int64_t created; /* Unix seconds */
	struct buf body;
	json_t *json; /* what params borrow from */
	struct sample_params params;
	struct buf prompt_text;		   /* what params.prompt_ids say */
	char owner[SESSION_OWNER_MAX + 1]; /* the name of the key that asks */
	uint64_t client;  /* who asks, as the engine tells clients apart */
	struct error err; /* of the worker */
	struct generate_request *request;
	bool submitted, cancelled, stopping;
	unsigned retry_after; /* of a limit that refuses it, seconds */

	/* Until it runs. */
	struct idempotent key;
	struct idempotent_answer answer; /* found under it */
	int found;			 /* idempotent_find */
	struct session_wait line;
	struct arrival granted;
	struct session *held; /* not its request's yet */
	struct sample_timer *timer;
	bool in_line;  /* for the session */
	bool replayed; /* and its client told so */
	struct sample_resume resume;

	/* An answer that is stored before it is sent; then it goes out. */
	char *stored;
	struct arrival kept_arrival;
	struct error kept_error;

	/* A stream. */
	struct stream *stream; /* its log; NULL: none, or taken over */
	char stream_id[RECORD_ID_MAX + 1]; /* "": can't be resumed */
	bool begun;			   /* headers were given */
	bool told_id;			   /* in a frame */
	bool told_first;		   /* the first token was seen */
	uint64_t last_write;		   /* loop time, ms */
	uint64_t frame_at;		   /* uv_hrtime of the last frame */
	uint64_t stream_tokens; /* of all choices, in frames written */
	uint64_t stream_bytes;	/* of all that was written */
	struct buf marks;	/* struct sample_mark: frames not yet sent */
	uint64_t kept; /* tokens of choice 0 that the client has, settled */
	uint64_t sent; /* and those of the events that it has */
	const struct generate_event *event; /* read, not yet taken */
	bool seen_event;
	bool scored;	       /* generate_scores is whole */
	bool from_zero;	       /* the prompt is the timeline's first text */
	unsigned echo_choice;  /* to be sent the prompt next */
	size_t echo_offset;    /* bytes of it that were */
	uint64_t echo_tokens;  /* and tokens, when they are scored */
	unsigned frame_choice; /* whose text is pending */
	uint64_t frame_settled, frame_tokens; /* of the pending frame */
	uint64_t frame_index;		      /* of the last token read */
	struct sample_choice choices[GENERATE_MAX_CHOICES];
};

#define SAMPLE_STOPPED "the server stopped before the generation ended"

/* Room that any one frame fits in, escapes and log-probabilities included. */
#define SAMPLE_FRAME_ROOM (96u << 10)

/* A frame's end: bytes of the stream, and choice 0's tokens by then: as far as
 * all of their text is out, and all. */
struct sample_mark {
	uint64_t bytes, settled, tokens;
};

/* sample_start.c. NULL: x has got an error. */
struct sample *sample_new(
	struct api *a, struct exchange *x, const struct sample_shape *shape);
/* One more of the same request, for another of its prompts. */
struct sample *sample_new_member(struct sample *first);
/* Parse the body, and go on. */
void sample_start(struct sample *s);
int sample_parse(
	struct sample *s, const char *text, size_t len, struct error *err);

/* sample_claim.c: go on once the key is its own, unless there is an answer. */
void sample_claim(struct sample *s);

/* sample_line.c: hold the session, waiting for it as long as that, and open. */
void sample_hold(struct sample *s, const char *session, int64_t wait_ms);
/* It is refused when it still waits after so long. */
int sample_wait(struct sample *s, int64_t ms, struct error *err);
void sample_stop_wait(struct sample *s);
/* Out of the line that it stands in, and not back into it; false: it stands in
 * none, or its turn is on the way. */
bool sample_leave_line(struct sample *s);

/* sample_open.c: to its session, if it has one, and to its engine. */
void sample_advance(struct sample *s);
/* What it needs is held. */
void sample_open(struct sample *s);
/* s->err, or the request is open. */
void sample_opened(struct worker_job *job);
void sample_submit(struct sample *s);
void sample_post(struct sample *s, void (*run)(struct worker_job *job),
	void (*done)(struct worker_job *job));

/* sample_options.c: the generation's options from the parameters; into
 * s->request. */
void sample_options(const struct sample *s, struct generate_options *o);
int sample_generate(struct sample *s, const struct generate_options *base,
	struct error *err);

/* sample_record.c: the request as it was sent, for a stream that may be
 * resumed; NULL: it can't be. It has the body then. */
int sample_make_record(
	struct sample *s, struct request_record **out, struct error *err);
/* -1: it is not stored, and its client relies on that. */
int sample_post_record(struct sample *s, struct error *err);
void sample_drop_record(struct sample *s);
/* The record of one that ended and stored nothing with a session. */
void sample_keep_record(struct sample *s);

/* sample_answer.c: a stream's headers, once. */
void sample_begin(struct sample *s);

/* routes_sample.c */
void sample_pump(struct sample *s);
void sample_cancel(struct sample *s);
/* sample_end.c: SETTLED was read, and ENDED, which frees it. */
void sample_settled(struct sample *s);
void sample_end(struct sample *s);
void sample_free(struct sample *s);
void sample_refuse(struct sample *s, const struct error *err);
/* Answered: the exchange goes its own way. */
void sample_detach(struct sample *s);
extern const struct exchange_ops sample_exchange_ops;

/* sample_resume.c. from: NULL is from the first byte. */
void sample_resume(struct sample *s, const char *stream, const uint64_t *from);
void sample_open_resumed(struct worker_job *job);
/* Have what is at hand of a stream sent to x: true when x is taken care of. */
bool sample_serve(struct api *a, struct exchange *x, const char *stream,
	const uint64_t *from);

json_t *sample_usage(const struct generate_result *r);
/* The tokens of an echoed prompt before those of the choice. */
void sample_echo_logprobs(struct sample *s, struct sample_choice *c);
/* s->event is the first: it tells what became of the prompt. */
void sample_see_first(struct sample *s);
/* A token that the client has got already. */
void sample_skip(struct sample *s, const struct generate_event *e);

/*
 * sample_group.c: several prompts of one request, each a sample, which share
 * the exchange.
 *
 *   OPENING -> RUNNING [all are open: group_opened]; RUNNING -> gone [all
 *   ended] or KEEPING [with an Idempotency-Key: the answer is stored] -> gone;
 *   any -> FAILED [group_failed: the others are cancelled] -> gone
 */
void group_start(struct sample *first);
/* s is open; it is submitted when all are. */
void group_opened(struct sample *s);
void group_failed(struct sample *s, const struct error *err);
bool group_has_failed(const struct sample *s);
/* s has ended: what it came to. */
void group_take(struct sample *s);
/* What its client was sent. */
void group_log(struct sample *s, const struct buf *frame);
/* s is being freed. */
void group_leave(struct sample *s);
/* Choices of the answer of one, as `index` counts them. */
json_t *completion_choices(struct sample *s);
json_t *completion_whole(struct sample *s, json_t *choices, json_t *usage);
json_t *completion_usage_frame(struct sample *s, json_t *usage);

/* Take an event into the choice it is of. -1 when memory ran out. */
int sample_take(struct sample *s, const struct generate_event *e);

/* Streaming: the frame that is pending is sent. -1: the client lags. */
int sample_flush(struct sample *s);
/* The prompt, before all else, when it is echoed (with log-probabilities once
 * s->event is there): false while there is more of it than the client has room
 * for. */
bool sample_echo(struct sample *s);
bool sample_frame_full(const struct sample *s);
void sample_send_last(struct sample *s);
/* Tokens of choice 0 that were handed to the socket. */
uint64_t sample_sent(struct sample *s);

#endif
