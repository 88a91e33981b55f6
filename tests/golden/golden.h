/* The checks against goldens.safetensors, for the float and the double build;
 * make_goldens.py beside this file says what its tensors are. */
#ifndef TESTS_GOLDEN_GOLDEN_H
#define TESTS_GOLDEN_GOLDEN_H

#include "test.h"

#include "math/kernels.h"
#include "nn/model.h"
#include "nn/safetensors.h"
#include "nn/trainer.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define GOLDENS "tests/golden/goldens.safetensors"
#define VOCAB 7
#define HIDDEN 6
#define LAYERS 2
#define BATCH 3
#define SEQ 5
#define STEPS 20
#define STREAM 60
#define LECTURE_HIDDEN 12
#define LECTURE_TOKENS 64

static struct safetensors goldens;

static int open_goldens(void **unused)
{
	struct error err;

	if (safetensors_open(&goldens, GOLDENS, &err) == 0)
		return 0;
	print_error("%s\n", err.message);
	return -1;
}

static int close_goldens(void **unused)
{
	safetensors_close(&goldens);
	return 0;
}

/* Tensor `model.name`, of n elements, copied to out. */
static void golden(const char *model, const char *name,
	enum safetensors_dtype dtype, size_t n, void *out)
{
	const struct safetensors_entry *e;
	char full[128];

	snprintf(full, sizeof(full), "%s%s%s", model, *model ? "." : "", name);
	e = safetensors_find(&goldens, full);
	if (!e)
		fail_msg("%s has no %s", GOLDENS, full);
	assert_int_equal(e->dtype, dtype);
	assert_int_equal(safetensors_count(e), n);
	memcpy(out, e->data, e->bytes);
}

struct kind {
	const char *name, *cell;
	size_t embedding;
	bool tied;
};

static const struct kind kinds[] = {
	{ "rnn.onehot", "rnn", 0, false },
	{ "rnn.embedding", "rnn", 4, false },
	{ "rnn.tied", "rnn", HIDDEN, true },
	{ "lstm.onehot", "lstm", 0, false },
	{ "lstm.embedding", "lstm", 4, false },
	{ "lstm.tied", "lstm", HIDDEN, true },
	{ "gru.onehot", "gru", 0, false },
	{ "gru.embedding", "gru", 4, false },
	{ "gru.tied", "gru", HIDDEN, true },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* In the order of the goldens' first axis. */
static const struct {
	const char *name;
	double learning_rate, decay, weight_decay;
} optimizers[] = {
	{ "sgd", 0.1, 0.9, 0.01 },
	{ "rmsprop", 2e-3, 0.95, 0 },
	{ "adam", 2e-3, 0.9, 0.01 },
	{ "adamw", 2e-3, 0.9, 0.01 },
	{ "adagrad", 0.1, 0, 0 },
};
#define OPTIMIZERS (sizeof(optimizers) / sizeof(optimizers[0]))

/* In the order of the second and third: clip, then scale of the loss. */
static const struct {
	enum clip_mode clip;
	enum loss_scale scale;
	double threshold;
} bounds[] = {
	{ CLIP_VALUE, LOSS_SUM, 0.6 },
	{ CLIP_VALUE, LOSS_MEAN, 0.1 },
	{ CLIP_NORM, LOSS_SUM, 2 },
	{ CLIP_NORM, LOSS_MEAN, 0.4 },
};
#define BOUNDS (sizeof(bounds) / sizeof(bounds[0]))

static void open_weights(struct parameters *p, const struct kind *kind)
{
	struct architecture a = { .vocab = VOCAB,
		.hidden = HIDDEN,
		.layers = LAYERS,
		.embedding = kind->embedding,
		.tied = kind->tied };
	struct error err;
	float row_major[4 * HIDDEN * (HIDDEN + VOCAB)];

	snprintf(a.cell, sizeof(a.cell), "%s", kind->cell);
	assert_int_equal(parameters_open(p, &a, &err), 0);
	for (size_t i = 0; i < p->n_tensors; i++) {
		golden(kind->name, p->tensors[i].name, SAFETENSORS_F32,
			tensor_size(&p->tensors[i]), row_major);
		parameters_set(p, &p->tensors[i], row_major);
	}
}

/* The forward of the first SEQ tokens of each stream, by inference steps. */
static void check_logits(const struct kind *kind, double tolerance)
{
	uint32_t tokens[BATCH * STREAM];
	double expected[SEQ * BATCH * VOCAB];
	real block[BATCH * LAYERS * 2 * HIDDEN] = { 0 };
	real logits[BATCH * VOCAB];
	struct model_scratch *scratch;
	struct parameters p;
	struct model *m;
	struct error err;

	open_weights(&p, kind);
	golden("", "tokens", SAFETENSORS_U32, BATCH * STREAM, tokens);
	golden(kind->name, "logits", SAFETENSORS_F64, SEQ * BATCH * VOCAB,
		expected);
	assert_int_equal(model_open(&m, &p, WEIGHTS_F32, &err), 0);
	assert_int_equal(model_scratch_open(&scratch, m, BATCH, &err), 0);
	for (size_t t = 0; t < SEQ; t++) {
		real *states[BATCH], *out[BATCH];
		uint32_t ids[BATCH];

		for (size_t b = 0; b < BATCH; b++) {
			states[b] = block + b * model_state_floats(m);
			out[b] = logits + b * VOCAB;
			ids[b] = tokens[b * STREAM + t];
		}
		model_step(m, scratch, BATCH, ids, states, out);
		for (size_t i = 0; i < BATCH * VOCAB; i++) {
			double want = expected[t * BATCH * VOCAB + i];

			if (!(fabs((double)logits[i] - want) <= tolerance))
				fail_msg("%s step %zu logit %zu: %.12g, "
					 "expected %.12g",
					kind->name, t, i, (double)logits[i],
					want);
		}
	}
	model_scratch_close(scratch);
	model_unref(m);
	parameters_release(&p);
}

static void check_losses(struct trainer *t, const char *what, size_t steps,
	const double *expected, double tolerance)
{
	struct trainer_report r;
	struct error err;

	for (size_t i = 0; i < steps; i++) {
		if (trainer_step(t, false, &r, &err) < 0)
			fail_msg("%s: %s", what, err.message);
		if (!(fabs(r.loss - expected[i]) <= tolerance))
			fail_msg("%s: loss %zu is %.12g, expected %.12g", what,
				i + 1, r.loss, expected[i]);
	}
}

static void check_curve(const struct kind *kind, size_t optimizer, size_t bound,
	size_t steps, double tolerance)
{
	const struct trainer_options o = { .seq_length = SEQ,
		.optimizer = optimizers[optimizer].name,
		.learning_rate = optimizers[optimizer].learning_rate,
		.decay = optimizers[optimizer].decay,
		.decay2 = 0.999,
		.epsilon = 1e-8,
		.weight_decay = optimizers[optimizer].weight_decay,
		.clip = bounds[bound].clip,
		.clip_threshold = bounds[bound].threshold,
		.loss_scale = bounds[bound].scale,
		.accumulate = 1 };
	double curves[OPTIMIZERS][BOUNDS][STEPS];
	uint32_t tokens[BATCH * STREAM];
	struct streams s = { { tokens, 4, BATCH * STREAM }, BATCH, STREAM, 0,
		STREAM };
	struct parameters p;
	struct trainer *t;
	struct team *team;
	struct error err;
	char what[128];

	snprintf(what, sizeof(what), "%s, %s, clip %s, loss %s", kind->name,
		o.optimizer, o.clip == CLIP_VALUE ? "value" : "norm",
		o.loss_scale == LOSS_SUM ? "sum" : "mean");
	open_weights(&p, kind);
	golden("", "tokens", SAFETENSORS_U32, BATCH * STREAM, tokens);
	golden(kind->name, "losses", SAFETENSORS_F64,
		OPTIMIZERS * BOUNDS * STEPS, curves);
	assert_int_equal(team_open(&team, 1, &err), 0);
	assert_int_equal(trainer_open(&t, &p, &s, &o, team, &err), 0);
	check_losses(t, what, steps, curves[optimizer][bound], tolerance);
	trainer_close(t);
	team_close(team);
	parameters_release(&p);
}

static void lecture_weight(
	struct parameters *p, const char *name, const char *golden_name)
{
	const struct tensor *at = parameters_find(p, name);
	float row_major[LECTURE_HIDDEN * LECTURE_HIDDEN];

	golden("lecture", golden_name, SAFETENSORS_F32, tensor_size(at),
		row_major);
	parameters_set(p, at, row_major);
}

/* min-char-rnn's settings as options of the trainer. */
static void check_lecture(size_t steps, double tolerance)
{
	const struct architecture a = { .cell = "rnn",
		.vocab = VOCAB,
		.hidden = LECTURE_HIDDEN,
		.layers = 1,
		.bias = BIAS_SINGLE };
	const struct trainer_options o = { .seq_length = SEQ,
		.optimizer = "adagrad",
		.learning_rate = 0.1,
		.epsilon = 1e-8,
		.clip = CLIP_VALUE,
		.clip_threshold = 5,
		.loss_scale = LOSS_SUM,
		.reset_at_end = true,
		.accumulate = 1 };
	uint32_t tokens[LECTURE_TOKENS];
	struct streams s = { { tokens, 4, LECTURE_TOKENS }, 1, LECTURE_TOKENS,
		0, LECTURE_TOKENS };
	double expected[STEPS];
	struct parameters p;
	struct trainer *t;
	struct team *team;
	struct error err;

	assert_int_equal(parameters_open(&p, &a, &err), 0);
	lecture_weight(&p, "rnn.weight_ih_l0", "xh");
	lecture_weight(&p, "rnn.weight_hh_l0", "hh");
	lecture_weight(&p, "output.weight", "hy");
	golden("lecture", "tokens", SAFETENSORS_U32, LECTURE_TOKENS, tokens);
	golden("lecture", "losses", SAFETENSORS_F64, STEPS, expected);
	for (size_t i = 0; i < STEPS; i++)
		expected[i] /= SEQ; /* the lecture's is a chunk's sum */
	assert_int_equal(team_open(&team, 1, &err), 0);
	assert_int_equal(trainer_open(&t, &p, &s, &o, team, &err), 0);
	check_losses(t, "the lecture", steps, expected, tolerance);
	trainer_close(t);
	team_close(team);
	parameters_release(&p);
}

#endif
