/* Only the engine thread that owns a lane touches it. */
#include "serve/engine_private.h"

#include <stdlib.h>
#include <string.h>

static void lane_close(struct engine_thread *t, struct lane *l)
{
	if (t->engine->crew)
		crew_settle(t->engine->crew, engine_member(t));
	if (l->sampler)
		sampler_close(l->sampler);
	if (l->scratch)
		model_scratch_close(l->scratch);
	free(l->logits);
	registry_unref(l->model);
	*l = (struct lane){ 0 };
}

static int lane_open(struct engine_thread *t, struct lane *l,
	struct registry_entry *model, struct error *err)
{
	size_t batch = t->engine->limits.batch;
	size_t bytes = batch * model->vocab * sizeof(real);

	*l = (struct lane){ .model = registry_ref(model) };
	l->logits = malloc(bytes);
	if (!l->logits) {
		error_set_memory(err, "logits", bytes);
		goto fail;
	}
	if (model_scratch_open(&l->scratch, model->model, batch, err) < 0 ||
		sampler_open(&l->sampler, model->vocab, err) < 0)
		goto fail;
	model_scratch_share(
		l->scratch, model->model, t->engine->crew, engine_member(t));
	return 0;
fail:
	lane_close(t, l);
	return -1;
}

int lane_find(struct engine_thread *t, struct registry_entry *model,
	size_t *index, struct error *err)
{
	size_t n = t->n_lanes, at = n;
	struct scheduler_lane *plans;
	struct lane *lanes;

	for (size_t i = 0; i < n; i++) {
		if (t->lanes[i].model == model) {
			*index = i;
			return 0;
		}
		if (!t->lanes[i].model)
			at = i;
	}
	if (at == n) {
		lanes = realloc(t->lanes, (n + 1) * sizeof(*lanes));
		if (!lanes)
			return error_set_memory(err, "lane", sizeof(*lanes));
		t->lanes = lanes;
		plans = realloc(t->plans, (n + 1) * sizeof(*plans));
		if (!plans)
			return error_set_memory(err, "lane", sizeof(*plans));
		t->plans = plans;
		t->plans[n] = (struct scheduler_lane){ 0 };
		t->lanes[n] = (struct lane){ 0 };
		t->n_lanes++;
	}
	*index = at;
	return lane_open(t, &t->lanes[at], model, err);
}

void lanes_trim(struct engine_thread *t, bool all)
{
	for (size_t i = 0; i < t->n_lanes; i++) {
		struct lane *l = &t->lanes[i];

		if (l->model && !l->sequences &&
			(all || registry_retired(l->model)))
			lane_close(t, l);
	}
}

/* Rows of the k-th model step of this step: who has a token left to feed. */
static size_t gather(
	struct engine_thread *t, struct lane *lane, size_t n_turns, size_t k)
{
	size_t n = 0;

	for (size_t i = 0; i < n_turns; i++) {
		struct sequence *s = t->active[t->turns[i].slot];

		if (t->turns[i].tokens <= k)
			continue;
		t->rows[n] = s;
		t->tokens[n] = s->state.pending;
		t->states[n] = s->state.hidden;
		t->logits[n] = sequence_prompt_left(s) && !sequence_scores(s)
				       ? NULL
				       : lane->logits + n * lane->model->vocab;
		n++;
	}
	return n;
}

static void start_generating(struct engine_thread *t, struct sequence *from)
{
	struct generate_request *r = from->request;

	if (!r->generating)
		r->generating = monotonic_ns();
	for (size_t i = 0; i < t->n_active && r->n > 1; i++) {
		struct sequence *s = t->active[i];

		if (s->request == r && !s->forked) {
			sequence_fork(s, from);
			sequence_settle(s);
		}
	}
	sequence_settle(from);
}

static void after_row(struct engine_thread *t, struct lane *lane, size_t row)
{
	struct sequence *s = t->rows[row];
	struct generate_request *r = s->request;
	struct error err = { 0 };

	t->clients.list[r->known].served++;
	if (sequence_prompt_left(s)) {
		if (t->logits[row])
			sequence_score(s, t->logits[row]);
		sequence_advance(s);
		if (!r->replaying && !sequence_prompt_left(s))
			start_generating(t, s);
		return;
	}
	if (sequence_draw(s, lane->sampler, t->logits[row], &err) < 0) {
		r->result.error = err;
		r->commits = false;
		s->done = true;
	}
	r->result.usage.completion_tokens++;
}

static void count(struct engine *e, size_t rows, size_t drawn)
{
	atomic_fetch_add(&e->steps, 1);
	atomic_fetch_add(&e->n_rows, rows);
	atomic_fetch_add(&e->generated_tokens, drawn);
	atomic_fetch_add(&e->prompt_tokens, rows - drawn);
	metrics_observe(e->metrics, BATCH_SIZE, 0, (double)rows);
}

void lane_step(struct engine_thread *t, struct lane *lane, size_t n_turns)
{
	size_t n, drawn;

	for (size_t k = 0; (n = gather(t, lane, n_turns, k)) > 0; k++) {
		/* Somebody came in, or leaves: the rest of the chunk waits. */
		if (k && atomic_load_explicit(&t->kicked, memory_order_relaxed))
			break;
		model_step(lane->model->model, lane->scratch, n, t->tokens,
			t->states, t->logits);
		drawn = 0;
		for (size_t i = 0; i < n; i++) {
			drawn += !sequence_prompt_left(t->rows[i]);
			after_row(t, lane, i);
		}
		count(t->engine, n, drawn);
	}
	for (size_t i = 0; i < n_turns; i++)
		engine_publish_new(t, t->active[t->turns[i].slot]->request);
}
