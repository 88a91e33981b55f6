#include "math/kernels.h"
#include "nn/network.h"
#include "nn/trainer.h"

#include <math.h>
#include <stdlib.h>

#define CHUNK 256 /* steps at a time: only memory depends on it */

struct work {
	struct network *network;
	struct network_chunk chunk;
};

static void forward(void *arg, unsigned member)
{
	struct work *w = arg;

	network_forward(w->network, &w->chunk, member);
	network_carry(w->network, &w->chunk, member);
}

/* The chunk's losses from the skipped predictions on. */
static double scored(const struct work *w, size_t at, size_t skip)
{
	struct network_chunk part = w->chunk;
	double all = network_loss(w->network, &w->chunk);

	if (at >= skip)
		return all;
	part.steps = skip - at < part.steps ? skip - at : part.steps;
	return all - network_loss(w->network, &part);
}

int trainer_evaluate(const struct parameters *p, const struct streams *s,
	size_t skip, struct team *team, double *nats, uint64_t *tokens,
	struct error *err)
{
	const size_t steps = streams_steps(s);
	const size_t chunk = steps < CHUNK ? steps : CHUNK;
	struct network_options o = { .batch = s->batch, .seq_length = chunk };
	uint32_t *buffer = NULL;
	struct work w = { 0 };
	double sum = 0;
	int rc = -1;

	if (steps <= skip)
		return error_set(err, ERROR_INVALID,
			"nothing to evaluate: %zu tokens for each of %zu rows, "
			"expected %zu or more",
			s->end - s->begin, s->batch, skip + 2);
	buffer = calloc(2 * chunk * s->batch, sizeof(*buffer));
	if (!buffer) {
		error_set_memory(err, "chunk", 2 * chunk * s->batch * 4);
		goto out;
	}
	if (network_open(&w.network, p, &o, team, err) < 0)
		goto out;
	w.chunk.inputs = buffer;
	w.chunk.targets = buffer + chunk * s->batch;
	for (size_t at = 0; at < steps; at += w.chunk.steps) {
		w.chunk.steps = steps - at < chunk ? steps - at : chunk;
		streams_gather(s, s->begin + at, w.chunk.steps, buffer,
			buffer + chunk * s->batch);
		team_run(team, forward, &w);
		sum += scored(&w, at, skip);
	}
	*nats = sum / (double)((steps - skip) * s->batch);
	if (tokens)
		*tokens = (steps - skip) * s->batch;
	rc = 0;
out:
	network_close(w.network);
	free(buffer);
	return rc;
}
