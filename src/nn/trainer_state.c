/* All that the next step depends on, as one safetensors file. */
#include "nn/trainer_internal.h"

#include "math/kernels.h"
#include "nn/state_entries.h"

#include <math.h>
#include <stdlib.h>

#define MAX_ENTRIES (6 + OPTIMIZER_MAX_MOMENTS)
#define HINT                                                           \
	"another optimizer, or averaging or accumulation on one side " \
	"only"

struct counters {
	uint64_t step, updates, wraps, position;
};

/* The blocks of reals, to be written from or read into. */
static size_t blocks(
	const struct trainer *t, real *state, struct safetensors_entry *entries)
{
	static const char *const moment_names[OPTIMIZER_MAX_MOMENTS] = {
		"moment.0", "moment.1"
	};
	const size_t count = t->parameters->count;
	size_t n = 0;

	state_entry(entries, &n, "parameters", STATE_REAL, t->parameters->data,
		count);
	if (t->average.data)
		state_entry(entries, &n, "average", STATE_REAL, t->average.data,
			count);
	for (size_t i = 0;
		i < t->optimizer->moments && i < OPTIMIZER_MAX_MOMENTS; i++)
		state_entry(entries, &n, moment_names[i], STATE_REAL,
			t->moments[i], count);
	/* A run may stop between two chunks of one update. */
	if (t->options.accumulate > 1)
		state_entry(entries, &n, "gradients", STATE_REAL,
			t->gradients.data, count);
	state_entry(entries, &n, "states", STATE_REAL, state,
		network_state_count(t->network));
	return n;
}

/* The last update may have gone wrong, which the next loss would show. */
static int check_finite(const struct trainer *t, struct error *err)
{
	const struct parameters *p = t->parameters;

	for (size_t i = 0; i < p->n_tensors; i++)
		for (size_t j = 0; j < tensor_size(&p->tensors[i]); j++)
			if (!isfinite(p->data[p->tensors[i].offset + j]))
				return error_set_param(err, ERROR_DIVERGED,
					p->tensors[i].name,
					"%s is not finite after step %llu; a "
					"smaller learning-rate or clip may "
					"help",
					p->tensors[i].name,
					(unsigned long long)t->step);
	return 0;
}

int trainer_save(const struct trainer *t, const char *path,
	const json_t *metadata, struct error *err)
{
	const struct counters counters = { t->step, t->updates, t->wraps,
		t->position };
	struct safetensors_entry entries[MAX_ENTRIES];
	real *state;
	size_t n = 0;
	int rc;

	if (check_finite(t, err) < 0)
		return -1;
	state = kernels_alloc(network_state_count(t->network));
	if (!state)
		return error_set_memory(err, "states",
			network_state_count(t->network) * sizeof(real));
	network_get_state(t->network, state);
	/* Wider types first. */
	state_entry(entries, &n, "counters", SAFETENSORS_U64, &counters,
		sizeof(counters) / sizeof(uint64_t));
	state_entry(entries, &n, "smooth_loss", SAFETENSORS_F64,
		&t->smooth_loss, 1);
	n += blocks(t, state, entries + n);
	rc = safetensors_write(path, metadata, entries, n, err);
	free(state);
	return rc;
}

static int restore(struct trainer *t, const struct safetensors *file,
	const char *path, real *state, struct error *err)
{
	struct safetensors_entry entries[MAX_ENTRIES];
	struct counters counters = { 0 };
	double smooth_loss = 0;
	size_t n = 0, fixed;

	state_entry(entries, &n, "counters", SAFETENSORS_U64, &counters,
		sizeof(counters) / sizeof(uint64_t));
	state_entry(
		entries, &n, "smooth_loss", SAFETENSORS_F64, &smooth_loss, 1);
	fixed = n;
	n += blocks(t, state, entries + n);
	if (state_restore(file, path, entries, fixed, HINT, err) < 0)
		return -1;
	if (counters.position < t->streams.begin ||
		counters.position > t->streams.end - t->options.seq_length - 1)
		return error_set_param(err, ERROR_CORRUPT, "position",
			"%s: position %llu of the streams, expected at most "
			"%zu: another text, batch or seq-length",
			path, (unsigned long long)counters.position,
			t->streams.end - t->options.seq_length - 1);
	if (state_restore(file, path, entries + fixed, n - fixed, HINT, err) <
		0)
		return -1;
	t->step = counters.step;
	t->updates = counters.updates;
	t->wraps = counters.wraps;
	t->position = counters.position;
	t->smooth_loss = smooth_loss;
	return 0;
}

static void refresh(void *arg, unsigned member)
{
	struct trainer *t = arg;

	network_refresh(t->network, t->updates, member);
}

int trainer_load(struct trainer *t, const char *path, struct error *err)
{
	struct safetensors file;
	real *state;
	int rc;

	if (safetensors_open(&file, path, err) < 0)
		return -1;
	state = kernels_alloc(network_state_count(t->network));
	rc = state ? restore(t, &file, path, state, err)
		   : error_set_memory(err, "states",
			     network_state_count(t->network) * sizeof(real));
	if (rc == 0) {
		network_set_state(t->network, state);
		team_run(t->team, refresh, t);
	}
	free(state);
	safetensors_close(&file);
	return rc;
}
