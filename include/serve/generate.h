/*
 * One request to generate, from what a client asked for to the events that it
 * is sent. The caller opens it, submits it to an engine (serve/engine.h),
 * reads its events on one thread until ENDED, and closes it. Threads never
 * share anything of it but what is said here.
 *
 *   OPEN -> QUEUED [engine_submit]
 *   QUEUED -> PROMPT [a slot is free]     PROMPT -> GENERATING [last token fed]
 *   GENERATING -> COMMITTING [the last choice ended; with a session only]
 *   any of these -> ENDED [end, failure, generate_cancel, deadline]
 */
#ifndef SERVE_GENERATE_H
#define SERVE_GENERATE_H

#include "base/error.h"
#include "nn/sampler.h"
#include "serve/record.h"
#include "serve/registry.h"
#include "serve/scheduler.h"
#include "serve/session.h"
#include "text/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GENERATE_MAX_LENGTH (1u << 24) /* tokens a choice may have */
#define GENERATE_MAX_CHOICES 16
#define GENERATE_MAX_LOGPROBS 20
#define GENERATE_MAX_STOPS 16
#define GENERATE_MAX_STOP_BYTES 256
#define GENERATE_MAX_PROMPT (64u << 20) /* tokens */
/* Over this many bytes of prompt, open the request on a worker. */
#define GENERATE_INLINE_PROMPT 65536

struct generate_options {
	struct registry_entry *model; /* a reference is taken */
	struct session *session;      /* held, or NULL; see generate_open */
	const char *prompt;	      /* UTF-8, need not be terminated */
	size_t prompt_len;
	const uint32_t *tokens; /* [n_tokens] the prompt as ids, copied: then
				 * there is no text. Or NULL */
	size_t n_tokens;
	size_t max_prompt; /* tokens; 0 = GENERATE_MAX_PROMPT */
	enum unknown_policy unknown;
	struct sampler_options sampler; /* bias is copied */
	uint64_t length;		/* tokens to draw; 0 only primes */
	const char *const *stop;	/* [n_stop] UTF-8, copied */
	size_t n_stop;
	const uint32_t *stop_tokens; /* [n_stop_tokens] copied */
	size_t n_stop_tokens;
	uint64_t seed;
	bool has_seed;	   /* else the session's, else a fresh one */
	unsigned n;	   /* choices, 1..16; 1 with a session */
	bool has_logprobs; /* else events carry no logprob */
	unsigned logprobs; /* most probable tokens per event, 0..20 */
	/* Prompt tokens from this one on get their log-probability, see
	 * generate_scores. */
	bool has_scores;
	uint64_t score_from;
	int64_t queue_ms; /* to wait for a slot at most; 0 = any */
	int64_t run_ms;	  /* to run at most, then GENERATE_DEADLINE; 0 = any */
	int64_t deadline_ms; /* both together, from engine_submit; 0 = any */
	uint64_t client;     /* who asks: shares are even among clients */
	enum scheduler_priority priority;
	void *user; /* the caller's own */
	/* Without a session: a timeline's state to go on from, as a session
	 * would but without storing anything; copied. And the name of its
	 * session, to be shown. Or NULL. */
	const struct session_state *start;
	const char *timeline;
	/* Completed, and stored with the session; NULL or the request's own
	 * once it is opened. */
	struct request_record *record;
	/* Tokens of the completion that the session already stands at: the
	 * handle's state is from before them. A cancel never goes back. */
	uint64_t floor;
	/* The reader has something to store with the session: GENERATE_SETTLED
	 * comes when nothing but the commit is left, if there is to be one. */
	bool settles;
};

/* Sampler defaults, length 200, n 1, everything else zero. */
void generate_defaults(struct generate_options *o);

enum generate_finish {
	GENERATE_LENGTH,
	GENERATE_STOP,
	GENERATE_DEADLINE,
	GENERATE_CANCELLED,
	GENERATE_FAILED,
};
/* "length", "stop", "deadline", "cancelled", "error". */
const char *generate_finish_name(enum generate_finish f);

enum generate_event_type {
	GENERATE_TOKEN,	     /* a token was drawn */
	GENERATE_CHOICE_END, /* text held back till now, finish */
	GENERATE_SETTLED,    /* call generate_commit now; see `settles` */
	GENERATE_ENDED,	     /* the last event: see generate_result */
};

struct generate_top {
	uint32_t token;
	float logprob;
};

/*
 * Text is whole code points. It may be empty (a cut code point, or what may yet
 * become a stop string, is held back) and then comes with a later event of its
 * choice. What belongs to a stop is never emitted; a stop token has a TOKEN
 * event without text.
 */
struct generate_event {
	enum generate_event_type type;
	unsigned choice;
	enum generate_finish finish; /* CHOICE_END */
	uint32_t token;		     /* TOKEN */
	uint64_t index;		     /* tokens of this choice so far */
	uint64_t settled;  /* of them, those of whose text nothing is held back
			    * for a stop string: where to cancel at most, or
			    * that text is lost to the client */
	uint64_t position; /* of the timeline, this one counted */
	float logprob;	   /* nats, of the unmodified softmax */
	unsigned n_top;
	const struct generate_top *top; /* [n_top] best first */
	const char *text;		/* [text_len] not terminated */
	size_t text_len;
};

struct generate_usage {
	uint64_t prompt_tokens;
	uint64_t completion_tokens; /* of all choices */
	uint64_t skipped;	    /* unknown characters left out */
};

struct generate_timings { /* nanoseconds */
	uint64_t queue, prompt, decode, commit;
};

/* Of an ended request. */
struct generate_result {
	struct error error; /* ERROR_NONE, or why it failed */
	struct generate_usage usage;
	struct generate_timings timings;
	uint64_t seed;	   /* that was used */
	uint64_t position; /* of the session, or of choice 0's timeline */
	bool committed;	   /* the session advanced to position */
	bool kernels_changed;
	enum session_change session_change; /* what the policy did */
};

struct generate_request;

/*
 * Checks everything and tokenises the prompt. ERROR_INVALID with the field as
 * param (`length`, `stop`, `n`, `logprobs`, `logit_bias`, `temperature`, …),
 * ERROR_UNPROCESSABLE naming the first unknown character (param `prompt`). On
 * success the session handle belongs to the request; on failure it stays the
 * caller's. Any thread; takes time in proportion to the prompt.
 */
int generate_open(struct generate_request **r, const struct generate_options *o,
	struct error *err);

/* The reader's end. Before engine_submit succeeded, or once ENDED was read: the
 * request is freed (and a session never submitted is let go of). In between,
 * call generate_cancel first and close when ENDED was read. */
void generate_close(struct generate_request *r);

/* The next event, or NULL when there is none yet. Valid until the next call;
 * reading makes room in the ring, which goes on a paused slot. Reader only. */
const struct generate_event *generate_next(struct generate_request *r);

/*
 * Stop within one step; ENDED still comes. A session is committed at `kept`
 * tokens of the completion (the last that was handed to the client), or with 0
 * stays as it was before the request. Reader only; twice is fine.
 */
void generate_cancel(struct generate_request *r, uint64_t kept);

/* The same where the client has the events of `sent` tokens, of which `kept`
 * are settled: the record tells of both. */
void generate_cancel_sent(
	struct generate_request *r, uint64_t kept, uint64_t sent);

/* After GENERATE_SETTLED was read, once, whether or not it was cancelled in
 * between: the session's commit, with n changes (<= SESSION_MAX_WITH) in its
 * transaction. ENDED follows. Reader only; engine_close waits for this. */
void generate_commit(
	struct generate_request *r, const struct store_change *with, size_t n);

void *generate_user(const struct generate_request *r);
/* Or NULL. Not to be touched between engine_submit and ENDED. */
struct request_record *generate_record(struct generate_request *r);
struct registry_entry *generate_model(const struct generate_request *r);
/* The session's id, or NULL. Kept after the handle is gone. */
const char *generate_session_id(const struct generate_request *r);
uint64_t generate_seed(const struct generate_request *r);
uint64_t generate_prompt_tokens(const struct generate_request *r);
/* The prompt's ids [generate_prompt_tokens]. */
const uint32_t *generate_prompt(const struct generate_request *r);
/* What the model made of the prompt: nats of each of its tokens, of the
 * unmodified softmax [generate_prompt_tokens], 0 before score_from. Whole
 * once a TOKEN was read, or a CHOICE_END of LENGTH or STOP, not before. NULL
 * unless asked for. */
const float *generate_scores(const struct generate_request *r);
/* The most probable ones in each place [generate_prompt_tokens][*n]. */
const struct generate_top *generate_score_tops(
	const struct generate_request *r, unsigned *n);
/* Whole after ENDED was read (all but `committed` and its time after SETTLED),
 * not before. */
const struct generate_result *generate_result(const struct generate_request *r);

#endif
