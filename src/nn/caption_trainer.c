/* See nn/caption_trainer.h. One step: pictures to v, v to the gates, captions
 * forward and back, and the same way back to the pixels. */
#include "nn/caption_trainer_private.h"

#include "base/rng.h"
#include "nn/cell.h"
#include "nn/trainer.h"
#include "nn/update.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_UNIT 24

static size_t length_of(const struct caption_data *d, size_t pair)
{
	return d->starts[pair + 1] - d->starts[pair];
}

static int check(const struct captioner_weights *w,
	const struct caption_data *d, const struct caption_trainer_options *o,
	struct error *err)
{
	if (trainer_check_optimizer(o->optimizer, err) < 0)
		return -1;
	if (!d->n || !o->batch)
		return error_set(err, ERROR_INVALID,
			"%zu captions in batches of %zu, expected at least one "
			"of each",
			d->n, o->batch);
	if (learning_rate_check(o->learning_rate, err) < 0)
		return -1;
	if (!d->features == !d->pixels || (d->pixels && !w->sees))
		return error_set(err, ERROR_INVALID,
			"expected features, or pixels and a CNN that sees "
			"them");
	for (size_t i = 0; i < d->starts[d->n]; i++)
		if (d->tokens[i] >= w->decoder.parameters.arch.vocab)
			return error_set(err, ERROR_INVALID,
				"token %zu is %u, expected less than %zu", i,
				d->tokens[i], w->decoder.parameters.arch.vocab);
	return 0;
}

int caption_initialise(struct captioner_weights *w,
	const struct caption_data *data, bool cnn, uint64_t seed,
	struct error *err)
{
	struct parameters *p = &w->decoder.parameters;
	const struct tensor *bias = parameters_find(p, "output.bias");
	const size_t vocab = p->arch.vocab, total = data->starts[data->n];
	const size_t n = cell_find(p->arch.cell)->gates * p->arch.hidden;
	const double bound = 1 / sqrt((double)w->features);
	double *counts = calloc(vocab, sizeof(*counts));

	if (!counts)
		return error_set_memory(err, "counts", vocab * sizeof(*counts));
	trainer_initialise(p, INIT_PYTORCH, 0, 1, seed);
	for (size_t i = 0; i < n * w->features; i++) {
		struct philox v = rng_block(seed, RNG_INIT, 1u << 17, i);

		w->condition[i] =
			(real)((2 * rng_double(v.v[0], v.v[1]) - 1) * bound);
	}
	counts[CAPTION_END] = (double)data->n;
	for (size_t i = 0; i < total; i++)
		counts[data->tokens[i]]++;
	for (size_t i = 0; i < vocab; i++)
		p->data[bias->offset + i] = (real)log(
			(counts[i] + 1) / (double)(total + data->n + vocab));
	free(counts);
	if (cnn)
		cnn_weights_initialise(&w->cnn, seed);
	return 0;
}

static int reals(real **out, size_t n, struct error *err)
{
	*out = kernels_alloc(n);
	return *out ? 0
		    : error_set_memory(
			      err, "captions' batch", n * sizeof(real));
}

static int add_block(struct caption_trainer *t, real *w, real *g, size_t n,
	struct error *err)
{
	struct block *b = &t->blocks[t->n_blocks++];

	*b = (struct block){ .w = w, .g = g, .n = n };
	b->partial = calloc(norm_parts(n), sizeof(*b->partial));
	if (!b->partial)
		return error_set_memory(err, "norm", norm_parts(n));
	for (size_t i = 0; i < t->optimizer->moments; i++)
		if (reals(&b->moments[i], n, err) < 0)
			return -1;
	return 0;
}

static int open_blocks(struct caption_trainer *t, struct error *err)
{
	struct captioner_weights *w = t->w;
	const size_t condition = t->width * w->features;

	if (parameters_open(&t->grads, &w->decoder.parameters.arch, err) < 0 ||
		reals(&t->condition_grads, condition, err) < 0 ||
		add_block(t, w->decoder.parameters.data, t->grads.data,
			t->grads.count, err) < 0 ||
		add_block(t, w->condition, t->condition_grads, condition, err) <
			0)
		return -1;
	if (!t->d->pixels)
		return 0;
	if (cnn_weights_open(&t->cnn_grads, &w->cnn.config, err) < 0)
		return -1;
	return add_block(
		t, w->cnn.data, t->cnn_grads.data, w->cnn.trained, err);
}

static int open_batch(struct caption_trainer *t, struct error *err)
{
	const size_t b = t->batch, features = t->w->features;
	const size_t side = t->d->pixels ? t->w->form.crop : 0;
	const size_t work = kernels_outer_work(features);

	for (size_t i = 0; i < t->d->n; i++)
		if (length_of(t->d, i) + 1 > t->longest)
			t->longest = length_of(t->d, i) + 1;
	t->inputs = calloc(2 * t->longest * b, sizeof(*t->inputs));
	t->order = calloc(t->d->n, sizeof(*t->order));
	if (!t->inputs || !t->order)
		return error_set_memory(err, "captions' batch",
			(2 * t->longest * b + t->d->n) * sizeof(*t->inputs));
	t->targets = t->inputs + t->longest * b;
	if (reals(&t->images, b * side * side * 3, err) < 0 ||
		reals(&t->v, b * features, err) < 0 ||
		reals(&t->d_v, b * features, err) < 0 ||
		reals(&t->gates, b * t->width, err) < 0 ||
		reals(&t->d_gates, b * t->width, err) < 0 ||
		reals(&t->work, team_size(t->team) * work, err) < 0)
		return -1;
	return 0;
}

static void pack_condition(struct caption_trainer *t, unsigned member)
{
	size_t begin, end;

	team_share(t->team, member, t->condition.panels, 1, &begin, &end);
	kernels()->pack(&t->condition, t->w->condition, t->w->features, true,
		begin, end);
	team_share(t->team, member, t->condition_back.panels, 1, &begin, &end);
	kernels()->pack(&t->condition_back, t->w->condition, t->w->features,
		false, begin, end);
}

static void pack_member(void *arg, unsigned member)
{
	pack_condition(arg, member);
}

static int open_parts(struct caption_trainer *t, struct error *err)
{
	const struct network_options network = { .batch = t->batch,
		.seq_length = t->longest,
		.training = true,
		.dropout_input = t->o.dropout_input,
		.dropout_output = t->o.dropout_output,
		.seed = t->o.seed };

	if (packed_open(&t->condition, WEIGHTS_F32, t->w->features, t->width,
		    err) < 0 ||
		packed_open(&t->condition_back, WEIGHTS_F32, t->width,
			t->w->features, err) < 0 ||
		network_open(&t->network, &t->w->decoder.parameters, &network,
			t->team, err) < 0)
		return -1;
	team_run(t->team, pack_member, t);
	if (!t->d->pixels)
		return 0;
	return cnn_open(&t->cnn, &t->w->cnn, t->batch, true, t->team, err);
}

/* Fisher and Yates's shuffle. */
void caption_trainer_shuffle(struct caption_trainer *t, uint64_t epoch)
{
	for (size_t i = 0; i < t->d->n; i++)
		t->order[i] = (uint32_t)i;
	for (size_t i = t->d->n; i-- > 1;) {
		struct philox v =
			rng_block(t->o.seed, RNG_SEED, (uint32_t)epoch, i);
		size_t other =
			(size_t)(rng_double(v.v[0], v.v[1]) * (double)(i + 1));
		uint32_t keep = t->order[i];

		t->order[i] = t->order[other];
		t->order[other] = keep;
	}
	t->epoch = epoch;
	t->position = 0;
}

int caption_trainer_open(struct caption_trainer **out,
	struct captioner_weights *w, const struct caption_data *data,
	const struct caption_trainer_options *o, struct team *team,
	struct error *err)
{
	struct caption_trainer *t;

	*out = NULL;
	if (check(w, data, o, err) < 0)
		return -1;
	t = calloc(1, sizeof(*t));
	if (!t)
		return error_set_memory(err, "trainer", sizeof(*t));
	t->w = w;
	t->d = data;
	t->o = *o;
	t->optimizer = optimizer_find(o->optimizer);
	t->team = team;
	t->batch = o->batch < data->n ? o->batch : data->n;
	t->width = cell_find(w->decoder.parameters.arch.cell)->gates *
		   w->decoder.parameters.arch.hidden;
	t->smooth_loss = log((double)w->decoder.parameters.arch.vocab);
	if (open_blocks(t, err) < 0 || open_batch(t, err) < 0 ||
		open_parts(t, err) < 0) {
		caption_trainer_close(t);
		return -1;
	}
	caption_trainer_shuffle(t, 0);
	*out = t;
	return 0;
}

void caption_trainer_close(struct caption_trainer *t)
{
	if (!t)
		return;
	network_close(t->network);
	cnn_close(t->cnn);
	for (size_t i = 0; i < t->n_blocks; i++) {
		free(t->blocks[i].partial);
		for (size_t m = 0; m < OPTIMIZER_MAX_MOMENTS; m++)
			free(t->blocks[i].moments[m]);
	}
	parameters_release(&t->grads);
	cnn_weights_release(&t->cnn_grads);
	packed_release(&t->condition);
	packed_release(&t->condition_back);
	free(t->condition_grads);
	free(t->images);
	free(t->v);
	free(t->d_v);
	free(t->gates);
	free(t->d_gates);
	free(t->work);
	free(t->inputs);
	free(t->order);
	free(t);
}

/* Whether the word at place s of row i is read as START instead. */
static bool is_dropped(const struct caption_trainer *t, size_t i, size_t s)
{
	const double rate = t->o.word_dropout;
	struct philox v;

	if (!(rate > 0))
		return false;
	v = rng_block(
		t->o.seed, RNG_WORDS, (uint32_t)i, t->step * t->longest + s);
	return rng_double(v.v[0], v.v[1]) < rate;
}

/* Captions of the next pairs, time-major: START first, END last, then nothing
 * that counts. */
static void gather_captions(struct caption_trainer *t)
{
	const struct caption_data *d = t->d;
	const size_t b = t->batch;
	size_t steps = 0;

	t->counted = 0;
	for (size_t i = 0; i < b; i++) {
		size_t pair = t->order[t->position + i];
		size_t n = length_of(d, pair);
		const uint32_t *tokens = d->tokens + d->starts[pair];

		for (size_t s = 0; s < t->longest; s++) {
			t->inputs[s * b + i] =
				s && s <= n && !is_dropped(t, i, s)
					? tokens[s - 1]
					: CAPTION_END;
			t->targets[s * b + i] =
				s < n ? tokens[s]
				      : (s == n ? CAPTION_END : NETWORK_MASKED);
		}
		t->counted += n + 1;
		steps = n + 1 > steps ? n + 1 : steps;
	}
	t->chunk = (struct network_chunk){ .inputs = t->inputs,
		.targets = t->targets,
		.steps = steps,
		.loss_scale = (real)(1 / (double)t->counted),
		.step = t->step,
		.condition = t->gates,
		.condition_always = t->w->always,
		.d_condition = t->d_gates };
}

static void gather_pictures(struct caption_trainer *t, unsigned member)
{
	const struct caption_data *d = t->d;
	const size_t side = t->w->form.crop, features = t->w->features;
	size_t at, end;

	team_share(t->team, member, t->batch, 1, &at, &end);
	for (; at < end; at++) {
		size_t image = d->image[t->order[t->position + at]];
		struct image fitted = { side, side, (uint8_t *)d->pixels };

		if (fitted.rgb) {
			fitted.rgb += image * side * side * 3;
			image_normalise(&fitted, &t->w->form,
				t->images + at * side * side * 3);
		}
		for (size_t k = 0; d->features && k < features; k++)
			t->v[at * features + k] =
				(real)d->features[image * features + k];
	}
	team_barrier(t->team, member);
}

static void product(const struct caption_trainer *t, const struct packed *w,
	const real *x, real *y, unsigned member)
{
	size_t begin, end;

	team_share(t->team, member, w->panels, 1, &begin, &end);
	if (begin < end)
		kernels()->product(&(struct product){ .w = w,
					   .m = t->batch,
					   .x = x,
					   .ldx = w->k,
					   .y = y,
					   .ldy = w->n,
					   .init = PRODUCT_ZERO },
			begin, end);
	team_barrier(t->team, member);
}

static void forward_backward(void *arg, unsigned member)
{
	struct caption_trainer *t = arg;
	const size_t features = t->w->features;
	size_t begin, end;

	gather_pictures(t, member);
	if (t->cnn)
		cnn_forward(
			t->cnn, t->images, t->batch, t->v, &t->w->cnn, member);
	product(t, &t->condition, t->v, t->gates, member);
	network_forward(t->network, &t->chunk, member);
	network_backward(t->network, &t->chunk, &t->grads, false, member);
	team_share(t->team, member, t->width, OUTPUT_UNIT, &begin, &end);
	if (begin < end)
		kernels()->outer(t->batch, t->d_gates, t->width, begin, end,
			t->v, features, features, t->condition_grads, features,
			false, t->work + member * kernels_outer_work(features));
	if (t->cnn) {
		product(t, &t->condition_back, t->d_gates, t->d_v, member);
		cnn_backward(t->cnn, t->d_v, &t->cnn_grads, member);
	}
	team_barrier(t->team, member);
	for (size_t i = 0; i < t->n_blocks; i++)
		norm_measure(t->blocks[i].g, t->blocks[i].n,
			t->blocks[i].partial, t->team, member);
}

void caption_trainer_refresh(struct caption_trainer *t, unsigned member)
{
	pack_condition(t, member);
	network_refresh(t->network, t->step, member);
	if (t->cnn)
		cnn_refresh(t->cnn, member);
}

static void update(void *arg, unsigned member)
{
	struct caption_trainer *t = arg;

	for (size_t i = 0; i < t->n_blocks; i++) {
		const struct block *b = &t->blocks[i];
		real *moments[OPTIMIZER_MAX_MOMENTS] = { NULL };
		size_t begin, end;

		team_share(t->team, member, b->n, 64, &begin, &end);
		for (size_t m = 0; m < t->optimizer->moments; m++)
			moments[m] = b->moments[m] + begin;
		t->optimizer->update(&t->update, end - begin, b->w + begin,
			b->g + begin, moments);
	}
	team_barrier(t->team, member);
	caption_trainer_refresh(t, member);
}

static double norm(const struct caption_trainer *t)
{
	double sum = 0;

	for (size_t i = 0; i < t->n_blocks; i++)
		sum = norm_add(sum, t->blocks[i].partial, t->blocks[i].n);
	return sqrt(sum);
}

int caption_trainer_step(
	struct caption_trainer *t, struct caption_report *r, struct error *err)
{
	const struct optimizer_ops *ops = t->optimizer;
	double scale = 1;

	gather_captions(t);
	network_reset(t->network);
	team_run(t->team, forward_backward, t);
	r->loss = network_loss(t->network, &t->chunk) / (double)t->counted;
	r->gradient_norm = norm(t);
	if (!isfinite(r->loss) || !isfinite(r->gradient_norm))
		return error_set(err, ERROR_DIVERGED,
			"loss is %g and the gradient's norm %g at step %llu; a "
			"smaller learning-rate or clip-norm may help",
			r->loss, r->gradient_norm,
			(unsigned long long)t->step + 1);
	if (t->o.clip_norm > 0)
		scale = norm_scale(r->gradient_norm, t->o.clip_norm);
	r->learning_rate = cosine_at(
		&(struct cosine){ t->o.warmup_steps, t->o.total_steps, 0 },
		t->o.learning_rate, t->step);
	t->update = (struct optimizer_step){
		.learning_rate = (real)r->learning_rate,
		.gradient_scale = (real)scale,
		.weight_decay = (real)t->o.weight_decay,
		.decay = (real)ops->decay,
		.decay2 = (real)ops->decay2,
		.epsilon = (real)ops->epsilon,
		.t = ++t->step,
	};
	team_run(t->team, update, t);
	t->smooth_loss = 0.98 * t->smooth_loss + 0.02 * r->loss;
	t->position += t->batch;
	if (t->position + t->batch > t->d->n)
		caption_trainer_shuffle(t, t->epoch + 1);
	caption_trainer_position(t, r);
	return 0;
}

void caption_trainer_position(
	const struct caption_trainer *t, struct caption_report *r)
{
	r->step = t->step;
	r->smooth_loss = t->smooth_loss;
	r->epoch = (double)t->epoch + (double)t->position / (double)t->d->n;
}
