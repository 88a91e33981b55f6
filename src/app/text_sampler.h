/*
 * One stream of text out of a model, for the command line: what the daemon's
 * engines do for many, done for one, with the same draws.
 */
#ifndef APP_TEXT_SAMPLER_H
#define APP_TEXT_SAMPLER_H

#include "base/error.h"
#include "nn/model.h"
#include "nn/sampler.h"
#include "text/tokenizer.h"

struct text_sampler;

/* Takes its own references. Starts at the model's initial state with the
 * tokenizer's start token waiting to be fed. */
int text_sampler_open(struct text_sampler **s, struct model *m,
	struct tokenizer *t, struct error *err);
void text_sampler_close(struct text_sampler *s);

/* Start from a given state [model_state_floats] and waiting token instead. */
void text_sampler_set(
	struct text_sampler *s, const real *state, uint32_t waiting);
/* Feed a text; its last token waits. An empty text changes nothing. */
int text_sampler_prime(struct text_sampler *s, const char *text, size_t len,
	enum unknown_policy unknown, size_t *skipped, struct error *err);

struct text_sampler_request {
	const struct sampler_options *options;
	uint64_t seed;
	uint64_t length;	 /* tokens, at most */
	const char *const *stop; /* [n_stop] texts that end it, not emitted */
	size_t n_stop;
	/* Whole code points as they come; -1 ends the generation early. */
	int (*emit)(void *arg, const char *text, size_t len);
	void *arg;
};

/* 0, also when stopped early; -1 when memory ran out. */
int text_sampler_run(struct text_sampler *s,
	const struct text_sampler_request *r, struct error *err);

#endif
