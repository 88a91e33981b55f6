/*
 * How requests of many clients share an engine: what the scheduler decides is
 * what happens, counted in model steps, and never changes a text.
 *
 * Where steps are counted the reader runs on the engine's only thread: it is
 * called between two rounds, so that nothing moves while it looks.
 */
#include "serve/fixture.h"

#include <sched.h>

/* --- counted on the engine's thread ------------------------------------ */

struct inside {
	struct fixture *f;
	void (*read)(struct generate_request *r, void *inside);
	void (*look)(struct inside *in); /* then; or NULL */
	struct generate_request *big, *mine;
	struct registry_entry *model; /* of mine */
	uint64_t from, steps;	      /* model steps, at both ends */
	uint64_t window;	      /* model steps to count tokens in */
	struct stream *streams;
	size_t n, begun, left;
	bool over; /* under the fixture's lock */
};

static uint64_t steps_of(const struct inside *in)
{
	struct engine_stats stats;

	engine_stats(in->f->engine, &stats);
	return stats.steps;
}

static void on_engine_thread(void *arg)
{
	struct inside *in = arg;

	engine_poll(in->f->engine, in->read, in);
	if (in->look)
		in->look(in);
	pthread_mutex_lock(&in->f->lock);
	in->over = !in->left;
	pthread_mutex_unlock(&in->f->lock);
	fixture_wake(in->f);
}

/* The fixture's own engine makes way for one that calls `read`. */
static void inside_init(struct inside *in, struct fixture *f,
	const struct fixture_options *o,
	void (*read)(struct generate_request *r, void *inside))
{
	struct engine_options e = { .threads = 1,
		.slots = o->slots,
		.batch = o->batch,
		.wake = on_engine_thread,
		.wake_arg = in };

	fixture_init(f, o);
	engine_close(f->engine);
	memset(in, 0, sizeof(*in));
	in->f = f;
	in->read = read;
	must(engine_open(&f->engine, &e, &fault));
	in->model = fixture_model(f);
}

static void inside_release(struct inside *in, struct fixture *f)
{
	registry_unref(in->model);
	fixture_release(f);
}

static struct generate_request *submit(struct inside *in,
	struct generate_options *g, struct registry_entry *model, void *user)
{
	struct generate_request *r;

	g->model = model;
	g->user = user;
	must(generate_open(&r, g, &fault));
	must(engine_submit(in->f->engine, r, &fault));
	return r;
}

static void wait_over(struct inside *in)
{
	pthread_mutex_lock(&in->f->lock);
	while (!in->over)
		pthread_cond_wait(&in->f->cond, &in->f->lock);
	pthread_mutex_unlock(&in->f->lock);
}

static char *long_text(size_t len)
{
	char *text = malloc(len + 1);

	memset(text, 'a', len);
	text[len] = '\0';
	return text;
}

/* A request that primes three tokens ends, so this is called while the
 * megabyte is being fed. Then mine comes; its first token ends all. */
static void read_first_token(struct generate_request *r, void *arg)
{
	struct inside *in = arg;
	const struct generate_event *e;
	bool ended = false;

	while ((e = generate_next(r)) != NULL) {
		if (r == in->mine && e->type == GENERATE_TOKEN) {
			in->steps = steps_of(in) - in->from;
			generate_cancel(in->big, 0);
		}
		ended = e->type == GENERATE_ENDED;
	}
	if (!ended)
		return;
	in->left--;
	if (r != in->big && !in->mine) {
		struct generate_options g =
			fixture_request("twenty characters...", 1, 1);

		g.client = 2;
		in->from = steps_of(in);
		in->mine = submit(in, &g, in->model, NULL);
	}
	generate_close(r);
}

static struct registry_entry *load_second(struct fixture *f)
{
	struct registry_entry *m;
	char path[128];

	snprintf(path, sizeof(path), "%s/zweites.safetensors", f->dir);
	fixture_write_model(path, "gru", "char", 11);
	must(registry_load(f->registry, path, &fault));
	m = registry_get(f->registry, "zweites", NULL);
	assert_non_null(m);
	return m;
}

/* Mine is of the model that is primed, or of another on the same thread. */
static void test_first_token_within_25_steps(void **state)
{
	struct fixture_options o = { 0 };
	char *text = long_text(1 << 20);

	for (int other = 0; other < 2; other++) {
		struct generate_options big = fixture_request(text, 1, 1);
		struct generate_options tick = fixture_request("abc", 0, 1);
		struct registry_entry *m;
		struct inside in;
		struct fixture f;

		inside_init(&in, &f, &o, read_first_token);
		m = in.model;
		if (other)
			in.model = load_second(&f);
		in.left = 3;
		big.client = 1;
		in.big = submit(&in, &big, m, NULL);
		submit(&in, &tick, m, NULL);
		wait_over(&in);
		assert_in_range(in.steps, 21, 25);
		if (other)
			registry_unref(m);
		inside_release(&in, &f);
	}
	free(text);
}

/* Mine generates beside another, a third waits for a slot. */
static void read_cancelled(struct generate_request *r, void *arg)
{
	struct inside *in = arg;
	const struct generate_event *e;
	bool ended = false;

	while ((e = generate_next(r)) != NULL) {
		if (r == in->mine && e->type == GENERATE_TOKEN &&
			e->index == 20) {
			in->from = steps_of(in);
			generate_cancel(r, 0);
		}
		if (r != in->mine && r != in->big &&
			e->type == GENERATE_TOKEN) {
			in->steps = steps_of(in) - in->from;
			generate_cancel(r, 0);
			generate_cancel(in->big, 0);
		}
		ended = e->type == GENERATE_ENDED;
	}
	if (!ended)
		return;
	if (r == in->mine)
		assert_true(steps_of(in) - in->from <= 1);
	in->left--;
	generate_close(r);
}

static void test_cancelled_work_leaves_within_a_step(void **state)
{
	struct fixture_options o = { .slots = 2 };
	struct generate_options g = fixture_request("", 1u << 24, 1);
	struct inside in;
	struct fixture f;

	inside_init(&in, &f, &o, read_cancelled);
	in.left = 3;
	g.model = in.model;
	must(generate_open(&in.big, &g, &fault));
	must(generate_open(&in.mine, &g, &fault));
	must(engine_submit(f.engine, in.big, &fault));
	must(engine_submit(f.engine, in.mine, &fault));
	submit(&in, &g, in.model, NULL);
	wait_over(&in);
	/* The slot was free and its first token drawn in the round after. */
	assert_true(in.steps <= 2);
	inside_release(&in, &f);
}

struct stream {
	struct generate_request *r;
	uint64_t tokens, at_start;
	uint64_t client;
	enum scheduler_priority priority;
};

/* Once all have begun, count the tokens of each over a window of steps. */
static void read_window(struct generate_request *r, void *arg)
{
	struct stream *s = generate_user(r);
	struct inside *in = arg;
	const struct generate_event *e;
	bool ended = false;

	while ((e = generate_next(r)) != NULL) {
		ended = e->type == GENERATE_ENDED;
		if (e->type != GENERATE_TOKEN || in->steps)
			continue;
		in->begun += !s->tokens++;
	}
	if (ended) {
		in->left--;
		generate_close(r);
	}
}

/* After all events of a round were read. */
static void look_at_window(struct inside *in)
{
	uint64_t now = steps_of(in);

	if (in->begun < in->n || in->steps)
		return;
	if (!in->from) {
		in->from = now;
		for (size_t i = 0; i < in->n; i++)
			in->streams[i].at_start = in->streams[i].tokens;
	} else if (now - in->from >= in->window) {
		in->steps = now - in->from;
		for (size_t i = 0; i < in->n; i++)
			generate_cancel(in->streams[i].r, 0);
	}
}

static uint64_t gained(const struct stream *s)
{
	return s->tokens - s->at_start;
}

static void run_window(
	struct stream *streams, size_t n, size_t batch, uint64_t window)
{
	struct fixture_options o = { .batch = batch };
	struct generate_options g = fixture_request("", 1u << 20, 1);
	struct inside in;
	struct fixture f;

	inside_init(&in, &f, &o, read_window);
	in.look = look_at_window;
	in.streams = streams;
	in.n = in.left = n;
	in.window = window;
	g.model = in.model;
	for (size_t i = 0; i < n; i++) {
		g.client = streams[i].client;
		g.priority = streams[i].priority;
		g.user = &streams[i];
		must(generate_open(&streams[i].r, &g, &fault));
	}
	for (size_t i = 0; i < n; i++)
		must(engine_submit(f.engine, streams[i].r, &fault));
	wait_over(&in);
	assert_int_equal(in.steps, window);
	inside_release(&in, &f);
}

/* 40 streams of a client share three rows evenly; the one of another has its
 * row in every step. */
static void test_a_crowd_shares_what_a_single_one_leaves(void **state)
{
	struct stream streams[41];

	memset(streams, 0, sizeof(streams));
	streams[40].client = 7;
	run_window(streams, 41, 4, 400);
	assert_int_equal(gained(&streams[40]), 400);
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(gained(&streams[i]), 400 * 3 / 40);
}

/* As DESIGN asks: a thousand of one client, none starved. */
static void test_a_thousand_streams_share_evenly(void **state)
{
	static struct stream streams[1000];

	memset(streams, 0, sizeof(streams));
	run_window(streams, 1000, 64, 125);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(gained(&streams[i]), 125 * 64 / 1000);
}

static void test_bulk_gets_its_eighth(void **state)
{
	struct stream streams[24];
	uint64_t bulk = 0;

	memset(streams, 0, sizeof(streams));
	for (size_t i = 0; i < 24; i++) {
		streams[i].client = i % 3;
		streams[i].priority =
			i < 12 ? SCHEDULER_INTERACTIVE : SCHEDULER_BULK;
	}
	run_window(streams, 24, 4, 400);
	for (size_t i = 12; i < 24; i++)
		bulk += gained(&streams[i]);
	assert_int_equal(bulk, 400 * 4 / 8);
	for (size_t i = 0; i < 24; i++)
		assert_in_range(gained(&streams[i]),
			i < 12 ? 400 * 3.5 / 12 - 1 : 400 * 0.5 / 12 - 1,
			i < 12 ? 400 * 3.5 / 12 + 1 : 400 * 0.5 / 12 + 1);
}

/* --- as any client sees it ---------------------------------------------- */

/* However long a chunk may be, who comes or leaves ends it. */
static void test_a_chunk_ends_when_somebody_comes(void **state)
{
	struct fixture_options o = { .chunk = 1 << 20 };
	char *text = long_text(1 << 20);
	struct generate_options big = fixture_request(text, 1, 1);
	struct generate_options small = fixture_request("quick", 1, 1);
	struct engine_stats stats;
	struct generate_request *r;
	struct outcome out[2];
	struct fixture f;

	fixture_init(&f, &o);
	outcome_init(&out[0]);
	outcome_init(&out[1]);
	r = fixture_submit(&f, &big, &out[0]);
	do { /* the chunk is being fed */
		sched_yield();
		engine_stats(f.engine, &stats);
	} while (stats.prompt_tokens < 100);
	small.client = 1;
	fixture_submit(&f, &small, &out[1]);
	fixture_until(&f, &out[1], 1);
	assert_false(out[0].ended);
	engine_stats(f.engine, &stats);
	assert_true(stats.prompt_tokens < 1 << 19);
	generate_cancel(r, 0);
	fixture_until(&f, &out[0], 1);
	engine_stats(f.engine, &stats);
	assert_true(stats.prompt_tokens < 1 << 20);
	outcome_release(&out[0]);
	outcome_release(&out[1]);
	free(text);
	fixture_release(&f);
}

/* However many come at once: who finds a free slot does not wait. */
static void test_free_slots_are_no_queue(void **state)
{
	struct fixture_options o = {
		.slots = 40, .queue = 2, .queue_per_client = 1
	};
	struct generate_options g = fixture_request("short", 20, 1);
	struct engine_stats stats;
	struct outcome out[40];
	struct fixture f;

	fixture_init(&f, &o);
	for (int i = 0; i < 40; i++) {
		outcome_init(&out[i]);
		fixture_submit(&f, &g, &out[i]);
	}
	fixture_until(&f, out, 40);
	engine_stats(f.engine, &stats);
	assert_int_equal(stats.rejected, 0);
	for (int i = 0; i < 40; i++)
		outcome_release(&out[i]);
	fixture_release(&f);
}

static void test_a_client_cannot_fill_the_queue(void **state)
{
	struct fixture_options o = {
		.slots = 1, .queue = 10, .queue_per_client = 2
	};
	struct generate_options g = fixture_request("long", 100000, 1);
	struct generate_request *r[4], *extra;
	struct engine_stats stats;
	struct error err = { 0 };
	struct outcome out[4];
	struct fixture f;

	fixture_init(&f, &o);
	for (int i = 0; i < 4; i++) {
		outcome_init(&out[i]);
		g.client = i < 3 ? 1 : 2;
		g.priority = i == 2 ? SCHEDULER_BULK : SCHEDULER_INTERACTIVE;
		r[i] = fixture_submit(&f, &g, &out[i]);
		do { /* the first has the slot, the others wait */
			sched_yield();
			engine_stats(f.engine, &stats);
		} while (stats.queued > (size_t)i);
	}
	assert_int_equal(stats.waiting[SCHEDULER_INTERACTIVE], 2);
	assert_int_equal(stats.waiting[SCHEDULER_BULK], 1);
	g.client = 1;
	g.model = fixture_model(&f);
	must(generate_open(&extra, &g, &fault));
	assert_int_equal(engine_submit(f.engine, extra, &err), -1);
	assert_int_equal(err.code, ERROR_OVERLOADED);
	assert_string_equal(err.message,
		"2 requests of yours wait already, at most 2 may: try later");
	assert_in_range(engine_retry_after(f.engine), 1, 60);
	generate_close(extra);
	registry_unref(g.model);
	for (int i = 0; i < 4; i++)
		generate_cancel(r[i], 0);
	fixture_until(&f, out, 4);
	engine_stats(f.engine, &stats);
	assert_int_equal(stats.rejected, 1);
	assert_int_equal(stats.queued, 0);
	for (int i = 0; i < 4; i++)
		outcome_release(&out[i]);
	fixture_release(&f);
}

#define CHURN 300
#define AT_ONCE 60

/* Request i, of one of seven clients and of either priority. */
static struct generate_options churn_request(int i, char prompt[128])
{
	struct philox b = rng_block(3, RNG_SEED, 0, (uint64_t)i);
	struct generate_options g;
	size_t len = b.v[0] % 100;

	for (size_t j = 0; j < len; j++)
		prompt[j] = (char)('a' + (b.v[1] + j * 7) % 26);
	prompt[len] = '\0';
	g = fixture_request(prompt, 1 + b.v[2] % 80, b.v[3]);
	g.client = b.v[1] % 7;
	g.priority = b.v[2] % 3 ? SCHEDULER_INTERACTIVE : SCHEDULER_BULK;
	g.n = b.v[0] % 5 ? 1 : 1 + b.v[3] % 4;
	return g;
}

static void submit_to(struct fixture *f, struct registry_entry *m,
	struct generate_options *g, struct outcome *out)
{
	struct generate_request *r;

	g->model = m;
	g->user = out;
	must(generate_open(&r, g, &fault));
	must(engine_submit(f->engine, r, &fault));
}

static void expect_prefix(const struct outcome *part, const struct outcome *all)
{
	bool cut = part->cancel_at > 0;

	for (int c = 0; c < GENERATE_MAX_CHOICES; c++) {
		const struct token_buf *a = &part->tokens[c];
		const struct token_buf *b = &all->tokens[c];

		assert_true(cut ? a->len <= b->len : a->len == b->len);
		if (a->len)
			assert_memory_equal(a->ids, b->ids, a->len * 4);
	}
}

/* Whoever comes, goes and is cancelled beside it, of whichever model, client
 * and priority: a request's tokens are those that it has alone. */
static void test_company_changes_no_text(void **state)
{
	struct fixture_options o = {
		.threads = 2, .slots = 12, .batch = 3, .chunk = 5
	};
	static struct outcome alone[CHURN], out[CHURN];
	struct registry_entry *models[2];
	struct engine_stats stats;
	struct fixture f;
	char prompt[128];

	fixture_init(&f, &o);
	models[0] = fixture_model(&f);
	models[1] = load_second(&f);
	for (int i = 0; i < CHURN; i++) {
		struct generate_options g = churn_request(i, prompt);

		outcome_init(&alone[i]);
		submit_to(&f, models[i % 2], &g, &alone[i]);
		fixture_until(&f, &alone[i], 1);
		assert_int_equal(alone[i].result.error.code, ERROR_NONE);
	}
	for (int i = 0; i < CHURN; i++) {
		struct generate_options g = churn_request(i, prompt);

		if (i >= AT_ONCE)
			fixture_until(&f, &out[i - AT_ONCE], 1);
		outcome_init(&out[i]);
		out[i].cancel_at = i % 4 ? 0 : 1 + (uint64_t)i % 30;
		submit_to(&f, models[i % 2], &g, &out[i]);
		engine_poll(f.engine, fixture_read, NULL);
	}
	fixture_until(&f, out, CHURN);
	for (int i = 0; i < CHURN; i++) {
		expect_prefix(&out[i], &alone[i]);
		outcome_release(&out[i]);
		outcome_release(&alone[i]);
	}
	engine_stats(f.engine, &stats);
	assert_int_equal(stats.requests, 2 * CHURN);
	assert_int_equal(stats.failed, 0);
	assert_int_equal(stats.queued, 0);
	assert_true(stats.cancelled > 0);
	registry_unref(models[0]);
	registry_unref(models[1]);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_token_within_25_steps),
		cmocka_unit_test(test_cancelled_work_leaves_within_a_step),
		cmocka_unit_test(test_a_crowd_shares_what_a_single_one_leaves),
		cmocka_unit_test(test_a_thousand_streams_share_evenly),
		cmocka_unit_test(test_bulk_gets_its_eighth),
		cmocka_unit_test(test_a_chunk_ends_when_somebody_comes),
		cmocka_unit_test(test_free_slots_are_no_queue),
		cmocka_unit_test(test_a_client_cannot_fill_the_queue),
		cmocka_unit_test(test_company_changes_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
