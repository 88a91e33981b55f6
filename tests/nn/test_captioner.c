/* Captioners that learn a few captions by heart, from features and from
 * pixels; their files; and the search, against all sentences there are. */
#include "test.h"

#include "base/rng.h"
#include "math/kernels.h"
#include "nn/caption_trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VOCAB 6
#define FEATURES 5
#define PAIRS 6
#define PATH "build/test_captioner.safetensors"
#define STATE "build/test_captioner.train.safetensors"
#define SIDE 8
#define PICTURE (SIDE * SIDE * 3)

static const uint32_t tokens[] = { 1, 2, 3, 2, 2, 5, 4, 1, 3, 5, 5, 1, 2, 3,
	4 };
static const size_t starts[PAIRS + 1] = { 0, 3, 4, 4, 8, 10, 15 };
static const uint32_t image[PAIRS] = { 0, 1, 2, 3, 4, 5 };

static struct caption_data features_data(float *features)
{
	for (uint32_t i = 0; i < PAIRS * FEATURES; i++) {
		struct philox v = rng_block(9, RNG_SEED, i, 0);

		features[i] = (float)(2 * rng_double(v.v[0], v.v[1]) - 1);
	}
	return (struct caption_data){ .n = PAIRS,
		.image = image,
		.tokens = tokens,
		.starts = starts,
		.images = PAIRS,
		.features = features };
}

static void open_weights(
	struct captioner_weights *w, const char *cell, bool always)
{
	struct architecture a = {
		.vocab = VOCAB, .hidden = 24, .layers = 1, .embedding = 8
	};

	strcpy(a.cell, cell);
	assert_int_equal(captioner_weights_open(w, &a, FEATURES, NULL), 0);
	w->always = always;
	w->decoder.tokenizer = json_pack("{s:s}", "kind", "test");
}

/* Of fresh weights. */
static struct caption_trainer *open_trainer(struct captioner_weights *w,
	const struct caption_data *d, const struct caption_trainer_options *o,
	unsigned threads, struct team **team)
{
	struct caption_trainer *t;
	struct error err;

	assert_int_equal(team_open(team, threads, NULL), 0);
	assert_int_equal(caption_initialise(w, d, w->sees, 3, &err), 0);
	if (caption_trainer_open(&t, w, d, o, *team, &err) < 0)
		fail_msg("%s", err.message);
	return t;
}

static void step_to(
	struct caption_trainer *t, size_t steps, struct caption_report *r)
{
	struct error err;

	caption_trainer_position(t, r);
	while (r->step < steps)
		if (caption_trainer_step(t, r, &err) < 0)
			fail_msg("%s", err.message);
}

static double train_hiding(struct captioner_weights *w,
	const struct caption_data *d, double word_dropout, size_t steps,
	size_t batch, unsigned threads)
{
	const struct caption_trainer_options o = { .batch = batch,
		.optimizer = "adam",
		.learning_rate = 0.01,
		.clip_norm = 5,
		.total_steps = steps,
		.word_dropout = word_dropout,
		.seed = 1 };
	struct caption_report r = { 0 };
	struct caption_trainer *t;
	struct team *team;

	t = open_trainer(w, d, &o, threads, &team);
	step_to(t, steps, &r);
	caption_trainer_close(t);
	team_close(team);
	return r.loss;
}

static double train(struct captioner_weights *w, const struct caption_data *d,
	size_t steps, size_t batch, unsigned threads)
{
	return train_hiding(w, d, 0, steps, batch, threads);
}

static void check_caption(
	const struct caption *c, const struct caption_data *d, size_t pair)
{
	const size_t n = d->starts[pair + 1] - d->starts[pair];

	assert_int_equal(c->n, n);
	assert_true(c->ended);
	assert_memory_equal(
		c->tokens, d->tokens + d->starts[pair], n * sizeof(*c->tokens));
}

static void check_all(const struct captioner_weights *w,
	const struct caption_data *d, size_t beam)
{
	struct caption_options o;
	struct captioner *c;
	struct team *team;

	caption_defaults(&o);
	o.beam = beam;
	assert_int_equal(team_open(&team, 1, NULL), 0);
	assert_int_equal(captioner_open(&c, w, 1, team, NULL), 0);
	for (size_t i = 0; i < d->n; i++) {
		real v[FEATURES];
		struct caption caption;
		size_t n;

		for (size_t k = 0; k < FEATURES; k++)
			v[k] = d->features[i * FEATURES + k];
		assert_int_equal(
			captioner_decode(c, v, &o, &caption, &n, NULL), 0);
		assert_int_equal(n, 1);
		check_caption(&caption, d, i);
		captions_release(&caption, n);
	}
	captioner_close(c);
	team_close(team);
}

static void captions_are_learnt_by_heart(void **unused)
{
	static const char *const cells[] = { "rnn", "lstm" };
	float features[PAIRS * FEATURES];
	const struct caption_data d = features_data(features);

	for (size_t i = 0; i < 4; i++) {
		struct captioner_weights w, loaded;
		struct error err;

		open_weights(&w, cells[i / 2], i % 2);
		assert_true(train(&w, &d, 300, PAIRS, 2) < 0.05);
		check_all(&w, &d, 1);
		check_all(&w, &d, 4);
		assert_int_equal(captioner_weights_save(&w, PATH, &err), 0);
		if (captioner_weights_load(&loaded, PATH, &err) < 0)
			fail_msg("%s", err.message);
		assert_int_equal(loaded.always, i % 2);
		check_all(&loaded, &d, 2);
		captioner_weights_release(&w);
		captioner_weights_release(&loaded);
		unlink(PATH);
	}
}

/* Hidden at random, words are still learnt; hidden always, none but START is
 * ever read, so that the others' embedding stays what it was. */
static void hidden_words_are_not_read(void **unused)
{
	float features[PAIRS * FEATURES];
	const struct caption_data d = features_data(features);
	struct captioner_weights w, fresh;
	const struct tensor *e;
	size_t row;

	open_weights(&w, "lstm", true);
	train_hiding(&w, &d, 0.5, 400, PAIRS, 2);
	check_all(&w, &d, 1);
	captioner_weights_release(&w);
	open_weights(&w, "lstm", true);
	open_weights(&fresh, "lstm", true);
	train_hiding(&w, &d, 1, 5, PAIRS, 2);
	assert_int_equal(caption_initialise(&fresh, &d, false, 3, NULL), 0);
	e = parameters_find(&w.decoder.parameters, "embedding.weight");
	row = tensor_size(e) / VOCAB;
	assert_memory_equal(w.decoder.parameters.data + e->offset + row,
		fresh.decoder.parameters.data + e->offset + row,
		(VOCAB - 1) * row * sizeof(real));
	assert_memory_not_equal(w.decoder.parameters.data + e->offset,
		fresh.decoder.parameters.data + e->offset, row * sizeof(real));
	captioner_weights_release(&w);
	captioner_weights_release(&fresh);
}

static void bits_do_not_depend_on_threads(void **unused)
{
	float features[PAIRS * FEATURES];
	const struct caption_data d = features_data(features);
	struct captioner_weights one, other;

	open_weights(&one, "lstm", true);
	train_hiding(&one, &d, 0.3, 7, 4, 1);
	for (unsigned threads = 2; threads < 4; threads++) {
		open_weights(&other, "lstm", true);
		train_hiding(&other, &d, 0.3, 7, 4, threads);
		assert_memory_equal(one.decoder.parameters.data,
			other.decoder.parameters.data,
			one.decoder.parameters.count * sizeof(real));
		assert_memory_equal(one.condition, other.condition,
			4 * 24 * FEATURES * sizeof(real));
		captioner_weights_release(&other);
	}
	captioner_weights_release(&one);
}

/* Every sentence of at most `max` words, from a decoder that is asked for all
 * hypotheses: a beam as wide as there are prefixes loses none. */
static void a_wide_beam_finds_the_best_sentence(void **unused)
{
	float features[PAIRS * FEATURES];
	const struct caption_data d = features_data(features);
	struct caption all[32], some[4];
	struct captioner_weights w;
	struct caption_options o;
	real v[FEATURES] = { 0.3f, -0.2f, 0.5f, 0, 0.1f };
	struct captioner *c;
	struct team *team;
	size_t n, few;
	double sum = 0;

	open_weights(&w, "lstm", false);
	train(&w, &d, 15, PAIRS, 1);
	assert_int_equal(team_open(&team, 1, NULL), 0);
	assert_int_equal(captioner_open(&c, &w, 1, team, NULL), 0);
	caption_defaults(&o);
	/* END at once, one word and END, or two words: 1 + 5 + 25. */
	o.max_length = 2;
	o.n = o.beam = 31;
	assert_int_equal(captioner_decode(c, v, &o, all, &n, NULL), 0);
	assert_int_equal(n, 31);
	for (size_t i = 0; i < n; i++) {
		sum += exp(all[i].logprob);
		assert_true(i == 0 || all[i].logprob <= all[i - 1].logprob);
		assert_int_equal(all[i].ended, all[i].n < 2);
	}
	/* They are all there are. */
	assert_true(fabs(sum - 1) < 1e-5);
	o.n = 4;
	o.beam = 8;
	assert_int_equal(captioner_decode(c, v, &o, some, &few, NULL), 0);
	assert_int_equal(few, 4);
	for (size_t i = 0; i < few; i++) {
		assert_int_equal(some[i].n, all[i].n);
		assert_memory_equal(some[i].tokens, all[i].tokens,
			all[i].n * sizeof(*all[i].tokens));
		assert_true(fabs(some[i].logprob - all[i].logprob) < 1e-6);
	}
	captions_release(all, n);
	captions_release(some, few);
	captioner_close(c);
	team_close(team);
	captioner_weights_release(&w);
}

static void draws_repeat_and_bans_hold(void **unused)
{
	float features[PAIRS * FEATURES];
	const struct caption_data d = features_data(features);
	struct caption one[5], two[5];
	struct captioner_weights w;
	struct caption_options o;
	real v[FEATURES] = { 0 };
	struct captioner *c;
	struct team *team;
	bool differ = false;
	size_t n;

	open_weights(&w, "rnn", true);
	train(&w, &d, 5, PAIRS, 1);
	assert_int_equal(team_open(&team, 1, NULL), 0);
	assert_int_equal(captioner_open(&c, &w, 1, team, NULL), 0);
	caption_defaults(&o);
	o.n = 5;
	o.beam = 0;
	o.banned = 2;
	o.max_length = 6;
	for (o.seed = 0; o.seed < 20; o.seed++) {
		assert_int_equal(captioner_decode(c, v, &o, one, &n, NULL), 0);
		assert_int_equal(n, 5);
		assert_int_equal(captioner_decode(c, v, &o, two, &n, NULL), 0);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(one[i].n, two[i].n);
			assert_memory_equal(one[i].tokens, two[i].tokens,
				one[i].n * sizeof(uint32_t));
			differ |= one[i].n != one[0].n;
			for (size_t k = 0; k < one[i].n; k++)
				assert_int_not_equal(one[i].tokens[k], 2);
		}
		captions_release(one, n);
		captions_release(two, n);
	}
	assert_true(differ);
	o.beam = 5;
	assert_int_equal(captioner_decode(c, v, &o, one, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < one[i].n; k++)
			assert_int_not_equal(one[i].tokens[k], 2);
	captions_release(one, n);
	captioner_close(c);
	team_close(team);
	captioner_weights_release(&w);
}

/* Pictures of one colour each, and a captioner whose CNN learns along. */
static struct caption_data open_pictures(
	struct captioner_weights *w, uint8_t pixels[PAIRS * PICTURE])
{
	static const uint8_t colours[3][3] = { { 250, 10, 10 }, { 10, 250, 10 },
		{ 10, 10, 250 } };
	const struct cnn_config config = { .side = SIDE,
		.norm = true,
		.n_layers = 2,
		.layers = { 4, CNN_POOL },
		.pool = 1,
		.n_dense = 1,
		.dense = { FEATURES },
		.until = "classifier.0" };

	for (size_t i = 0; i < PAIRS * PICTURE; i++)
		pixels[i] = colours[i / PICTURE % 3][i % 3];
	open_weights(w, "lstm", false);
	w->sees = true;
	image_form_defaults(&w->form);
	w->form.side = w->form.crop = SIDE;
	assert_int_equal(cnn_weights_open(&w->cnn, &config, NULL), 0);
	return (struct caption_data){ .n = 3,
		.image = image,
		.tokens = tokens,
		.starts = starts,
		.images = 3,
		.pixels = pixels };
}

static void pixels_are_learnt(void **unused)
{
	uint8_t pixels[PAIRS * PICTURE];
	struct captioner_weights w, loaded;
	const struct caption_data d = open_pictures(&w, pixels);
	const struct image *all[3];
	struct image pictures[3];
	struct caption_options o;
	struct captioner *c;
	real vs[3][FEATURES];
	struct error err;
	struct team *team;

	assert_true(train(&w, &d, 200, 3, 2) < 0.1);
	assert_int_equal(captioner_weights_save(&w, PATH, &err), 0);
	if (captioner_weights_load(&loaded, PATH, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(team_open(&team, 2, NULL), 0);
	assert_int_equal(captioner_open(&c, &loaded, 3, team, NULL), 0);
	caption_defaults(&o);
	for (size_t i = 0; i < 3; i++) {
		pictures[i] =
			(struct image){ SIDE, SIDE, pixels + i * PICTURE };
		all[i] = &pictures[i];
	}
	captioner_look(c, all, 3, vs[0]);
	for (size_t i = 0; i < 3; i++) {
		struct caption caption;
		real v[FEATURES];
		size_t n;

		captioner_look(c, &all[i], 1, v);
		assert_memory_equal(v, vs[i], sizeof(v));
		assert_int_equal(
			captioner_decode(c, v, &o, &caption, &n, NULL), 0);
		check_caption(&caption, &d, i);
		captions_release(&caption, n);
	}
	captioner_close(c);
	team_close(team);
	captioner_weights_release(&w);
	captioner_weights_release(&loaded);
	unlink(PATH);
}

/* Steps of one run, or what is left of it, from STATE and into it. */
static void go_on(struct captioner_weights *w, const struct caption_data *d,
	const char *optimizer, size_t steps, unsigned threads)
{
	const struct caption_trainer_options o = { .batch = 2,
		.optimizer = optimizer,
		.learning_rate = 0.01,
		.warmup_steps = 3,
		.total_steps = 20,
		.dropout_input = 0.2,
		.word_dropout = 0.2,
		.seed = 1 };
	struct caption_report r = { 0 };
	struct caption_trainer *t;
	struct team *team;
	struct error err;

	t = open_trainer(w, d, &o, threads, &team);
	if (!access(STATE, R_OK) && caption_trainer_load(t, STATE, &err) < 0)
		fail_msg("%s", err.message);
	step_to(t, steps, &r);
	assert_int_equal(caption_trainer_save(t, STATE, NULL, &err), 0);
	caption_trainer_close(t);
	team_close(team);
}

static void check_same(const struct captioner_weights *one,
	const struct captioner_weights *other)
{
	const struct parameters *p = &one->decoder.parameters;

	assert_memory_equal(p->data, other->decoder.parameters.data,
		p->count * sizeof(real));
	assert_memory_equal(one->condition, other->condition,
		4 * 24 * FEATURES * sizeof(real));
	if (one->sees)
		assert_memory_equal(one->cnn.data, other->cnn.data,
			one->cnn.count * sizeof(real));
}

/* Cut at each step in turn: within an epoch, and at its end. */
static void a_run_goes_on_to_the_bit(void **unused)
{
	static const char *const optimizers[] = { "adam", "sgd" };
	uint8_t pixels[PAIRS * PICTURE];
	float features[PAIRS * FEATURES];

	for (size_t i = 0; i < 4; i++) {
		for (size_t cut = 1; cut < 5; cut++) {
			const char *name = optimizers[i % 2];
			struct captioner_weights whole, parts;
			struct caption_data d;

			if (i < 2) {
				d = features_data(features);
				open_weights(&whole, "lstm", true);
				open_weights(&parts, "lstm", true);
			} else {
				d = open_pictures(&whole, pixels);
				open_pictures(&parts, pixels);
			}
			unlink(STATE);
			go_on(&whole, &d, name, 7, 1);
			unlink(STATE);
			go_on(&parts, &d, name, cut, 2);
			go_on(&parts, &d, name, 7, 1);
			check_same(&whole, &parts);
			captioner_weights_release(&whole);
			captioner_weights_release(&parts);
		}
	}
	unlink(STATE);
}

/* A trainer of fresh weights does not take STATE. */
static void refuses(struct captioner_weights *w, const struct caption_data *d,
	const struct caption_trainer_options *o, const char *why)
{
	struct caption_trainer *t;
	struct team *team;
	struct error err;

	t = open_trainer(w, d, o, 1, &team);
	assert_int_equal(caption_trainer_load(t, STATE, &err), -1);
	assert_error(err, ERROR_CORRUPT, why);
	caption_trainer_close(t);
	team_close(team);
}

static void another_runs_state_is_refused(void **unused)
{
	uint8_t pixels[PAIRS * PICTURE];
	float features[PAIRS * FEATURES];
	struct captioner_weights w, seeing, fresh;
	const struct caption_data d = features_data(features);
	const struct caption_data pictures = open_pictures(&seeing, pixels);
	struct caption_trainer_options o = {
		.batch = PAIRS, .optimizer = "sgd", .learning_rate = 0.01
	};
	unlink(STATE);
	open_weights(&w, "lstm", true);
	open_weights(&fresh, "lstm", true);
	assert_int_equal(caption_initialise(&fresh, &d, false, 3, NULL), 0);
	go_on(&w, &d, "sgd", 2, 1);
	/* Two of six have been read: no place for a batch of all. */
	refuses(&w, &d, &o,
		STATE ": caption 4 of epoch 0, expected at most 0: other "
		      "captions or another batch");
	check_same(&fresh, &w);
	o.batch = 2;
	o.optimizer = "adam";
	refuses(&w, &d, &o,
		STATE ": tensor decoder.moment.1 is missing: another "
		      "optimizer, or a CNN that trains on one side only");
	check_same(&fresh, &w);
	/* Three steps are an epoch: its place is one that pictures have. */
	unlink(STATE);
	go_on(&w, &d, "sgd", 3, 1);
	o.optimizer = "sgd";
	assert_int_equal(
		caption_initialise(&fresh, &pictures, false, 3, NULL), 0);
	refuses(&seeing, &pictures, &o,
		STATE ": tensor cnn is missing: another optimizer, or a CNN "
		      "that trains on one side only");
	check_same(&fresh, &seeing);
	captioner_weights_release(&w);
	captioner_weights_release(&fresh);
	captioner_weights_release(&seeing);
	unlink(STATE);
}

static void what_makes_no_sense_is_refused(void **unused)
{
	struct architecture a = { "gru", VOCAB, 8, 1, 4, false, BIAS_DOUBLE };
	struct captioner_weights w;
	struct caption_options o;
	struct checkpoint c;
	struct error err;

	assert_int_equal(captioner_weights_open(&w, &a, FEATURES, &err), -1);
	assert_error(err, ERROR_INVALID,
		"cell is 'gru', expected rnn or lstm for a captioner");
	caption_defaults(&o);
	o.n = 4;
	assert_int_equal(caption_check(&o, &err), -1);
	assert_error(err, ERROR_INVALID, "beam is 3, expected 4 to 64");
	o.beam = 0;
	o.max_length = 0;
	assert_int_equal(caption_check(&o, &err), -1);
	assert_error(err, ERROR_INVALID, "max_length is 0, expected 1 to 1000");
	open_weights(&w, "rnn", false);
	assert_int_equal(captioner_weights_save(&w, PATH, NULL), 0);
	assert_int_equal(checkpoint_load(&c, PATH, &err), -1);
	assert_error(err, ERROR_UNSUPPORTED,
		PATH ": holds a captioner, expected a text model");
	captioner_weights_release(&w);
	unlink(PATH);
	assert_int_equal(captioner_weights_load(&w,
				 "conf/models/shakespeare.safetensors", &err),
		-1);
	assert_error(err, ERROR_UNSUPPORTED,
		"conf/models/shakespeare.safetensors: holds a text model, "
		"expected a captioner");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captions_are_learnt_by_heart),
		cmocka_unit_test(hidden_words_are_not_read),
		cmocka_unit_test(bits_do_not_depend_on_threads),
		cmocka_unit_test(a_wide_beam_finds_the_best_sentence),
		cmocka_unit_test(draws_repeat_and_bans_hold),
		cmocka_unit_test(pixels_are_learnt),
		cmocka_unit_test(a_run_goes_on_to_the_bit),
		cmocka_unit_test(another_runs_state_is_refused),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
