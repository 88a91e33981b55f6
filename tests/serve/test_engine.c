/* What a request gives: the same alone or among many, in pieces or whole. */
#include "serve/fixture.h"

#include "base/utf8.h"

#include <math.h>

static bool is_utf8(const char *text, size_t len)
{
	return utf8_valid_prefix(text, len, NULL) == len;
}

static void expect_same(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->tokens[0].len, b->tokens[0].len);
	assert_memory_equal(
		a->tokens[0].ids, b->tokens[0].ids, a->tokens[0].len * 4);
	assert_string_equal(outcome_text(a), outcome_text(b));
	assert_true(a->logprob == b->logprob);
}

static void test_one_request(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("hello", 50, 3);
	struct outcome first, second;
	struct engine_stats stats;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_run(&f, &g, &first);
	assert_int_equal(first.result.error.code, ERROR_NONE);
	assert_int_equal(first.finish[0], GENERATE_LENGTH);
	assert_int_equal(first.tokens[0].len, 50);
	assert_int_equal(first.result.usage.prompt_tokens, 5);
	assert_int_equal(first.result.usage.completion_tokens, 50);
	assert_int_equal(first.result.position, 55);
	assert_int_equal(first.result.seed, 3);
	assert_true(first.logprob < 0);
	fixture_run(&f, &g, &second);
	expect_same(&first, &second);
	engine_stats(f.engine, &stats);
	assert_int_equal(stats.generated_tokens, 100);
	assert_int_equal(stats.prompt_tokens, 10);
	assert_int_equal(stats.requests, 2);
	outcome_release(&first);
	outcome_release(&second);
	fixture_release(&f);
}

#define MANY 64

/* Request i: its own prompt, length, seed and temperature. */
static struct generate_options many_request(int i, char prompt[64])
{
	struct generate_options g;
	size_t len = (size_t)(i * 7 % 40);

	for (size_t j = 0; j < len; j++)
		prompt[j] = (char)('a' + (i * 5 + (int)j * 3) % 26);
	prompt[len] = '\0';
	g = fixture_request(prompt, 20 + (uint64_t)(i % 30), (uint64_t)i);
	g.sampler.temperature = 0.25 * (i % 6);
	g.sampler.top_k = i % 4 ? 0 : 5;
	g.sampler.frequency_penalty = i % 5 ? 0 : 0.5;
	g.has_logprobs = true;
	g.logprobs = (unsigned)(i % 3);
	return g;
}

static void run_many(struct fixture *f, struct outcome *out)
{
	char prompt[64];

	for (int i = 0; i < MANY; i++) {
		struct generate_options g = many_request(i, prompt);

		outcome_init(&out[i]);
		fixture_submit(f, &g, &out[i]);
	}
	fixture_until(f, out, MANY);
}

/* 64 at once, in any number of slots, threads and chunks, each give to the byte
 * what they give alone. */
static void test_many_give_what_one_gives(void **state)
{
	static const struct fixture_options variants[] = {
		{ .threads = 1 },
		{ .threads = 2, .batch = 5 },
		{ .threads = 3, .chunk = 1 },
		{ .threads = 1, .slots = 7, .batch = 3, .chunk = 64 },
	};
	static struct outcome alone[MANY], many[MANY];
	const char *const cells[] = { "lstm", "gru", "rnn" };
	struct fixture f;
	char prompt[64];

	for (size_t c = 0; c < 3; c++) {
		struct fixture_options o = { .cell = cells[c] };

		fixture_init(&f, &o);
		for (int i = 0; i < MANY; i++) {
			struct generate_options g = many_request(i, prompt);

			fixture_run(&f, &g, &alone[i]);
			assert_int_equal(
				alone[i].result.error.code, ERROR_NONE);
		}
		fixture_release(&f);
		for (size_t v = 0; v < 4; v++) {
			o = variants[v];
			o.cell = cells[c];
			fixture_init(&f, &o);
			run_many(&f, many);
			fixture_release(&f);
			for (int i = 0; i < MANY; i++) {
				expect_same(&alone[i], &many[i]);
				outcome_release(&many[i]);
			}
		}
		for (int i = 0; i < MANY; i++)
			outcome_release(&alone[i]);
	}
}

static void test_choices_share_a_prompt_and_differ(void **state)
{
	struct fixture_options o = { .batch = 2 };
	struct generate_options g = fixture_request("some prompt", 30, 5);
	struct outcome all, one;
	struct engine_stats stats;
	struct fixture f;

	fixture_init(&f, &o);
	g.n = 4;
	fixture_run(&f, &g, &all);
	engine_stats(f.engine, &stats);
	assert_int_equal(stats.prompt_tokens, 11);
	assert_int_equal(all.result.usage.completion_tokens, 120);
	g.n = 1;
	fixture_run(&f, &g, &one);
	assert_string_equal(outcome_text(&one), outcome_text(&all));
	for (int i = 1; i < 4; i++) {
		assert_int_equal(all.tokens[i].len, 30);
		assert_string_not_equal(all.text[i].data, all.text[i - 1].data);
	}
	outcome_release(&all);
	outcome_release(&one);
	fixture_release(&f);
}

static void test_greedy_ignores_the_seed(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("x", 40, 1);
	struct outcome a, b;
	struct fixture f;

	fixture_init(&f, &o);
	g.sampler.temperature = 0;
	fixture_run(&f, &g, &a);
	g.seed = 2;
	fixture_run(&f, &g, &b);
	expect_same(&a, &b);
	outcome_release(&a);
	outcome_release(&b);
	fixture_release(&f);
}

/* The text up to where any stop first stands whole, whichever tokens made it;
 * and tokens are drawn no further than that. */
static void test_stop_strings(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("stop", 400, 11);
	struct outcome whole, cut;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_run(&f, &g, &whole);
	for (size_t at = 3; at < 60; at += 7) {
		char stop[3][32] = { "", "never in there", "" };
		const char *const stops[] = { stop[0], stop[1], stop[2] };
		const char *text = outcome_text(&whole);
		char *first;

		snprintf(stop[0], 32, "%.3s", text + at);
		snprintf(stop[2], 32, "%.3s#", text + at / 2);
		first = strstr(text, stop[0]);
		if (!is_utf8(stop[0], strlen(stop[0])))
			continue;
		g.stop = stops;
		g.n_stop = 3;
		fixture_run(&f, &g, &cut);
		assert_int_equal(cut.finish[0], GENERATE_STOP);
		assert_int_equal(cut.text[0].len, first - text);
		assert_memory_equal(outcome_text(&cut), text, first - text);
		assert_true(cut.tokens[0].len < whole.tokens[0].len);
		assert_memory_equal(cut.tokens[0].ids, whole.tokens[0].ids,
			cut.tokens[0].len * 4);
		outcome_release(&cut);
	}
	outcome_release(&whole);
	fixture_release(&f);
}

/* A text that only begins like a stop comes out whole at the end. */
static void test_what_is_held_back_comes_out(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("held", 60, 13);
	struct outcome plain, held;
	char stop[64];
	const char *const stops[] = { stop };
	struct fixture f;

	fixture_init(&f, &o);
	fixture_run(&f, &g, &plain);
	snprintf(stop, sizeof(stop), "%s#",
		outcome_text(&plain) + plain.text[0].len - 5);
	g.stop = stops;
	g.n_stop = 1;
	fixture_run(&f, &g, &held);
	assert_int_equal(held.finish[0], GENERATE_LENGTH);
	expect_same(&plain, &held);
	outcome_release(&plain);
	outcome_release(&held);
	fixture_release(&f);
}

static void test_stop_tokens_are_counted_and_not_emitted(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("tokens", 100, 17);
	struct outcome whole, cut;
	size_t first = 0;
	uint32_t stop;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_run(&f, &g, &whole);
	stop = whole.tokens[0].ids[9];
	while (whole.tokens[0].ids[first] != stop)
		first++;
	g.stop_tokens = &stop;
	g.n_stop_tokens = 1;
	fixture_run(&f, &g, &cut);
	assert_int_equal(cut.finish[0], GENERATE_STOP);
	assert_int_equal(cut.tokens[0].len, first + 1);
	assert_true(is_utf8(outcome_text(&cut), cut.text[0].len));
	assert_memory_equal(
		outcome_text(&cut), outcome_text(&whole), cut.text[0].len);
	outcome_release(&whole);
	outcome_release(&cut);
	fixture_release(&f);
}

/* Bytes cut inside a code point never reach a client cut. */
static void check_whole(struct generate_request *r, void *arg)
{
	struct outcome *o = generate_user(r);
	const struct generate_event *e;

	while ((e = generate_next(r)) != NULL) {
		assert_true(is_utf8(e->text, e->text_len));
		o->ended |= e->type == GENERATE_ENDED;
	}
	if (o->ended)
		generate_close(r);
}

static void test_bytes_come_as_whole_code_points(void **state)
{
	struct fixture_options o = { .tokenizer = "byte" };
	struct generate_options g = fixture_request("\xe2\x82\xac", 2000, 19);
	struct outcome out;
	struct fixture f;

	fixture_init(&f, &o);
	g.sampler.temperature = 2;
	outcome_init(&out);
	fixture_submit(&f, &g, &out);
	while (!out.ended) {
		fixture_wait(&f);
		engine_poll(f.engine, check_whole, NULL);
	}
	outcome_release(&out);
	fixture_release(&f);
}

static void test_logprobs(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("log", 30, 23);
	struct registry_entry *m;
	const struct generate_event *e;
	struct generate_request *r;
	struct fixture f;
	unsigned seen = 0;

	fixture_init(&f, &o);
	m = fixture_model(&f);
	g.model = m;
	g.has_logprobs = true;
	g.logprobs = 20;
	must(generate_open(&r, &g, &fault));
	must(engine_submit(f.engine, r, &fault));
	while (seen < 30) {
		double sum = 0;

		e = generate_next(r);
		if (!e || e->type != GENERATE_TOKEN)
			continue;
		seen++;
		assert_int_equal(e->n_top, 20);
		for (unsigned i = 0; i < 20; i++) {
			sum += exp((double)e->top[i].logprob);
			if (i)
				assert_true(e->top[i].logprob <=
					    e->top[i - 1].logprob);
			if (e->top[i].token == e->token)
				assert_true(fabs((double)e->top[i].logprob -
						    (double)e->logprob) < 1e-5);
		}
		assert_true(sum > 0.3 && sum < 1.0001);
	}
	while (!(e = generate_next(r)) || e->type != GENERATE_ENDED)
		;
	registry_unref(m);
	fixture_release(&f);
	generate_close(r); /* may outlive its engine, once ended */
}

static void test_bad_options(void **state)
{
	struct fixture_options o = { 0 };
	const char *const empty[] = { "" };
	const struct sampler_bias bias = { 4000, 1 };
	struct generate_options g, ok = fixture_request("a", 1, 1);
	struct generate_request *r;
	struct fixture f;

	fixture_init(&f, &o);
	ok.model = fixture_model(&f);
#define EXPECT_BAD(change, want_code, want_param)                  \
	do {                                                       \
		struct error err = { 0 };                          \
		g = ok;                                            \
		change;                                            \
		assert_int_equal(generate_open(&r, &g, &err), -1); \
		assert_int_equal(err.code, want_code);             \
		assert_string_equal(err.param, want_param);        \
	} while (0)
	EXPECT_BAD(g.length = 1ull << 40, ERROR_INVALID, "length");
	EXPECT_BAD(g.n = 0, ERROR_INVALID, "n");
	EXPECT_BAD(g.n = 17, ERROR_INVALID, "n");
	EXPECT_BAD(g.logprobs = 21, ERROR_INVALID, "logprobs");
	EXPECT_BAD((g.stop = empty, g.n_stop = 1), ERROR_INVALID, "stop");
	EXPECT_BAD((g.sampler.bias = &bias, g.sampler.n_bias = 1),
		ERROR_INVALID, "logit_bias");
	EXPECT_BAD(g.sampler.temperature = -1, ERROR_INVALID, "temperature");
	EXPECT_BAD((g.prompt = "a\xe6\xbc\xa2", g.prompt_len = 4),
		ERROR_UNPROCESSABLE, "prompt");
	g = ok;
	g.prompt = "a\xe6\xbc\xa2z";
	g.prompt_len = 5;
	g.unknown = UNKNOWN_SKIP;
	must(generate_open(&r, &g, &fault));
	assert_int_equal(generate_prompt_tokens(r), 2);
	generate_close(r); /* never submitted */
	registry_unref(ok.model);
	fixture_release(&f);
}

/* length 0 primes; without a prompt it does nothing at all. */
static void test_no_length(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("prime", 0, 1);
	struct outcome out;
	struct fixture f;

	fixture_init(&f, &o);
	for (unsigned n = 1; n <= 3; n += 2) {
		g.n = n;
		g.prompt_len = 5;
		fixture_run(&f, &g, &out);
		assert_int_equal(out.result.error.code, ERROR_NONE);
		assert_int_equal(out.result.position, 5);
		assert_int_equal(out.tokens[0].len, 0);
		outcome_release(&out);
		g.prompt_len = 0;
		fixture_run(&f, &g, &out);
		assert_int_equal(out.result.position, 0);
		outcome_release(&out);
	}
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_request),
		cmocka_unit_test(test_many_give_what_one_gives),
		cmocka_unit_test(test_choices_share_a_prompt_and_differ),
		cmocka_unit_test(test_greedy_ignores_the_seed),
		cmocka_unit_test(test_stop_strings),
		cmocka_unit_test(test_what_is_held_back_comes_out),
		cmocka_unit_test(test_stop_tokens_are_counted_and_not_emitted),
		cmocka_unit_test(test_bytes_come_as_whole_code_points),
		cmocka_unit_test(test_logprobs),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_no_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
