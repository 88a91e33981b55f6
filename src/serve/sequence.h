/*
 * One choice of a request on its way through a slot: what to feed next, what a
 * draw does, when it ends. No threads here; the engine thread that holds it
 * calls.
 *
 * `fed` counts the request's tokens that are part of the timeline: its prompt,
 * then what was drawn. The last of them is pending in the state, to be fed by
 * the next step.
 */
#ifndef SERVE_SEQUENCE_H
#define SERVE_SEQUENCE_H

#include "nn/sampler.h"
#include "serve/request.h"

/* States to go back to when a client leaves: only those of a session keep
 * them, one each SEQUENCE_MARK steps, so that going back is as short. */
#define SEQUENCE_MARK 256
#define SEQUENCE_MARKS 2

struct sequence_mark {
	struct session_state state;
	uint64_t fed;
	bool set;
};

struct sequence {
	struct generate_request *request;
	unsigned choice;
	size_t lane;	    /* which of the engine thread's models */
	uint64_t fed_round; /* of the engine thread */
	struct session_state state;
	uint64_t fed;
	uint64_t drawn;
	uint64_t settled; /* see generate_event */
	struct buf owed;  /* uint32_t: bytes of each token since then */
	size_t owed_out;  /* of the first of them, how many are out */
	uint64_t goal;	  /* fed without logits until here */
	struct buf held;  /* text that may become a stop string */
	bool forked;	  /* false: waits for choice 0 to feed the prompt */
	bool done;
	struct token_buf tokens; /* drawn; with a session only */
	struct sequence_mark marks[SEQUENCE_MARKS];
	uint64_t last_mark;
};

int sequence_open(struct sequence **s, struct generate_request *r,
	unsigned choice, size_t lane, struct error *err);
void sequence_close(struct sequence *s);

/* Tokens to feed before logits are wanted. */
static inline uint64_t sequence_prompt_left(const struct sequence *s)
{
	return s->goal - s->fed;
}

/* The next token of the prompt is one to score. */
static inline bool sequence_scores(const struct sequence *s)
{
	const struct generate_request *r = s->request;

	return r->scores && s->fed < r->prompt.len && s->fed >= r->score_from &&
	       !r->replaying;
}

/* After a step with logits (overwritten), before sequence_advance. */
void sequence_score(struct sequence *s, real *logits);

/* Choice 0 has fed the prompt: the others start from its state. */
void sequence_fork(struct sequence *to, const struct sequence *from);

/* A request that only primes ends once its prompt is fed. */
void sequence_settle(struct sequence *s);

/* After a step without logits: the next token of prompt or replay. */
void sequence_advance(struct sequence *s);

/* After a step with logits (overwritten): draw, and emit the events. May set
 * done, its CHOICE_END then being out. */
int sequence_draw(struct sequence *s, struct sampler *sampler, real *logits,
	struct error *err);

/* End the choice now, what was held back being emitted. */
void sequence_finish(struct sequence *s, enum generate_finish finish);

/* The client kept only so many tokens: go back and feed up to there. done is
 * set when it is there already. */
void sequence_rewind(struct sequence *s, uint64_t kept);

/* The n most probable tokens under the softmax, best first, ties by id. */
void sequence_top(
	const real *logits, size_t vocab, struct generate_top *top, unsigned n);

#endif
