/* All that the next step depends on, as one safetensors file. */
#include "nn/caption_trainer_private.h"

#include "nn/state_entries.h"

#include <stdio.h>

#define FIXED 2 /* counters, smooth_loss */
#define NAME_SIZE 32
#define MAX_ENTRIES (FIXED + CAPTION_BLOCKS * (1 + OPTIMIZER_MAX_MOMENTS))
#define HINT "another optimizer, or a CNN that trains on one side only"

struct counters {
	uint64_t step, epoch, position;
};

struct state {
	struct counters counters;
	double smooth_loss;
	struct safetensors_entry entries[MAX_ENTRIES];
	char names[MAX_ENTRIES][NAME_SIZE];
	size_t n;
};

/* The blocks as caption_trainer_open orders them; of the CNN its running
 * statistics, too, which no optimizer has moments of. */
static void list(const struct caption_trainer *t, struct state *s)
{
	static const char *const names[CAPTION_BLOCKS] = { "decoder",
		"condition", "cnn" };

	s->n = 0;
	state_entry(s->entries, &s->n, "counters", SAFETENSORS_U64,
		&s->counters, sizeof(s->counters) / sizeof(uint64_t));
	state_entry(s->entries, &s->n, "smooth_loss", SAFETENSORS_F64,
		&s->smooth_loss, 1);
	for (size_t i = 0; i < t->n_blocks && i < CAPTION_BLOCKS; i++) {
		const struct block *b = &t->blocks[i];
		const bool cnn = b->w == t->w->cnn.data;

		state_entry(s->entries, &s->n, names[i], STATE_REAL, b->w,
			cnn ? t->w->cnn.count : b->n);
		for (size_t m = 0; m < t->optimizer->moments; m++) {
			snprintf(s->names[s->n], NAME_SIZE, "%s.moment.%zu",
				names[i], m);
			state_entry(s->entries, &s->n, s->names[s->n],
				STATE_REAL, b->moments[m], b->n);
		}
	}
}

int caption_trainer_save(const struct caption_trainer *t, const char *path,
	const json_t *metadata, struct error *err)
{
	struct state s = { .counters = { t->step, t->epoch, t->position },
		.smooth_loss = t->smooth_loss };

	list(t, &s);
	return safetensors_write(path, metadata, s.entries, s.n, err);
}

static int restore(struct caption_trainer *t, const struct safetensors *file,
	const char *path, struct error *err)
{
	struct state s = { 0 };
	const struct counters *c = &s.counters;

	list(t, &s);
	if (state_restore(file, path, s.entries, FIXED, HINT, err) < 0)
		return -1;
	if (c->position > t->d->n - t->batch || c->epoch > UINT32_MAX)
		return error_set_param(err, ERROR_CORRUPT, "counters",
			"%s: caption %llu of epoch %llu, expected at most "
			"%zu: other captions or another batch",
			path, (unsigned long long)c->position,
			(unsigned long long)c->epoch, t->d->n - t->batch);
	if (state_restore(
		    file, path, s.entries + FIXED, s.n - FIXED, HINT, err) < 0)
		return -1;
	caption_trainer_shuffle(t, c->epoch);
	t->position = (size_t)c->position;
	t->step = c->step;
	t->smooth_loss = s.smooth_loss;
	return 0;
}

static void refresh(void *arg, unsigned member)
{
	caption_trainer_refresh(arg, member);
}

int caption_trainer_load(
	struct caption_trainer *t, const char *path, struct error *err)
{
	struct safetensors file;
	int rc;

	if (safetensors_open(&file, path, err) < 0)
		return -1;
	rc = restore(t, &file, path, err);
	safetensors_close(&file);
	if (rc == 0)
		team_run(t->team, refresh, t);
	return rc;
}
