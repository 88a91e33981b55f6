/* Forks, snapshots, rewinds, exports: against a model that keeps each session's
 * timeline as a list of what it was told, so that any leak shows. */
#include "serve/fixture.h"
#include "serve/session_branch.h"
#include "small_jieba.h"

/* --- the model: a timeline is its draws and prompts, replayed afresh ---- */

#define MAX_TURNS 12
#define MAX_TRACKED 24

struct turn {
	char prompt[8];
	uint64_t length;
	uint64_t seed;
};

struct timeline {
	struct turn turns[MAX_TURNS];
	size_t n;
	uint64_t position;
};

struct tracked {
	char id[16];
	bool lives;
	uint64_t seed;
	struct timeline now, saved;
	bool has_saved;
};

static struct generate_options options(const char *prompt, uint64_t length)
{
	struct generate_options g = fixture_request(prompt, length, 0);

	g.sampler.repetition_penalty = 1.3;
	g.sampler.frequency_penalty = 0.4;
	return g;
}

static uint64_t say(struct fixture *f, const char *id, const char *prompt,
	uint64_t length, struct buf *text)
{
	struct generate_options g = options(prompt, length);
	struct outcome o;
	uint64_t position;

	fixture_run_session(f, id, &g, &o);
	assert_int_equal(o.result.error.code, ERROR_NONE);
	if (text)
		assert_int_equal(
			buf_append(text, outcome_text(&o), o.text[0].len), 0);
	position = o.result.position;
	outcome_release(&o);
	return position;
}

/* Told the same again from the beginning in a session of its own, does it
 * stand where the tracked one does? Both then say the same. */
static void expect_timeline(
	struct fixture *f, const struct tracked *t, const char *id)
{
	struct session_fork_options fork = { .from = { NULL,
						     SESSION_ANY_POSITION },
		.n = 1,
		.ids = (const char *const[]){ "probe" },
		.ttl = -1 };
	struct session_info info;
	struct buf a, b;

	buf_init(&a, 1 << 16);
	buf_init(&b, 1 << 16);
	must(session_fork(f->sessions, id, &fork, &info, NULL, NULL, &fault));
	assert_int_equal(info.position, t->now.position);
	assert_true(info.seed == t->seed);
	session_info_release(&info);
	fixture_create(f, "replay", t->seed);
	for (size_t i = 0; i < t->now.n; i++) {
		const struct turn *turn = &t->now.turns[i];
		const struct session_point here = { NULL,
			SESSION_ANY_POSITION };

		must(session_rewind(f->sessions, "replay", &here, &turn->seed,
			&info, NULL, NULL, &fault));
		session_info_release(&info);
		say(f, "replay", turn->prompt, turn->length, NULL);
	}
	must(session_rewind(f->sessions, "replay",
		&(struct session_point){ NULL, SESSION_ANY_POSITION }, &t->seed,
		&info, NULL, NULL, &fault));
	session_info_release(&info);
	say(f, "probe", "", 12, &a);
	say(f, "replay", "", 12, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	must(session_delete(f->sessions, "probe", NULL, NULL, &fault));
	must(session_delete(f->sessions, "replay", NULL, NULL, &fault));
	buf_release(&a);
	buf_release(&b);
}

struct world {
	struct fixture f;
	struct tracked all[MAX_TRACKED];
	size_t n;
	uint64_t random, made;
};

static uint64_t draw(struct world *w, uint64_t n)
{
	struct philox b = rng_block(w->random, RNG_SEED, 1, w->made++);

	return b.v[0] % n;
}

static struct tracked *pick(struct world *w)
{
	for (int tries = 0; tries < 100; tries++) {
		struct tracked *t = &w->all[draw(w, w->n)];

		if (t->lives)
			return t;
	}
	return NULL;
}

static struct tracked *fresh(struct world *w)
{
	struct tracked *t;

	if (w->n == MAX_TRACKED)
		return NULL;
	t = &w->all[w->n];
	*t = (struct tracked){ .lives = true, .seed = 1000 + w->n };
	snprintf(t->id, sizeof(t->id), "s%zu", w->n++);
	return t;
}

static void do_create(struct world *w)
{
	struct tracked *t = fresh(w);

	if (t)
		fixture_create(&w->f, t->id, t->seed);
}

static void do_advance(struct world *w)
{
	static const char *const prompts[] = { "", "ab", "c\xe2\x82\xac",
		"\xc3\xa9" };
	struct tracked *t = pick(w);
	struct turn *turn;

	if (!t || t->now.n == MAX_TURNS)
		return;
	turn = &t->now.turns[t->now.n++];
	strcpy(turn->prompt, prompts[draw(w, 4)]);
	turn->length = draw(w, 9);
	turn->seed = t->seed;
	t->now.position = say(&w->f, t->id, turn->prompt, turn->length, NULL);
}

static void do_fork(struct world *w)
{
	struct tracked *t = pick(w), *child;
	struct session_fork_options o = {
		.from = { NULL, SESSION_ANY_POSITION }, .n = 1, .ttl = -1
	};
	const char *ids[1];
	uint64_t seed;
	struct session_info info;

	child = t ? fresh(w) : NULL;
	if (!child)
		return;
	ids[0] = child->id;
	o.ids = ids;
	seed = child->seed;
	if (draw(w, 2))
		o.seeds = &seed;
	else
		child->seed = t->seed;
	child->now = t->now;
	must(session_fork(w->f.sessions, t->id, &o, &info, NULL, NULL, &fault));
	session_info_release(&info);
}

static void do_snapshot(struct world *w)
{
	struct tracked *t = pick(w);
	struct session_snapshot made;

	if (!t)
		return;
	must(session_snapshot(w->f.sessions, t->id, "saved", true, &made, NULL,
		NULL, &fault));
	assert_int_equal(made.position, t->now.position);
	t->saved = t->now;
	t->has_saved = true;
}

static void do_rewind(struct world *w)
{
	struct tracked *t = pick(w);
	struct session_point to = { "saved", 0 };
	struct session_info info;

	if (!t)
		return;
	if (t->has_saved && draw(w, 2)) {
		t->now = t->saved;
	} else {
		to.snapshot = NULL;
		/* To before the last turn that moved it, or to the start. */
		if (!t->now.n || draw(w, 4) == 0) {
			t->now = (struct timeline){ 0 };
		} else {
			must(session_get(w->f.sessions, t->id, &info, &fault));
			to.position =
				info.n_boundaries
					? info
						  .boundaries[draw(
							  w, info.n_boundaries)]
						  .position
					: 0;
			session_info_release(&info);
			t->now.position = 0;
			for (size_t i = 0; i < t->now.n; i++) {
				if (t->now.position == to.position) {
					t->now.n = i;
					break;
				}
				t->now.position +=
					t->now.turns[i].length +
					(strcmp(t->now.turns[i].prompt,
						 "ab") == 0 || strcmp(t->now.turns[i]
									       .prompt,
								       "c\xe2"
								       "\x82"
								       "\xac") ==
									0
							? 2
							: *t->now.turns[i].prompt !=
								  0);
			}
			assert_int_equal(t->now.position, to.position);
		}
	}
	must(session_rewind(
		w->f.sessions, t->id, &to, NULL, &info, NULL, NULL, &fault));
	assert_int_equal(info.position, t->now.position);
	session_info_release(&info);
}

static void do_move(struct world *w)
{
	const struct session_point here = { NULL, SESSION_ANY_POSITION };
	struct tracked *t = pick(w), *moved;
	struct session_import_options o = { .ttl = -1 };
	struct session_info info;
	struct buf blob;

	moved = t ? fresh(w) : NULL;
	if (!moved)
		return;
	moved->seed = t->seed;
	moved->now = t->now;
	o.id = moved->id;
	buf_init(&blob, 1 << 20);
	must(session_export(w->f.sessions, t->id, &here, &blob, &info, &fault));
	session_info_release(&info);
	must(session_import(w->f.sessions, w->f.registry, blob.data, blob.len,
		&o, &info, NULL, NULL, &fault));
	session_info_release(&info);
	buf_release(&blob);
}

static void do_delete(struct world *w)
{
	struct tracked *t = pick(w);

	if (!t || draw(w, 3))
		return;
	must(session_delete(w->f.sessions, t->id, NULL, NULL, &fault));
	t->lives = false;
}

static void live(uint64_t seed, const char *cell, const char *tokenizer,
	const char *store, size_t resident)
{
	static void (*const deeds[])(struct world *) = { do_create, do_advance,
		do_advance, do_advance, do_fork, do_snapshot, do_rewind,
		do_move, do_delete };
	struct fixture_options o = { .cell = cell,
		.tokenizer = tokenizer,
		.store = store,
		.sessions.boundaries = 3,
		.sessions.resident = resident };
	struct world w = { .random = seed };
	struct session_info info;

	fixture_init(&w.f, &o);
	do_create(&w);
	for (int i = 0; i < 120; i++)
		deeds[draw(&w, 9)](&w);
	for (size_t i = 0; i < w.n; i++) {
		if (w.all[i].lives)
			expect_timeline(&w.f, &w.all[i], w.all[i].id);
		else
			assert_int_equal(session_get(w.f.sessions, w.all[i].id,
						 &info, NULL),
				-1);
	}
	fixture_release(&w.f);
}

static void test_no_session_influences_another(void **state)
{
	live(1, "lstm", "char", "memory", 0);
	live(2, "gru", "char", "sqlite", 3); /* most are spilled */
	live(3, "rnn", "char", "sqlite", 0);
	live(4, "lstm", "char", "sqlite", 100);
}

/* --- continuing from a blob equals never having stopped ----------------- */

static void through_a_blob(struct fixture *f, const char *id)
{
	const struct session_point here = { NULL, SESSION_ANY_POSITION };
	const struct session_import_options o = { .ttl = -1 };
	struct session_info info;
	struct buf blob;

	buf_init(&blob, 1 << 20);
	must(session_export(f->sessions, id, &here, &blob, &info, &fault));
	session_info_release(&info);
	must(session_delete(f->sessions, id, NULL, NULL, &fault));
	must(session_import(f->sessions, f->registry, blob.data, blob.len, &o,
		&info, NULL, NULL, &fault));
	assert_string_equal(info.id, id);
	session_info_release(&info);
	buf_release(&blob);
}

static void check_cuts(const char *cell, const char *tokenizer, uint64_t seed)
{
	/* A cut code point in the prompt of a byte model, too. */
	const char *prompt =
		strcmp(tokenizer, "byte") ? "a\xe2\x82\xac" : "a\xe2\x82";
	struct fixture_options o = { .cell = cell, .tokenizer = tokenizer };
	struct buf whole, parts;
	struct fixture f;
	uint64_t left = 300;

	fixture_init(&f, &o);
	buf_init(&whole, 1 << 16);
	buf_init(&parts, 1 << 16);
	fixture_create(&f, "whole", seed);
	fixture_create(&f, "parts", seed);
	say(&f, "whole", prompt, 300, &whole);
	say(&f, "parts", prompt, 0, &parts);
	for (uint64_t i = 0; left; i++) {
		uint64_t n = 1 + rng_block(seed, RNG_SEED, 2, i).v[0] % 40;

		n = n < left ? n : left;
		through_a_blob(&f, "parts");
		say(&f, "parts", "", n, &parts);
		left -= n;
	}
	assert_int_equal(whole.len, parts.len);
	assert_memory_equal(whole.data, parts.data, whole.len);
	buf_release(&whole);
	buf_release(&parts);
	fixture_release(&f);
}

static void test_a_blob_is_all_there_is(void **state)
{
	static const char *const cells[] = { "rnn", "lstm", "gru" };

	for (const char *const *t = tokenizer_kinds(); *t; t++)
		for (size_t i = 0; i < 3; i++)
			check_cuts(cells[i], *t, 40 + i);
}

/* Cancelled where text was held back for a stop: none of it is lost. */
static void test_what_is_held_back_comes_again(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g;
	struct outcome whole, cut;
	struct fixture f;
	struct buf text;

	fixture_init(&f, &o);
	buf_init(&text, 1 << 16);
	fixture_create(&f, "whole", 5);
	g = options("", 60);
	fixture_run_session(&f, "whole", &g, &whole);
	for (uint64_t at = 1; at < 20; at++) {
		struct registry_entry *m = fixture_model(&f);
		const struct generate_event *e;
		struct generate_request *r;
		char stop[16] = "", id[16];
		bool cancelled = false;
		size_t len;

		/* Begins with what it will say there, but goes on otherwise. */
		for (uint64_t k = at; k < at + 2; k++) {
			const char *bytes = tokenizer_bytes(
				m->tokenizer, whole.tokens[0].ids[k], &len);

			strncat(stop, bytes, len);
		}
		strcat(stop, "~");
		registry_unref(m);
		snprintf(id, sizeof(id), "cut%d", (int)at);
		fixture_create(&f, id, 5);
		/* So long that it is under way when it is cancelled. */
		g = options("", 1000000);
		g.stop = (const char *const[]){ stop };
		g.n_stop = 1;
		outcome_init(&cut);
		must(session_begin(f.sessions, f.registry, id, NULL,
			SESSION_ANY_POSITION, &g.session, &m, &fault));
		registry_unref(m);
		g.has_seed = false;
		r = fixture_submit(&f, &g, &cut);
		buf_clear(&text);
		while (!cut.ended) {
			e = generate_next(r);
			if (!e) {
				usleep(100);
				continue;
			}
			cut.ended = e->type == GENERATE_ENDED;
			if (cancelled || e->type != GENERATE_TOKEN)
				continue;
			buf_append(&text, e->text, e->text_len);
			if (e->index == at + 2) {
				assert_true(e->settled <= e->index);
				generate_cancel(r, e->settled);
				cancelled = true;
			}
		}
		assert_true(cancelled);
		generate_close(r);
		outcome_release(&cut);
		g = options("", 30);
		fixture_run_session(&f, id, &g, &cut);
		buf_append(&text, outcome_text(&cut), cut.text[0].len);
		assert_true(text.len <= whole.text[0].len);
		assert_memory_equal(text.data, whole.text[0].data, text.len);
		outcome_release(&cut);
	}
	outcome_release(&whole);
	buf_release(&text);
	fixture_release(&f);
}

/* --- single operations -------------------------------------------------- */

static void test_a_fork_is_all_or_nothing(void **state)
{
	struct fixture_options o = { .store = "sqlite" };
	struct session_fork_options fork = { .from = { NULL,
						     SESSION_ANY_POSITION },
		.n = 3,
		.ids = (const char *const[]){ "x", "taken", "y" },
		.ttl = -1 };
	struct session_info *infos = calloc(1000, sizeof(*infos)), got;
	struct error err;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "parent", 1);
	fixture_create(&f, "taken", 1);
	say(&f, "parent", "abc", 5, NULL);
	assert_int_equal(session_fork(f.sessions, "parent", &fork, infos, NULL,
				 NULL, &err),
		-1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_int_equal(session_get(f.sessions, "x", &got, NULL), -1);
	fork.ids = (const char *const[]){ "x", "y", "x" };
	assert_int_equal(session_fork(f.sessions, "parent", &fork, infos, NULL,
				 NULL, &err),
		-1);
	assert_string_equal(err.param, "ids");
	fork.ids = NULL;
	fork.prefix = "child";
	fork.n = 1000;
	must(session_fork(
		f.sessions, "parent", &fork, infos, NULL, NULL, &fault));
	assert_string_equal(infos[999].id, "child-999");
	assert_int_equal(sessions_count(f.sessions), 1002);
	must(session_get(f.sessions, "child-500", &got, &fault));
	assert_int_equal(got.position, 8);
	assert_int_equal(got.n_boundaries, 0);
	session_info_release(&got);
	for (size_t i = 0; i < 1000; i++)
		session_info_release(&infos[i]);
	free(infos);
	fixture_release(&f);
}

static uint64_t rows(struct fixture *f, const char *prefix)
{
	uint64_t n;

	must(store_writer_count(f->writer, prefix, 0, &n, &fault));
	return n;
}

static void test_what_belongs_to_a_session_goes_with_it(void **state)
{
	struct fixture_options o = { .sessions.boundaries = 2 };
	struct session_snapshot made;
	struct session_info info;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "a", 1);
	fixture_create(&f, "ab", 1);
	for (int i = 0; i < 5; i++) {
		say(&f, "a", "", 3, NULL);
		say(&f, "ab", "", 3, NULL);
	}
	must(session_get(f.sessions, "a", &info, &fault));
	assert_int_equal(info.n_boundaries, 2);
	assert_int_equal(info.boundaries[0].position, 9);
	assert_int_equal(info.boundaries[1].position, 12);
	session_info_release(&info);
	must(session_snapshot(
		f.sessions, "a", NULL, false, &made, NULL, NULL, &fault));
	assert_string_equal(made.name, "snapshot-1");
	assert_int_equal(rows(&f, "boundary/a/"), 2);
	assert_int_equal(rows(&f, "snapshot/a/"), 1);
	must(session_delete(f.sessions, "a", NULL, NULL, &fault));
	assert_int_equal(rows(&f, "boundary/a/"), 0);
	assert_int_equal(rows(&f, "snapshot/a/"), 0);
	assert_int_equal(rows(&f, "boundary/"), 2);
	fixture_release(&f);
}

static void test_what_belongs_to_it_expires_with_it(void **state)
{
	struct fixture_options o = {
		.sessions.ttl = 300, .store = "sqlite", .sessions.boundaries = 2
	};
	struct session_snapshot made;
	struct sessions_stats stats;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "a", 1);
	say(&f, "a", "", 3, NULL);
	say(&f, "a", "", 3, NULL);
	must(session_snapshot(
		f.sessions, "a", "s", false, &made, NULL, NULL, &fault));
	for (int i = 0; i < 1000 && rows(&f, ""); i++)
		usleep(10000);
	assert_int_equal(rows(&f, ""), 0);
	assert_int_equal(sessions_count(f.sessions), 0);
	sessions_stats(f.sessions, &stats);
	assert_int_equal(stats.expired, 1);
	fixture_release(&f);
}

/* What expired while nobody looked is counted at the start, and swept once. */
static void test_expired_ones_are_counted_down_to_none(void **state)
{
	struct fixture_options o = { .sessions.ttl = 1, .store = "sqlite" };
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "a", 1);
	fixture_create(&f, "b", 1);
	store_writer_flush(f.writer);
	usleep(5000);
	sessions_close(f.sessions);
	must(sessions_open(&f.sessions, f.writer, &o.sessions, &fault));
	for (int i = 0; i < 1000 && rows(&f, ""); i++)
		usleep(10000);
	assert_int_equal(rows(&f, ""), 0);
	for (int i = 0; i < 1000 && sessions_count(f.sessions); i++)
		usleep(10000);
	assert_int_equal(sessions_count(f.sessions), 0);
	fixture_release(&f);
}

static void test_peek_is_what_sampling_says(void **state)
{
	struct fixture_options o = { 0 };
	struct session_point here = { NULL, SESSION_ANY_POSITION };
	struct generate_options g;
	struct session_peek p;
	struct registry_entry *m;
	const struct generate_event *e;
	struct generate_request *r;
	struct outcome out;
	struct fixture f;
	unsigned seen = 0;

	fixture_init(&f, &o);
	fixture_create(&f, "a", 3);
	say(&f, "a", "hello", 7, NULL);
	must(session_peek(f.sessions, f.registry, "a", &here, 5, &p, &fault));
	assert_int_equal(p.n, 5);
	assert_int_equal(p.info.position, 12);
	g = options("", 1);
	g.has_logprobs = true;
	g.logprobs = 5;
	must(session_begin(
		f.sessions, f.registry, "a", NULL, 12, &g.session, &m, &fault));
	registry_unref(m);
	r = fixture_submit(&f, &g, &out);
	for (bool ended = false; !ended;) {
		e = generate_next(r);
		if (!e) {
			usleep(100);
			continue;
		}
		ended = e->type == GENERATE_ENDED;
		for (unsigned i = 0; i < e->n_top; i++, seen++) {
			assert_int_equal(e->top[i].token, p.top[i].token);
			assert_true(e->top[i].logprob == p.top[i].logprob);
		}
	}
	assert_int_equal(seen, 5);
	generate_close(r);
	session_peek_release(&p);
	fixture_release(&f);
}

static void expect_blob(struct fixture *f, const void *blob, size_t len,
	enum error_code code, const char *param, const char *part)
{
	const struct session_import_options o = { .id = "new", .ttl = -1 };
	struct session_info info;
	struct error err;

	assert_int_equal(session_import(f->sessions, f->registry, blob, len, &o,
				 &info, NULL, NULL, &err),
		-1);
	assert_int_equal(err.code, code);
	assert_string_equal(err.param, param);
	assert_non_null(strstr(err.message, part));
}

static void test_foreign_blobs_are_refused(void **state)
{
	const struct session_point here = { NULL, SESSION_ANY_POSITION };
	struct fixture_options o = { 0 };
	struct session_info info;
	struct fixture f;
	struct buf blob;
	char text[24];

	fixture_init(&f, &o);
	fixture_create(&f, "a", 3);
	buf_init(&blob, 1 << 20);
	must(session_export(f.sessions, "a", &here, &blob, &info, &fault));
	blob.data[blob.len - 1] ^= 1;
	expect_blob(&f, blob.data, blob.len, ERROR_UNPROCESSABLE, "blob",
		"checksum");
	blob.data[blob.len - 1] ^= 1;
	expect_blob(&f, blob.data, 9, ERROR_UNPROCESSABLE, "blob", "9 bytes");
	blob.data[4] = 9;
	expect_blob(&f, blob.data, blob.len, ERROR_UNSUPPORTED, "blob",
		"version 9");
	blob.data[4] = 2;
	fixture_write_model(f.model_path, "lstm", "char", 8);
	registry_close(f.registry);
	must(registry_open(&f.registry,
		&(struct registry_options){
			.paths = (const char *const[]){ f.model_path },
			.n_paths = 1 },
		&fault));
	snprintf(text, sizeof(text), "%016llx",
		(unsigned long long)info.fingerprint);
	expect_blob(&f, blob.data, blob.len, ERROR_CONFLICT, "model", text);
	session_info_release(&info);
	buf_release(&blob);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_session_influences_another),
		cmocka_unit_test(test_a_blob_is_all_there_is),
		cmocka_unit_test(test_what_is_held_back_comes_again),
		cmocka_unit_test(test_a_fork_is_all_or_nothing),
		cmocka_unit_test(test_what_belongs_to_a_session_goes_with_it),
		cmocka_unit_test(test_what_belongs_to_it_expires_with_it),
		cmocka_unit_test(test_expired_ones_are_counted_down_to_none),
		cmocka_unit_test(test_peek_is_what_sampling_says),
		cmocka_unit_test(test_foreign_blobs_are_refused),
	};

	small_jieba_use();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
