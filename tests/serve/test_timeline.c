/* Sessions through the engine: one timeline each, durable, on its own. */
#include "serve/fixture.h"

#include <sqlite3.h>

#define must_end_well(o) assert_int_equal((o)->result.error.code, ERROR_NONE)

/* With a penalty, so that the window of recent tokens matters too. */
static struct generate_options request(
	const char *prompt, uint64_t length, uint64_t seed)
{
	struct generate_options g = fixture_request(prompt, length, seed);

	g.sampler.frequency_penalty = 0.5;
	return g;
}

/* One reference: a stateless request with the session's seed. */
static void reference(struct fixture *f, const char *prompt, uint64_t length,
	uint64_t seed, struct outcome *out)
{
	struct generate_options g = request(prompt, length, seed);

	fixture_run(f, &g, out);
	must_end_well(out);
}

static void go_on(struct fixture *f, const char *id, const char *prompt,
	uint64_t length, struct buf *text)
{
	struct generate_options g = request(prompt, length, 0);
	struct outcome out;

	fixture_run_session(f, id, &g, &out);
	must_end_well(&out);
	assert_true(out.result.committed);
	buf_append(text, outcome_text(&out), out.text[0].len);
	outcome_release(&out);
}

static uint64_t position_of(struct fixture *f, const char *id)
{
	struct session_info info;
	uint64_t position;

	must(session_get(f->sessions, id, &info, &fault));
	position = info.position;
	session_info_release(&info);
	return position;
}

/* 400 = 200 + 200 = 1 + 399 = 133 + 0 + 267, to the byte, for every cell. */
static void test_pieces_equal_the_whole(void **state)
{
	static const uint64_t cuts[][3] = { { 200, 200, 0 }, { 1, 399, 0 },
		{ 133, 0, 267 }, { 400, 0, 0 } };
	static const char *const cells[] = { "lstm", "gru", "rnn" };

	for (size_t c = 0; c < 3; c++) {
		struct fixture_options o = { .cell = cells[c], .threads = 2 };
		struct outcome whole;
		struct fixture f;

		fixture_init(&f, &o);
		reference(&f, "once", 400, 77, &whole);
		for (size_t i = 0; i < 4; i++) {
			char id[8];
			struct buf text;

			snprintf(id, sizeof(id), "s%zu", i);
			buf_init(&text, 4096);
			fixture_create(&f, id, 77);
			go_on(&f, id, "once", cuts[i][0], &text);
			go_on(&f, id, "", cuts[i][1], &text);
			go_on(&f, id, "", cuts[i][2], &text);
			assert_string_equal(text.data, outcome_text(&whole));
			assert_int_equal(position_of(&f, id), 404);
			buf_release(&text);
		}
		outcome_release(&whole);
		fixture_release(&f);
	}
}

/* A prompt in two requests is one prompt. */
static void test_prompts_in_pieces(void **state)
{
	struct fixture_options o = { 0 };
	struct outcome whole;
	struct buf text;
	struct fixture f;

	fixture_init(&f, &o);
	buf_init(&text, 4096);
	reference(&f, "one two three", 40, 5, &whole);
	fixture_create(&f, "s", 5);
	go_on(&f, "s", "one t", 0, &text);
	assert_int_equal(position_of(&f, "s"), 5);
	go_on(&f, "s", "wo three", 40, &text);
	assert_string_equal(text.data, outcome_text(&whole));
	outcome_release(&whole);
	buf_release(&text);
	fixture_release(&f);
}

/* A code point cut between two requests comes out whole in the second. */
static void test_cut_code_points_are_kept(void **state)
{
	struct fixture_options o = { .tokenizer = "byte" };
	struct outcome whole;
	struct buf text;
	struct fixture f;

	fixture_init(&f, &o);
	buf_init(&text, 1 << 16);
	reference(&f, "", 400, 3, &whole);
	fixture_create(&f, "s", 3);
	for (int i = 0; i < 400; i++)
		go_on(&f, "s", "", 1, &text);
	/* Without a session the last cut one is let go as U+FFFD. */
	assert_true(text.len <= whole.text[0].len);
	assert_memory_equal(text.data, outcome_text(&whole), text.len);
	assert_true(whole.text[0].len - text.len <= 3);
	outcome_release(&whole);
	buf_release(&text);
	fixture_release(&f);
}

/* What is committed outlives the process; what is not, never was. */
static void test_restart(void **state)
{
	struct fixture_options o = { .store = "sqlite" };
	struct outcome whole;
	struct buf text;
	struct fixture f;

	fixture_init(&f, &o);
	buf_init(&text, 4096);
	reference(&f, "dur", 90, 9, &whole);
	fixture_create(&f, "s", 9);
	go_on(&f, "s", "dur", 30, &text);
	for (int i = 0; i < 2; i++) {
		fixture_stop(&f);
		fixture_start(&f, &o);
		assert_int_equal(position_of(&f, "s"), 33 + 30 * i);
		assert_int_equal(sessions_count(f.sessions), 1);
		go_on(&f, "s", "", 30, &text);
	}
	assert_string_equal(text.data, outcome_text(&whole));
	outcome_release(&whole);
	buf_release(&text);
	fixture_release(&f);
}

static void cancel_after(struct fixture *f, const char *id, const char *prompt,
	uint64_t at, uint64_t kept, uint64_t position)
{
	struct generate_options g = request(prompt, 100000, 0);
	struct outcome out;

	outcome_init(&out);
	out.cancel_at = at;
	out.kept = kept;
	fixture_submit_session(f, id, &g, &out);
	fixture_until(f, &out, 1);
	assert_int_equal(out.result.error.code, ERROR_CANCELLED);
	assert_int_equal(out.result.committed, kept > 0);
	assert_int_equal(out.result.position, position);
	assert_int_equal(position_of(f, id), position);
	outcome_release(&out);
}

/* A client that leaves: its session stands at the last token that it kept,
 * however far the engine was ahead, and goes on from there. */
static void test_cancel_keeps_what_was_handed_over(void **state)
{
	struct fixture_options o = { .threads = 2 };
	static char prompt[1000];
	struct outcome whole;
	struct buf text;
	struct fixture f;
	size_t n;

	fixture_init(&f, &o);
	for (size_t i = 0; i < sizeof(prompt) - 1; i++)
		prompt[i] = (char)('a' + i % 26);
	reference(&f, prompt, 3000, 21, &whole);
	n = whole.tokens[0].len;
	assert_int_equal(n, 3000);
	fixture_create(&f, "s", 21);
	cancel_after(&f, "s", prompt, 40, 0, 0);     /* as it was */
	cancel_after(&f, "s", prompt, 40, 37, 1036); /* near the start */
	cancel_after(&f, "s", "", 900, 900, 1936);   /* over marks */
	cancel_after(&f, "s", "", 700, 3, 1939);     /* before any mark */
	buf_init(&text, 1 << 16);
	go_on(&f, "s", "", 3999 - position_of(&f, "s"), &text);
	assert_string_equal(
		text.data, outcome_text(&whole) + whole.text[0].len - text.len);
	outcome_release(&whole);
	buf_release(&text);
	fixture_release(&f);
}

/* A commit that fails is told, and the session is where it was. */
static void test_failed_commit(void **state)
{
	struct fixture_options o = { .store = "sqlite" };
	struct generate_options g = fixture_request("x", 10, 0);
	struct outcome out;
	struct buf text;
	struct fixture f;
	sqlite3 *db;

	fixture_init(&f, &o);
	buf_init(&text, 4096);
	fixture_create(&f, "s", 9);
	go_on(&f, "s", "a", 10, &text);
	assert_int_equal(sqlite3_open(f.store_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				 "CREATE TRIGGER t BEFORE UPDATE ON entries"
				 " BEGIN SELECT raise(ABORT, 'no room'); END",
				 NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	fixture_run_session(&f, "s", &g, &out);
	assert_int_equal(out.tokens[0].len, 10);
	assert_false(out.result.committed);
	assert_int_equal(out.result.error.code, ERROR_IO);
	assert_int_equal(position_of(&f, "s"), 11);
	outcome_release(&out);
	buf_release(&text);
	fixture_release(&f);
}

#define SESSIONS 6
#define ROUNDS 120

/* What a session must be, stepped alone by the test itself. */
struct shadow {
	char id[8];
	bool exists;
	uint64_t seed;
	struct session_state state;
	/* Its request of this round. */
	bool asked;
	char prompt[16];
	struct outcome out;
};

struct world {
	struct fixture f;
	struct registry_entry *model;
	struct model_scratch *scratch;
	struct sampler *sampler;
	real *logits;
	struct shadow shadows[SESSIONS];
};

static void world_init(struct world *w, const struct fixture_options *o)
{
	memset(w, 0, sizeof(*w));
	fixture_init(&w->f, o);
	w->model = fixture_model(&w->f);
	must(model_scratch_open(&w->scratch, w->model->model, 1, &fault));
	must(sampler_open(&w->sampler, w->model->vocab, &fault));
	w->logits = malloc(w->model->vocab * sizeof(real));
	for (size_t i = 0; i < SESSIONS; i++)
		snprintf(w->shadows[i].id, sizeof(w->shadows[i].id), "s%zu", i);
}

static void world_release(struct world *w)
{
	for (size_t i = 0; i < SESSIONS; i++)
		session_state_release(&w->shadows[i].state);
	free(w->logits);
	sampler_close(w->sampler);
	model_scratch_close(w->scratch);
	registry_unref(w->model);
	fixture_release(&w->f);
}

static void shadow_feed(struct world *w, struct shadow *s, real *logits)
{
	model_step(w->model->model, w->scratch, 1, &s->state.pending,
		&s->state.hidden, &logits);
}

static void shadow_prompt(struct world *w, struct shadow *s)
{
	struct token_buf ids;

	token_buf_init(&ids, 100);
	must(tokenizer_encode(w->model->tokenizer, s->prompt, strlen(s->prompt),
		UNKNOWN_ERROR, &ids, NULL, &fault));
	for (size_t i = 0; i < ids.len; i++) {
		shadow_feed(w, s, NULL);
		s->state.pending = ids.ids[i];
		s->state.position++;
	}
	token_buf_release(&ids);
}

static uint32_t shadow_draw(struct world *w, struct shadow *s)
{
	struct sampler_options options;

	sampler_defaults(&options);
	shadow_feed(w, s, w->logits);
	s->state.pending = sampler_draw(w->sampler, &options, w->logits, NULL,
		0, s->seed, 0, s->state.position++)
				   .token;
	return s->state.pending;
}

/* Create, delete, or ask for tokens, perhaps leaving before the end. */
static void act(struct world *w, struct shadow *s, const struct philox *r)
{
	struct generate_options g;

	s->asked = false;
	if (!s->exists) {
		s->seed = r->v[1];
		must(session_state_init(&s->state, w->model, &fault));
		fixture_create(&w->f, s->id, s->seed);
	} else if (r->v[0] % 16 == 0) {
		must(session_delete(w->f.sessions, s->id, NULL, NULL, &fault));
		session_state_release(&s->state);
	} else {
		snprintf(s->prompt, 16, "%.*s", (int)(r->v[0] >> 8) & 7,
			"abcabca");
		g = fixture_request(s->prompt, r->v[2] % 20, 0);
		outcome_init(&s->out);
		s->out.cancel_at = r->v[3] % 5 ? 0 : 1 + r->v[3] % 9;
		s->out.kept = s->out.cancel_at / 2;
		fixture_submit_session(&w->f, s->id, &g, &s->out);
		s->asked = true;
		return;
	}
	s->exists = !s->exists;
}

static void compare(struct world *w, struct shadow *s)
{
	struct outcome *o = &s->out;
	uint64_t n;

	fixture_until(&w->f, o, 1);
	n = o->tokens[0].len;
	if (o->result.error.code == ERROR_CANCELLED)
		n = o->kept;
	else
		must_end_well(o);
	assert_int_equal(
		o->result.committed, n || o->result.error.code == ERROR_NONE);
	if (o->result.committed)
		shadow_prompt(w, s);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(shadow_draw(w, s), o->tokens[0].ids[i]);
	assert_int_equal(o->result.position, s->state.position);
	outcome_release(o);
}

/*
 * Random operations on several sessions at once: any influence of one on
 * another, of a delete or of a restart, is a difference to its shadow.
 */
static void test_sessions_never_influence_each_other(void **state)
{
	static struct world w;
	struct fixture_options o = {
		.store = "sqlite", .threads = 2, .batch = 3
	};

	world_init(&w, &o);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < SESSIONS; i++) {
			struct philox r = rng_block(2024, RNG_SEED, i, round);

			act(&w, &w.shadows[i], &r);
		}
		for (size_t i = 0; i < SESSIONS; i++)
			if (w.shadows[i].asked)
				compare(&w, &w.shadows[i]);
		if (round % 40 == 39) {
			fixture_stop(&w.f);
			fixture_start(&w.f, &o);
		}
	}
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_equal_the_whole),
		cmocka_unit_test(test_prompts_in_pieces),
		cmocka_unit_test(test_cut_code_points_are_kept),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_cancel_keeps_what_was_handed_over),
		cmocka_unit_test(test_failed_commit),
		cmocka_unit_test(test_sessions_never_influence_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
