/* The prompt's log-probabilities: what drawing those tokens would have given,
 * whatever else is stepped along and however the prompt is cut. */
#include "serve/fixture.h"

#include <math.h>

#define LENGTH 40

struct drawn {
	uint32_t ids[LENGTH];
	float logprobs[LENGTH], best[LENGTH];
};

static struct generate_request *open_request(
	struct fixture *f, struct generate_options *g)
{
	struct registry_entry *m = fixture_model(f);
	struct generate_request *r;

	g->model = m;
	must(generate_open(&r, g, &fault));
	registry_unref(m);
	must(engine_submit(f->engine, r, &fault));
	return r;
}

/* Reads to the end; what is drawn goes to out. */
static void finish(struct generate_request *r, struct drawn *out)
{
	const struct generate_event *e;

	for (;;) {
		e = generate_next(r);
		if (!e)
			usleep(100); /* engine_poll would take the others, too
				      */
		else if (e->type == GENERATE_ENDED)
			return;
		else if (e->type == GENERATE_TOKEN) {
			out->ids[e->index - 1] = e->token;
			out->logprobs[e->index - 1] = e->logprob;
			out->best[e->index - 1] = e->top[0].logprob;
		}
	}
}

static void draw(struct fixture *f, struct drawn *out)
{
	struct generate_options g = fixture_request("some text", LENGTH, 5);
	struct generate_request *r;

	g.has_logprobs = true;
	g.logprobs = 1;
	r = open_request(f, &g);
	finish(r, out);
	generate_close(r);
}

/* The prompt's ids, then those that were drawn. */
static size_t join(struct fixture *f, const struct drawn *d, uint32_t *ids)
{
	struct generate_options g = fixture_request("some text", 0, 5);
	struct generate_request *r = open_request(f, &g);
	size_t n = generate_prompt_tokens(r);

	memcpy(ids, generate_prompt(r), n * sizeof(*ids));
	memcpy(ids + n, d->ids, sizeof(d->ids));
	finish(r, NULL);
	generate_close(r);
	return n + LENGTH;
}

static void score(struct fixture *f, const uint32_t *ids, size_t n,
	uint64_t from, float *scores, struct generate_top *top)
{
	struct generate_options g = fixture_request("", 0, 5);
	struct generate_request *r;
	unsigned n_top;

	g.tokens = ids;
	g.n_tokens = n;
	g.has_scores = true;
	g.score_from = from;
	g.has_logprobs = true;
	g.logprobs = 1;
	r = open_request(f, &g);
	finish(r, NULL);
	assert_int_equal(generate_result(r)->error.code, ERROR_NONE);
	assert_int_equal(generate_result(r)->usage.completion_tokens, 0);
	assert_int_equal(generate_prompt_tokens(r), n);
	memcpy(scores, generate_scores(r), n * sizeof(*scores));
	memcpy(top, generate_score_tops(r, &n_top), n * sizeof(*top));
	assert_int_equal(n_top, 1);
	generate_close(r);
}

static void test_scores_are_what_drawing_gave(void **state)
{
	struct generate_top top[LENGTH + 16];
	float scores[LENGTH + 16];
	uint32_t ids[LENGTH + 16];
	struct fixture_options o = { 0 };
	struct drawn d;
	struct fixture f;
	size_t n, first;

	fixture_init(&f, &o);
	draw(&f, &d);
	n = join(&f, &d, ids);
	first = n - LENGTH;
	score(&f, ids, n, first, scores, top);
	for (size_t i = 0; i < first; i++)
		assert_true(scores[i] == 0);
	for (size_t i = 0; i < LENGTH; i++) {
		assert_true(fabsf(scores[first + i] - d.logprobs[i]) < 1e-5F);
		assert_true(top[first + i].logprob == d.best[i]);
	}
	fixture_release(&f);
}

static void test_scores_are_the_same_bits_in_any_company(void **state)
{
	static const struct fixture_options variants[] = { { .batch = 1 },
		{ .batch = 5, .chunk = 3 }, { .threads = 2, .chunk = 64 } };
	struct generate_top top[LENGTH + 16];
	float scores[3][LENGTH + 16];
	uint32_t ids[LENGTH + 16];
	size_t n = 0;

	for (size_t v = 0; v < 3; v++) {
		struct generate_options g = fixture_request("other", 3000, 9);
		struct fixture_options o = variants[v];
		struct outcome company;
		struct drawn d;
		struct fixture f;

		fixture_init(&f, &o);
		if (!n) {
			draw(&f, &d);
			n = join(&f, &d, ids);
		}
		outcome_init(&company);
		fixture_submit(&f, &g, &company);
		score(&f, ids, n, 0, scores[v], top);
		fixture_until(&f, &company, 1);
		outcome_release(&company);
		fixture_release(&f);
		assert_memory_equal(
			scores[v], scores[0], n * sizeof(scores[0][0]));
	}
	assert_true(scores[0][0] < 0);
}

/* Two halves, the second from the state that the first came to. */
static void test_scores_go_on_from_a_state(void **state)
{
	struct generate_options g = fixture_request("hello", 0, 1);
	struct generate_options h = fixture_request(" world", 0, 1);
	struct generate_options whole = fixture_request("hello world", 0, 1);
	struct session_info info;
	struct fixture_options o = { 0 };
	struct session *held;
	struct registry_entry *m;
	struct generate_request *a, *b;
	struct outcome primed;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "s", 1);
	fixture_run_session(&f, "s", &g, &primed);
	outcome_release(&primed);
	must(session_begin(f.sessions, f.registry, "s", NULL,
		SESSION_ANY_POSITION, &held, &m, &fault));
	registry_unref(m);
	h.start = &held->state;
	h.has_scores = whole.has_scores = true;
	a = open_request(&f, &h);
	finish(a, NULL);
	session_abort(held);
	b = open_request(&f, &whole);
	finish(b, NULL);
	assert_memory_equal(
		generate_scores(a), generate_scores(b) + 5, 6 * sizeof(float));
	generate_close(a);
	generate_close(b);
	must(session_get(f.sessions, "s", &info, &fault));
	assert_int_equal(info.position, 5);
	session_info_release(&info);
	fixture_release(&f);
}

static void test_tokens_are_checked(void **state)
{
	struct generate_options g = fixture_request("", 1, 1);
	const uint32_t ids[] = { 0, 60000 };
	struct fixture_options o = { 0 };
	struct generate_request *r;
	struct error err;
	struct fixture f;

	fixture_init(&f, &o);
	g.model = fixture_model(&f);
	g.tokens = ids;
	g.n_tokens = 2;
	assert_int_equal(generate_open(&r, &g, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_string_equal(err.param, "prompt");
	assert_non_null(strstr(err.message, "60000"));
	registry_unref(g.model);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scores_are_what_drawing_gave),
		cmocka_unit_test(test_scores_are_the_same_bits_in_any_company),
		cmocka_unit_test(test_scores_go_on_from_a_state),
		cmocka_unit_test(test_tokens_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
