#include "math/kernels.h"
#include "nn/network.h"
#include "nn/trainer.h"

#include <math.h>
#include <stdlib.h>

#define CHUNK 256 /* steps at a time: only memory depends on it */

struct evaluation {
	struct team *team; /* borrowed */
	struct network *network;
	struct network_chunk chunk;
	struct streams streams;
	uint32_t *buffer; /* [2][chunk, batch] inputs, targets */
	size_t steps, length, skip, at;
	double sum; /* nats of what was scored */
};

static void forward(void *arg, unsigned member)
{
	struct evaluation *e = arg;

	network_forward(e->network, &e->chunk, member);
	network_carry(e->network, &e->chunk, member);
}

/* The chunk's losses from the skipped predictions on. */
static double scored(const struct evaluation *e)
{
	struct network_chunk part = e->chunk;
	double all = network_loss(e->network, &e->chunk);

	if (e->at >= e->skip)
		return all;
	part.steps =
		e->skip - e->at < part.steps ? e->skip - e->at : part.steps;
	return all - network_loss(e->network, &part);
}

int evaluation_open(struct evaluation **out, const struct parameters *p,
	const struct streams *s, size_t skip, struct team *team,
	struct error *err)
{
	const size_t steps = streams_steps(s);
	struct network_options o = { .batch = s->batch,
		.seq_length = steps < CHUNK ? steps : CHUNK };
	struct evaluation *e;

	*out = NULL;
	if (steps <= skip)
		return error_set(err, ERROR_INVALID,
			"nothing to evaluate: %zu tokens for each of %zu rows, "
			"expected %zu or more",
			s->end - s->begin, s->batch, skip + 2);
	e = calloc(1, sizeof(*e));
	if (!e)
		return error_set_memory(err, "evaluation", sizeof(*e));
	*e = (struct evaluation){ .team = team,
		.streams = *s,
		.steps = steps,
		.length = o.seq_length,
		.skip = skip };
	e->buffer = calloc(2 * e->length * s->batch, sizeof(*e->buffer));
	if (!e->buffer)
		error_set_memory(err, "chunk", 2 * e->length * s->batch * 4);
	if (!e->buffer || network_open(&e->network, p, &o, team, err) < 0) {
		evaluation_close(e);
		return -1;
	}
	e->chunk.inputs = e->buffer;
	e->chunk.targets = e->buffer + e->length * s->batch;
	*out = e;
	return 0;
}

bool evaluation_step(struct evaluation *e)
{
	const struct streams *s = &e->streams;
	const size_t left = e->steps - e->at;

	if (!left)
		return true;
	e->chunk.steps = left < e->length ? left : e->length;
	streams_gather(s, s->begin + e->at, e->chunk.steps, e->buffer,
		e->buffer + e->length * s->batch);
	team_run(e->team, forward, e);
	e->sum += scored(e);
	e->at += e->chunk.steps;
	return e->at == e->steps;
}

double evaluation_result(const struct evaluation *e, uint64_t *tokens)
{
	const size_t n = (e->at - e->skip) * e->streams.batch;

	if (tokens)
		*tokens = n;
	return e->sum / (double)n;
}

void evaluation_close(struct evaluation *e)
{
	if (!e)
		return;
	network_close(e->network);
	free(e->buffer);
	free(e);
}

int trainer_evaluate(const struct parameters *p, const struct streams *s,
	size_t skip, struct team *team, double *nats, uint64_t *tokens,
	struct error *err)
{
	struct evaluation *e;

	if (evaluation_open(&e, p, s, skip, team, err) < 0)
		return -1;
	while (!evaluation_step(e))
		;
	*nats = evaluation_result(e, tokens);
	evaluation_close(e);
	return 0;
}
