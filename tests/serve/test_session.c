/* Blobs, and the life of sessions between requests. */
#include "serve/fixture.h"

#include <math.h>

static void make_state(struct fixture *f, struct session_state *s)
{
	struct registry_entry *m = fixture_model(f);

	must(session_state_init(s, m, &fault));
	registry_unref(m);
	for (size_t i = 0; i < s->n_hidden; i++)
		s->hidden[i] = (real)i / 256 - (real)0.2;
	s->position = 300;
	s->pending = 7;
	for (size_t i = 0; i < SESSION_WINDOW; i++)
		s->window[i] = (uint32_t)(i % 30);
	s->decoder = (struct decoder){ { 0xe2, 0x82 }, 2 };
}

static void make_info(struct session_info *i)
{
	*i = (struct session_info){ .fingerprint = 0x1234567890abcdef,
		.seed = UINT64_MAX,
		.created = 1700000000000,
		.used = 1700000000001,
		.ttl = 5000 };
	strcpy(i->id, "sess_test");
	strcpy(i->model, "tiny");
	strcpy(i->kernels, "avx512");
	i->metadata = strdup("{\"user\":\"é\"}");
}

static void expect_equal(
	const struct session_state *a, const struct session_state *b)
{
	assert_int_equal(a->position, b->position);
	assert_int_equal(a->pending, b->pending);
	assert_int_equal(a->n_hidden, b->n_hidden);
	assert_memory_equal(a->hidden, b->hidden, a->n_hidden * sizeof(real));
	assert_memory_equal(a->window, b->window, sizeof(a->window));
	assert_memory_equal(&a->decoder, &b->decoder, sizeof(a->decoder));
}

static void test_blob_round_trip(void **state)
{
	struct fixture_options o = { 0 };
	struct session_info info, back;
	struct session_state s, t;
	struct fixture f;
	struct buf blob;

	fixture_init(&f, &o);
	make_state(&f, &s);
	make_info(&info);
	buf_init(&blob, 1 << 20);
	must(session_encode(&info, &s, &blob, &fault));
	must(session_decode(blob.data, blob.len, &back, &t, &fault));
	expect_equal(&s, &t);
	assert_string_equal(back.id, info.id);
	assert_string_equal(back.model, info.model);
	assert_string_equal(back.kernels, info.kernels);
	assert_string_equal(back.metadata, info.metadata);
	assert_true(back.fingerprint == info.fingerprint);
	assert_true(back.seed == info.seed);
	assert_int_equal(back.created, info.created);
	assert_int_equal(back.used, info.used);
	assert_int_equal(back.ttl, 5000);
	assert_int_equal(back.expires, info.used + 5000);
	assert_int_equal(back.bytes, blob.len);
	session_info_release(&back);
	session_state_release(&t);
	session_info_release(&info);
	session_state_release(&s);
	buf_release(&blob);
	fixture_release(&f);
}

/* Each byte flipped, each length cut: refused, and nothing read past it. */
static void test_blob_damage_is_refused(void **state)
{
	struct fixture_options o = { 0 };
	struct session_info info, back;
	struct session_state s, t;
	struct fixture f;
	struct buf blob;
	struct error err;
	char *cut;

	fixture_init(&f, &o);
	make_state(&f, &s);
	make_info(&info);
	buf_init(&blob, 1 << 20);
	must(session_encode(&info, &s, &blob, &fault));
	for (size_t i = 0; i < blob.len; i++) {
		blob.data[i] ^= (char)(1 << i % 8);
		assert_int_equal(
			session_decode(blob.data, blob.len, &back, &t, &err),
			-1);
		assert_true(err.code == ERROR_CORRUPT ||
			    err.code == ERROR_UNSUPPORTED);
		blob.data[i] ^= (char)(1 << i % 8);
	}
	for (size_t n = 0; n < blob.len; n++) {
		cut = malloc(n + 1); /* exact: the sanitizer watches its end */
		memcpy(cut, blob.data, n);
		assert_int_equal(session_decode(cut, n, &back, &t, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		free(cut);
	}
	blob.data[4] = 3;
	assert_int_equal(
		session_decode(blob.data, blob.len, &back, &t, &err), -1);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
	assert_non_null(strstr(err.message, "version 3"));
	session_info_release(&info);
	session_state_release(&s);
	buf_release(&blob);
	fixture_release(&f);
}

static void test_what_no_model_can_go_on_from_is_refused(void **state)
{
	struct fixture_options o = { 0 };
	struct session_info info;
	struct session_state s;
	struct registry_entry *m;
	struct error err;
	struct fixture f;
	struct buf blob;

	fixture_init(&f, &o);
	make_state(&f, &s);
	make_info(&info);
	m = fixture_model(&f);
	must(session_state_check(&s, m, &fault));
	s.pending = (uint32_t)m->vocab;
	assert_int_equal(session_state_check(&s, m, &err), -1);
	s.pending = 0;
	s.window[200] = UINT32_MAX;
	assert_int_equal(session_state_check(&s, m, &err), -1);
	s.window[200] = 0;
	s.hidden[3] = 1.5; /* an h */
	assert_int_equal(session_state_check(&s, m, &err), -1);
	assert_non_null(strstr(err.message, "1.5"));
	s.hidden[3] = 0;
	s.hidden[24] = 1.5; /* a c, which has no bound */
	must(session_state_check(&s, m, &fault));
	s.hidden[24] = (real)NAN;
	buf_init(&blob, 1 << 20);
	assert_int_equal(session_encode(&info, &s, &blob, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	buf_release(&blob);
	session_info_release(&info);
	session_state_release(&s);
	registry_unref(m);
	fixture_release(&f);
}

static void test_create_get_delete(void **state)
{
	struct fixture_options o = { 0 };
	struct session_options so = {
		.ttl = -1, .metadata = "{\"a\":1}", .seed = 42, .has_seed = true
	};
	struct session_info info, got;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	so.model = fixture_model(&f);
	must(fixture_store_new(&f, &so, &info, NULL, NULL, &fault));
	assert_int_equal(strlen(info.id), 31);
	assert_memory_equal(info.id, "sess_", 5);
	must(session_get(f.sessions, info.id, &got, &fault));
	assert_string_equal(got.id, info.id);
	assert_string_equal(got.model, "tiny");
	assert_string_equal(got.metadata, "{\"a\":1}");
	assert_int_equal(got.position, 0);
	assert_int_equal(got.seed, 42);
	assert_int_equal(got.expires, STORE_NEVER);
	assert_true(got.bytes > 0);
	assert_false(got.busy);
	session_info_release(&got);
	assert_int_equal(sessions_count(f.sessions), 1);
	so.id = info.id;
	assert_int_equal(
		fixture_store_new(&f, &so, &got, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	must(session_delete(f.sessions, info.id, NULL, NULL, &fault));
	assert_int_equal(session_get(f.sessions, info.id, &got, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.param, "session");
	assert_int_equal(
		session_delete(f.sessions, info.id, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(sessions_count(f.sessions), 0);
	session_info_release(&info);
	registry_unref((struct registry_entry *)so.model);
	fixture_release(&f);
}

static void expect_refused(struct fixture *f, const char *id,
	const char *metadata, const char *param)
{
	struct session_options so = { .id = id, .metadata = metadata };
	struct session_info info;
	struct error err = { 0 };

	so.model = fixture_model(f);
	assert_int_equal(
		fixture_store_new(f, &so, &info, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_string_equal(err.param, param);
	registry_unref((struct registry_entry *)so.model);
}

static void test_bad_ids_and_metadata(void **state)
{
	struct fixture_options o = { 0 };
	char big[SESSION_METADATA_MAX + 2], longest[SESSION_ID_MAX + 2];
	struct session_info info;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	expect_refused(&f, "", NULL, "id");
	expect_refused(&f, "a/b", NULL, "id");
	expect_refused(&f, "a b", NULL, "id");
	expect_refused(&f, "\xc3\xa9", NULL, "id");
	memset(longest, 'x', sizeof(longest));
	longest[SESSION_ID_MAX + 1] = '\0';
	expect_refused(&f, longest, NULL, "id");
	expect_refused(&f, "ok", "{", "metadata");
	memset(big, ' ', sizeof(big));
	big[0] = '1';
	big[SESSION_METADATA_MAX + 1] = '\0';
	expect_refused(&f, "ok", big, "metadata");
	longest[SESSION_ID_MAX] = '\0';
	fixture_create(&f, longest, 1);
	longest[SESSION_ID_MAX] = 'x'; /* is another one, which there is not */
	assert_int_equal(session_get(f.sessions, longest, &info, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	fixture_release(&f);
}

static void expect_page(struct fixture *f, const char *after, size_t limit,
	const char *ids, bool want_more)
{
	const struct session_filter filter = { .after = after, .limit = limit };
	struct session_page page;
	char got[256] = "";

	must(session_list(f->sessions, &filter, &page, &fault));
	for (size_t i = 0; i < page.n; i++)
		strcat(strcat(got, page.infos[i].id), " ");
	assert_string_equal(got, ids);
	assert_int_equal(page.more, want_more);
	session_page_release(&page);
}

static void test_pages(void **state)
{
	struct fixture_options o = { 0 };
	const struct store_change damaged = { "session/bb", "junk", 4,
		STORE_NEVER };
	const struct session_filter none = { .limit = 0 };
	struct session_page page;
	struct fixture f;

	fixture_init(&f, &o);
	expect_page(&f, NULL, 10, "", false);
	fixture_create(&f, "c", 1);
	fixture_create(&f, "a", 1);
	fixture_create(&f, "b", 1);
	must(store_writer_post(f.writer, &damaged, 1, NULL, NULL, &fault));
	expect_page(&f, NULL, 10, "a b c ", false);
	expect_page(&f, NULL, 2, "a b ", true);
	expect_page(&f, "b", 2, "c ", false);
	expect_page(&f, "b", 1, "c ", false);
	expect_page(&f, "z", 2, "", false);
	assert_int_equal(session_list(f.sessions, &none, &page, NULL), -1);
	must(session_delete(f.sessions, "bb", NULL, NULL, &fault));
	fixture_release(&f);
}

static int begin(struct fixture *f, const char *id, const char *model,
	uint64_t expected, struct session **s, struct error *err)
{
	struct registry_entry *m;

	if (session_begin(f->sessions, f->registry, id, model, expected, s, &m,
		    err) < 0)
		return -1;
	registry_unref(m);
	return 0;
}

static void test_one_writer_at_a_time(void **state)
{
	struct fixture_options o = { 0 };
	struct session_info info;
	struct session *s, *t;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "one", 1);
	must(begin(&f, "one", NULL, 0, &s, &fault));
	for (size_t i = 0; i < s->state.n_hidden; i++)
		assert_true(s->state.hidden[i] == 0);
	assert_int_equal(s->state.pending, 0); /* "\n" is the first token */
	assert_int_equal(begin(&f, "one", NULL, 0, &t, &err), -1);
	assert_int_equal(err.code, ERROR_BUSY);
	assert_string_equal(err.param, "session");
	must(session_get(f.sessions, "one", &info, &fault));
	assert_true(info.busy);
	session_info_release(&info);
	assert_int_equal(
		session_delete(f.sessions, "one", NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_BUSY);
	s->state.position = 99; /* is never stored */
	session_abort(s);
	must(begin(&f, "one", "tiny", SESSION_ANY_POSITION, &s, &fault));
	assert_int_equal(s->state.position, 0);
	session_abort(s);
	assert_int_equal(begin(&f, "one", NULL, 5, &s, &err), -1);
	assert_string_equal(err.param, "expected_position");
	assert_non_null(strstr(err.message, "position 0, not 5"));
	assert_int_equal(begin(&f, "none", NULL, 0, &s, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.param, "session");
	assert_int_equal(begin(&f, "one", "other", 0, &s, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.param, "model");
	fixture_release(&f);
}

/* Replaced by a rename, as tools do; or its bytes changed in place. */
static void replace_model(struct fixture *f, uint64_t seed, bool in_place)
{
	char other[128], command[320];

	snprintf(other, sizeof(other), "%s/other.safetensors", f->dir);
	fixture_write_model(other, "lstm", "char", seed);
	snprintf(command, sizeof(command),
		in_place ? "cat '%s' >'%s'" : "mv '%s' '%s'", other,
		f->model_path);
	assert_int_equal(system(command), 0);
	must(registry_load(f->registry, f->model_path, &fault));
}

static void create_with(
	struct fixture *f, const char *id, enum session_policy policy)
{
	struct registry_entry *m = fixture_model(f);
	struct session_options o = {
		.id = id, .model = m, .ttl = -1, .policy = policy
	};
	struct session_info info;

	must(fixture_store_new(f, &o, &info, NULL, NULL, &fault));
	session_info_release(&info);
	registry_unref(m);
}

static void test_a_pinned_session_keeps_its_version(void **state)
{
	struct fixture_options o = { 0 };
	struct registry_entry *m;
	struct error err = { 0 };
	uint64_t before;
	struct session *s;
	struct fixture f;

	fixture_init(&f, &o);
	create_with(&f, "mine", SESSION_PIN);
	m = fixture_model(&f);
	before = m->fingerprint;
	registry_unref(m);
	replace_model(&f, 8, false);
	must(session_begin(
		f.sessions, f.registry, "mine", NULL, 0, &s, &m, &fault));
	assert_true(m->fingerprint == before);
	assert_true(registry_retired(m));
	assert_int_equal(s->change, SESSION_SAME);
	session_abort(s);
	registry_unref(m);
	create_with(&f, "lost", SESSION_PIN);
	replace_model(&f, 9, true);
	assert_int_equal(begin(&f, "lost", NULL, 0, &s, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_string_equal(err.param, "model");
	must(begin(&f, "mine", NULL, 0, &s, &fault));
	session_abort(s);
	fixture_release(&f);
}

static void test_carry_and_reset_follow_the_model(void **state)
{
	struct fixture_options o = { 0 };
	struct error err = { 0 };
	struct session *s;
	struct fixture f;

	fixture_init(&f, &o);
	create_with(&f, "carried", SESSION_CARRY);
	create_with(&f, "reset", SESSION_RESET);
	for (int i = 0; i < 2; i++) {
		must(begin(&f, i ? "carried" : "reset", NULL, 0, &s, &fault));
		s->state.position = 3;
		s->state.hidden[0] = (real)0.5;
		session_commit(s, "k", NULL, 0, NULL, NULL);
		store_writer_flush(f.writer);
	}
	replace_model(&f, 8, false);
	must(begin(&f, "carried", NULL, 3, &s, &fault));
	assert_int_equal(s->change, SESSION_CARRIED);
	assert_true(s->state.hidden[0] == (real)0.5);
	session_abort(s);
	must(begin(&f, "reset", NULL, 3, &s, &fault));
	assert_int_equal(s->change, SESSION_RESTARTED);
	assert_int_equal(s->state.position, 0);
	assert_true(s->state.hidden[0] == 0);
	session_abort(s);
	fixture_write_model(f.model_path, "gru", "char", 8);
	must(registry_load(f.registry, f.model_path, &fault));
	assert_int_equal(begin(&f, "carried", NULL, 3, &s, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, "architecture"));
	must(begin(&f, "reset", NULL, 3, &s, &fault));
	session_abort(s);
	fixture_release(&f);
}

static void test_quota(void **state)
{
	struct fixture_options o = { .sessions.max = 2 };
	struct session_options so = { .ttl = -1 };
	struct session_info info;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "a", 1);
	fixture_create(&f, "b", 1);
	so.model = fixture_model(&f);
	assert_int_equal(
		fixture_store_new(&f, &so, &info, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_NO_SPACE);
	assert_non_null(strstr(err.message, "sessions.max is 2"));
	must(session_delete(f.sessions, "a", NULL, NULL, &fault));
	fixture_create(&f, "c", 1);
	registry_unref((struct registry_entry *)so.model);
	fixture_release(&f);
}

static void test_the_least_used_is_evicted(void **state)
{
	struct fixture_options o = { .sessions.max = 3,
		.sessions.when_full = SESSION_EVICT };
	struct session_info info;
	struct sessions_stats stats;
	struct session *s;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "a", 1);
	usleep(2000);
	fixture_create(&f, "b", 1);
	usleep(2000);
	fixture_create(&f, "c", 1);
	usleep(2000);
	must(begin(&f, "a", NULL, 0, &s, &fault));
	s->state.position = 1;
	session_commit(s, "k", NULL, 0, NULL, NULL);
	store_writer_flush(f.writer);
	must(begin(&f, "c", NULL, 0, &s, &fault));
	fixture_create(&f, "d", 1);
	assert_int_equal(session_get(f.sessions, "b", &info, NULL), -1);
	usleep(2000);
	fixture_create(&f, "e", 1); /* c is in use: a goes */
	assert_int_equal(session_get(f.sessions, "a", &info, NULL), -1);
	session_abort(s);
	must(session_get(f.sessions, "c", &info, &fault));
	session_info_release(&info);
	assert_int_equal(sessions_count(f.sessions), 3);
	sessions_stats(f.sessions, &stats);
	assert_int_equal(stats.evicted, 2);
	fixture_release(&f);
}

static void test_expiry(void **state)
{
	struct fixture_options o = { .sessions.ttl = 30, .sessions.max = 1 };
	struct session_info info;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "short", 1);
	must(session_get(f.sessions, "short", &info, &fault));
	assert_int_equal(info.expires, info.used + 30);
	session_info_release(&info);
	for (int i = 0; i < 500 && sessions_count(f.sessions); i++)
		usleep(10000);
	assert_int_equal(session_get(f.sessions, "short", &info, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(sessions_count(f.sessions), 0);
	fixture_create(&f, "next", 1);
	fixture_release(&f);
}

/* The sweep has it for a moment. */
static void create_when_free(struct fixture *f, const char *id)
{
	struct registry_entry *m = fixture_model(f);
	struct session_options o = { .id = id, .model = m, .ttl = -1 };
	struct error err = { 0 };
	struct session_info info;

	while (fixture_store_new(f, &o, &info, NULL, NULL, &err) < 0) {
		assert_true(
			err.code == ERROR_CONFLICT || err.code == ERROR_BUSY);
		usleep(1000);
	}
	session_info_release(&info);
	registry_unref(m);
}

/* Whoever takes the name of one that expired takes its place in the count,
 * whether or not that was swept. */
static void test_a_name_taken_again_counts_once(void **state)
{
	struct fixture_options o = { .store = "sqlite", .sessions.ttl = 20 };
	struct fixture f;

	fixture_init(&f, &o);
	for (int i = 0; i < 40; i++) {
		create_when_free(&f, "x");
		assert_true(sessions_count(f.sessions) <= 1);
		usleep(21000 + (useconds_t)i % 7 * 1000);
	}
	for (int i = 0; i < 500 && sessions_count(f.sessions); i++)
		usleep(10000);
	assert_int_equal(sessions_count(f.sessions), 0);
	fixture_release(&f);
}

static const struct store_change note = { "answer/1", "yes", 3, STORE_NEVER };

static bool has_answer(struct fixture *f, const char *key)
{
	struct error err = { 0 };
	struct buf b;
	bool found;

	buf_init(&b, 100);
	found = sessions_look_up(f->sessions, key, &b, &err) == 0;
	buf_release(&b);
	assert_true(found || err.code == ERROR_NOT_FOUND);
	return found;
}

static int count_row(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	++*(int *)arg;
	return 0;
}

/* What was stored with a session goes with it, and nothing else does. */
static void test_what_belongs_to_a_session_is_deleted_with_it(void **state)
{
	struct store_change with = note;
	struct fixture_options o = { .store = "sqlite" };
	struct session *s;
	struct fixture f;
	int rows = 0;

	fixture_init(&f, &o);
	fixture_create(&f, "a", 1);
	fixture_create(&f, "ab", 1);
	with.key = "answer/own";
	must(begin(&f, "a", NULL, 0, &s, &fault));
	session_commit(s, "k", &with, 1, NULL, NULL);
	with.key = "answer/kept";
	must(sessions_keep(f.sessions, "a", &with, 1, NULL, NULL, &fault));
	with.key = "answer/others";
	must(sessions_keep(f.sessions, "ab", &with, 1, NULL, NULL, &fault));
	must(sessions_keep(f.sessions, NULL, &note, 1, NULL, NULL, &fault));
	store_writer_flush(f.writer);
	must(session_delete(f.sessions, "a", NULL, NULL, &fault));
	assert_false(has_answer(&f, "answer/own"));
	assert_false(has_answer(&f, "answer/kept"));
	assert_true(has_answer(&f, "answer/others"));
	assert_true(has_answer(&f, "answer/1"));
	must(session_delete(f.sessions, "ab", NULL, NULL, &fault));
	must(store_writer_list(
		f.writer, "", "", 100, store_now(), count_row, &rows, &fault));
	assert_int_equal(rows, 1);
	fixture_release(&f);
}

static void on_done(void *arg, const struct error *err)
{
	atomic_store((atomic_int *)arg, err ? 2 : 1);
}

static void test_done_comes_after_the_commit(void **state)
{
	struct fixture_options o = { .store = "sqlite" };
	struct session_options so = { .id = "x", .ttl = -1 };
	struct session_info info;
	atomic_int done = 0;
	struct session *s;
	struct fixture f;

	fixture_init(&f, &o);
	so.model = fixture_model(&f);
	must(fixture_store_new(&f, &so, &info, on_done, &done, &fault));
	session_info_release(&info);
	store_writer_flush(f.writer);
	assert_int_equal(atomic_exchange(&done, 0), 1);
	must(begin(&f, "x", NULL, 0, &s, &fault));
	s->state.hidden[0] = (real)NAN;
	session_commit(s, "k", NULL, 0, on_done, &done); /* cannot be encoded */
	assert_int_equal(atomic_exchange(&done, 0), 2);
	must(begin(&f, "x", NULL, 0, &s, &fault));
	s->state.position = 1;
	session_commit(s, "other-kernels", NULL, 0, on_done, &done);
	store_writer_flush(f.writer);
	assert_int_equal(atomic_exchange(&done, 0), 1);
	must(begin(&f, "x", NULL, 1, &s, &fault));
	assert_true(s->kernels_changed);
	session_abort(s);
	must(session_delete(f.sessions, "x", on_done, &done, &fault));
	store_writer_flush(f.writer);
	assert_int_equal(atomic_load(&done), 1);
	registry_unref((struct registry_entry *)so.model);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blob_round_trip),
		cmocka_unit_test(test_blob_damage_is_refused),
		cmocka_unit_test(test_what_no_model_can_go_on_from_is_refused),
		cmocka_unit_test(test_create_get_delete),
		cmocka_unit_test(test_bad_ids_and_metadata),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_one_writer_at_a_time),
		cmocka_unit_test(test_a_pinned_session_keeps_its_version),
		cmocka_unit_test(test_carry_and_reset_follow_the_model),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_the_least_used_is_evicted),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_a_name_taken_again_counts_once),
		cmocka_unit_test(
			test_what_belongs_to_a_session_is_deleted_with_it),
		cmocka_unit_test(test_done_comes_after_the_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
