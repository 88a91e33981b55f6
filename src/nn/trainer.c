#include "nn/trainer_internal.h"

#include "math/kernels.h"
#include "nn/update.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPERATIONS 6.0		 /* for each parameter and token, about */
#define MIN_FLOPS_PER_THREAD 5e7 /* a millisecond, barriers cost less */

int trainer_check_optimizer(const char *name, struct error *err)
{
	if (optimizer_find(name))
		return 0;
	return error_set_param(err, ERROR_INVALID, "optimizer",
		"optimizer is '%s', expected adagrad, rmsprop, adam, adamw or "
		"sgd",
		name);
}

unsigned trainer_threads(
	const struct parameters *p, size_t batch, size_t seq_length)
{
	const double work =
		OPERATIONS * (double)p->count * (double)(batch * seq_length);
	const double useful = work / MIN_FLOPS_PER_THREAD;
	unsigned all = team_default_size();

	if (batch < all)
		all = (unsigned)batch;
	if (useful < all)
		all = (unsigned)useful;
	return all ? all : 1;
}

uint64_t trainer_chunks(const struct streams *training, size_t seq_length)
{
	uint64_t chunks = (training->end - training->begin - 2) / seq_length;

	return chunks ? chunks : 1;
}

uint64_t trainer_last_step(uint64_t chunks, double epochs, uint64_t max_steps)
{
	uint64_t by_epochs = (uint64_t)ceil(epochs * (double)chunks);

	if (!max_steps)
		return by_epochs;
	return !by_epochs || max_steps < by_epochs ? max_steps : by_epochs;
}

static int check_options(const struct trainer_options *o, struct error *err)
{
	if (trainer_check_optimizer(o->optimizer, err) < 0)
		return -1;
	if (learning_rate_check(o->learning_rate, err) < 0)
		return -1;
	if (o->clip != CLIP_NONE && !(o->clip_threshold > 0))
		return error_set_param(err, ERROR_INVALID, "clip-threshold",
			"clip-threshold is %g, expected a number above 0",
			o->clip_threshold);
	if (!o->accumulate)
		return error_set_param(err, ERROR_INVALID, "accumulate",
			"accumulate is 0, expected 1 or more");
	return 0;
}

static int open_buffers(struct trainer *t, struct error *err)
{
	const size_t n = t->parameters->count;
	const size_t tokens = t->options.seq_length * t->streams.batch;

	if (parameters_open(&t->gradients, &t->parameters->arch, err) < 0)
		return -1;
	if (t->options.averaging > 0) {
		if (parameters_open(&t->average, &t->parameters->arch, err) < 0)
			return -1;
		memcpy(t->average.data, t->parameters->data, n * sizeof(real));
	}
	for (size_t i = 0; i < t->optimizer->moments; i++)
		if (!(t->moments[i] = kernels_alloc(n)))
			return error_set_memory(
				err, "moments", n * sizeof(real));
	t->inputs = calloc(2 * tokens, sizeof(*t->inputs));
	t->partial = calloc(norm_parts(n), sizeof(*t->partial));
	if (!t->inputs || !t->partial)
		return error_set_memory(
			err, "chunk", 2 * tokens * sizeof(*t->inputs));
	t->targets = t->inputs + tokens;
	return 0;
}

int trainer_open(struct trainer **out, struct parameters *p,
	const struct streams *training, const struct trainer_options *o,
	struct team *team, struct error *err)
{
	const struct network_options network = {
		.batch = training->batch,
		.seq_length = o->seq_length,
		.training = true,
		.dropout_input = o->dropout_input,
		.dropout_layers = o->dropout_layers,
		.dropout_output = o->dropout_output,
		.dropout_hidden = o->dropout_hidden,
		.seed = o->seed,
		.sampled_softmax = o->sampled_softmax,
		.logits_max = o->logits_max,
	};
	struct trainer *t;

	*out = NULL;
	if (check_options(o, err) < 0)
		return -1;
	t = calloc(1, sizeof(*t));
	if (!t)
		return error_set_memory(err, "trainer", sizeof(*t));
	t->parameters = p;
	t->options = *o;
	t->optimizer = optimizer_find(o->optimizer);
	t->streams = *training;
	t->team = team;
	t->position = training->begin;
	t->smooth_loss = log((double)p->arch.vocab);
	if (open_buffers(t, err) < 0 ||
		network_open(&t->network, p, &network, team, err) < 0) {
		trainer_close(t);
		return -1;
	}
	*out = t;
	return 0;
}

void trainer_close(struct trainer *t)
{
	if (!t)
		return;
	network_close(t->network);
	parameters_release(&t->gradients);
	parameters_release(&t->average);
	for (size_t i = 0; i < OPTIMIZER_MAX_MOMENTS; i++)
		free(t->moments[i]);
	free(t->inputs);
	free(t->partial);
	free(t);
}

size_t trainer_bytes(const struct trainer *t)
{
	size_t blocks = 2 + t->optimizer->moments + (t->average.data ? 1 : 0);

	return network_bytes(t->network) +
	       blocks * t->parameters->count * sizeof(real);
}

static double epoch_of(const struct trainer *t)
{
	size_t length = t->streams.end - t->streams.begin;

	return (double)t->wraps +
	       (double)(t->position - t->streams.begin) / (double)length;
}

static double learning_rate(const struct trainer *t)
{
	const struct trainer_options *o = &t->options;
	double rate = o->learning_rate;

	switch (o->schedule) {
	case SCHEDULE_CONSTANT:
		return rate;
	case SCHEDULE_EPOCH_DECAY:
		/* char-rnn: at the end of epoch e >= after, rate *= decay */
		if ((double)t->wraps >= o->schedule_after)
			rate *= pow(o->schedule_decay,
				(double)t->wraps - o->schedule_after + 1);
		return rate;
	case SCHEDULE_COSINE:
		break;
	}
	return cosine_at(&(struct cosine){ o->warmup_steps, o->total_steps,
				 o->final_rate },
		rate, t->step);
}

/* One step's work for all members. */
struct work {
	struct trainer *t;
	struct network_chunk chunk;
	struct optimizer_step update;
	bool accumulate, want_norm;
};

static void forward_backward(void *arg, unsigned member)
{
	struct work *w = arg;
	struct trainer *t = w->t;

	network_forward(t->network, &w->chunk, member);
	network_backward(
		t->network, &w->chunk, &t->gradients, w->accumulate, member);
	network_carry(t->network, &w->chunk, member);
	if (w->want_norm)
		norm_measure(t->gradients.data, t->gradients.count, t->partial,
			t->team, member);
}

/* average = d * average + (1 - d) * w, with a warm-up for the first steps */
static void average(struct trainer *t, size_t begin, size_t end)
{
	const double warm =
		(1 + (double)t->updates) / (10 + (double)t->updates);
	const real d = (real)fmin(t->options.averaging, warm);
	real *a = t->average.data;
	const real *w = t->parameters->data;

	for (size_t i = begin; i < end; i++)
		a[i] += (1 - d) * (w[i] - a[i]);
}

static void update(void *arg, unsigned member)
{
	struct work *w = arg;
	struct trainer *t = w->t;
	real *moments[OPTIMIZER_MAX_MOMENTS];
	size_t begin, end;

	team_share(t->team, member, t->parameters->count, 64, &begin, &end);
	for (size_t i = 0; i < OPTIMIZER_MAX_MOMENTS; i++)
		moments[i] = t->moments[i] ? t->moments[i] + begin : NULL;
	t->optimizer->update(&w->update, end - begin,
		t->parameters->data + begin, t->gradients.data + begin,
		moments);
	if (t->average.data)
		average(t, begin, end);
	team_barrier(t->team, member);
	network_refresh(t->network, t->updates, member);
}

/* Which tensor went wrong: the first that isn't finite. (A NaN's sign means
 * nothing.) */
static int diverged(const struct trainer *t, double loss, struct error *err)
{
	const struct parameters *blocks[] = { t->parameters, &t->gradients };
	static const char *const what[] = { "", "the gradient of " };
	char shown[32];

	if (isnan(loss))
		strcpy(shown, "NaN");
	else
		snprintf(shown, sizeof(shown), "%g", loss);

	for (size_t b = 0; b < 2; b++)
		for (size_t i = 0; i < blocks[b]->n_tensors; i++) {
			const struct tensor *at = &blocks[b]->tensors[i];
			const real *data = blocks[b]->data + at->offset;

			for (size_t j = 0; j < tensor_size(at); j++)
				if (!isfinite(data[j]))
					return error_set_param(err,
						ERROR_DIVERGED, at->name,
						"loss is %s at step %llu: "
						"%s%s is not finite; a smaller "
						"learning-rate or clip may "
						"help",
						shown,
						(unsigned long long)t->step + 1,
						what[b], at->name);
		}
	return error_set(err, ERROR_DIVERGED,
		"loss is %s at step %llu: the logits overflow; a smaller "
		"learning-rate or clip may help",
		shown, (unsigned long long)t->step + 1);
}

static void apply(struct work *w, struct trainer_report *r)
{
	struct trainer *t = w->t;
	const struct trainer_options *o = &t->options;
	const struct optimizer_ops *ops = t->optimizer;
	double scale = 1.0 / (double)o->accumulate;

	if (o->clip == CLIP_NORM)
		scale *= norm_scale(r->gradient_norm, o->clip_threshold);
	w->update = (struct optimizer_step){
		.learning_rate = (real)r->learning_rate,
		.gradient_scale = (real)scale,
		.clip = o->clip == CLIP_VALUE ? (real)o->clip_threshold : 0,
		.weight_decay = (real)o->weight_decay,
		.decay = (real)(isnan(o->decay) ? ops->decay : o->decay),
		.decay2 = (real)(isnan(o->decay2) ? ops->decay2 : o->decay2),
		.epsilon =
			(real)(isnan(o->epsilon) ? ops->epsilon : o->epsilon),
		.t = ++t->updates,
	};
	team_run(t->team, update, w);
}

/* To the next chunk; at the end of the data, to its start. */
static bool advance(struct trainer *t)
{
	const size_t s = t->options.seq_length;

	t->position += s;
	/* The lecture's condition, equality included. */
	if (t->position + s + 1 < t->streams.end)
		return false;
	t->position = t->streams.begin;
	t->wraps++;
	if (t->options.reset_at_end)
		network_reset(t->network);
	return true;
}

int trainer_step(struct trainer *t, bool want_norm, struct trainer_report *r,
	struct error *err)
{
	const struct trainer_options *o = &t->options;
	const size_t s = o->seq_length, b = t->streams.batch;
	const bool last = (t->step + 1) % o->accumulate == 0;
	struct work w = { .t = t,
		.accumulate = t->step % o->accumulate != 0,
		.want_norm = last && (want_norm || o->clip == CLIP_NORM) };

	streams_gather(&t->streams, t->position, s, t->inputs, t->targets);
	w.chunk = (struct network_chunk){ .inputs = t->inputs,
		.targets = t->targets,
		.steps = s,
		.loss_scale = (real)(1.0 / (o->loss_scale == LOSS_SUM
							   ? (double)b
							   : (double)(b * s))),
		.step = t->step };
	team_run(t->team, forward_backward, &w);
	r->loss = network_loss(t->network, &w.chunk) / (double)(b * s);
	if (!isfinite(r->loss))
		return diverged(t, r->loss, err);
	r->gradient_norm = NAN;
	if (w.want_norm)
		r->gradient_norm =
			sqrt(norm_add(0, t->partial, t->gradients.count)) /
			(double)o->accumulate;
	if (w.want_norm && !isfinite(r->gradient_norm))
		return diverged(t, r->loss, err);
	r->learning_rate = learning_rate(t);
	if (last)
		apply(&w, r);
	t->smooth_loss = 0.999 * t->smooth_loss + 0.001 * r->loss;
	t->step++;
	r->wrapped = advance(t);
	trainer_position(t, r);
	return 0;
}

void trainer_position(const struct trainer *t, struct trainer_report *r)
{
	r->step = t->step;
	r->tokens = t->step * t->options.seq_length * t->streams.batch;
	r->epoch = epoch_of(t);
	r->smooth_loss = t->smooth_loss;
}

const struct parameters *trainer_weights(const struct trainer *t)
{
	return t->average.data ? &t->average : t->parameters;
}

int trainer_row_state(const struct trainer *t, real *state, struct error *err)
{
	const struct architecture *a = &t->parameters->arch;
	const size_t count = network_state_count(t->network);
	const size_t plane = t->streams.batch * a->hidden;
	real *all = kernels_alloc(count);

	if (!all)
		return error_set_memory(err, "state", count * sizeof(real));
	network_get_state(t->network, all);
	for (size_t i = 0; i * plane < count; i++)
		memcpy(state + i * a->hidden, all + i * plane,
			a->hidden * sizeof(real));
	free(all);
	return 0;
}

uint32_t trainer_next_token(const struct trainer *t)
{
	return tokens_at(&t->streams.tokens, t->position);
}
