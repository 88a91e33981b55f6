/* Records of requests: their bytes, what is generated from them, what is stored
 * with a session's end; and the line for a session. */
#include "serve/fixture.h"
#include "serve/record.h"

static void make_record(struct request_record *r)
{
	*r = (struct request_record){ .start = 1234567890123,
		.seed = UINT64_MAX,
		.created = 1700000000000,
		.ttl = 300000,
		.phase = RECORD_CANCELLED,
		.finish = GENERATE_STOP,
		.kept = 77,
		.end = 1234567890200 };
	record_name(r->id);
	strcpy(r->session, "sess_test");
	strcpy(r->model, "tiny");
	strcpy(r->system, "0123-f32-avx512");
	r->body = strdup("{\"prompt\": \"é\\u0000\"}");
	r->body_len = strlen(r->body);
}

static void test_round_trip(void **state)
{
	struct fixture_options o = { 0 };
	struct session_state s, back;
	struct request_record r, *got;
	struct registry_entry *m;
	struct fixture f;
	struct buf b;
	bool has;

	fixture_init(&f, &o);
	m = fixture_model(&f);
	must(session_state_init(&s, m, &fault));
	s.position = 41;
	s.hidden[3] = (real)0.25;
	make_record(&r);
	for (int with = 0; with < 2; with++) {
		buf_init(&b, 1 << 20);
		must(record_encode(&r, with ? &s : NULL, &b, &fault));
		must(record_decode(b.data, b.len, &got, &back, &has, &fault));
		assert_int_equal(has, with);
		assert_string_equal(got->id, r.id);
		assert_string_equal(got->session, r.session);
		assert_string_equal(got->model, r.model);
		assert_string_equal(got->system, r.system);
		assert_string_equal(got->body, r.body);
		assert_int_equal(got->body_len, r.body_len);
		assert_true(got->start == r.start && got->seed == r.seed &&
			    got->created == r.created && got->ttl == r.ttl &&
			    got->phase == r.phase && got->finish == r.finish &&
			    got->kept == r.kept && got->end == r.end);
		if (with) {
			assert_int_equal(back.position, 41);
			assert_memory_equal(back.hidden, s.hidden,
				s.n_hidden * sizeof(real));
			session_state_release(&back);
		}
		record_free(got);
		buf_release(&b);
	}
	free(r.body);
	session_state_release(&s);
	registry_unref(m);
	fixture_release(&f);
}

static void test_damage_is_refused(void **state)
{
	struct request_record r, *got;
	struct session_state s;
	struct error err;
	struct buf b;
	bool has;

	make_record(&r);
	buf_init(&b, 1 << 20);
	must(record_encode(&r, NULL, &b, &fault));
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x10;
		assert_int_equal(
			record_decode(b.data, b.len, &got, &s, &has, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		b.data[i] ^= 0x10;
		assert_int_equal(
			record_decode(b.data, i, &got, &s, &has, &err), -1);
	}
	must(record_decode(b.data, b.len, &got, &s, &has, &fault));
	record_free(got);
	buf_release(&b);
	free(r.body);
}

static struct request_record *record_new(void)
{
	struct request_record *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	record_name(r->id);
	r->ttl = 60000;
	r->body = strdup("{}");
	r->body_len = 2;
	return r;
}

/* The record that a session's end stored. */
static struct request_record *stored(
	struct fixture *f, const char *id, struct session_state *start)
{
	struct request_record *r;
	bool has = false;

	must(record_read(f->sessions, id, &r, start, &has, &fault));
	assert_true(has);
	return r;
}

/* The same tokens come from the record's start state as came from the session,
 * cut code points and stop strings included. */
static void test_generated_again(void **state)
{
	struct fixture_options o = { 0 };
	char id[RECORD_ID_MAX + 1];
	const char *stops[] = { "qzx" };
	struct generate_options g;
	struct session_state start;
	struct request_record *r;
	struct outcome one, two;
	struct fixture f;

	o.tokenizer = "byte";
	fixture_init(&f, &o);
	fixture_create(&f, "s", 5);
	g = fixture_request("\xe2", 37, 0);
	g.prompt = FIXTURE_TEXT;
	g.prompt_len = 9;
	fixture_run_session(&f, "s", &g, &one);
	outcome_release(&one);
	g.length = 61;
	g.stop = stops;
	g.n_stop = 1;
	g.record = record_new();
	strcpy(id, g.record->id);
	fixture_run_session(&f, "s", &g, &one);
	assert_true(one.result.committed);

	r = stored(&f, id, &start);
	assert_int_equal(r->phase, RECORD_ENDED);
	assert_int_equal(r->kept, 61);
	assert_int_equal(r->start, 9 + 37);
	assert_int_equal(start.position, r->start);
	assert_int_equal(r->end, one.result.position);
	g.session = NULL;
	g.record = NULL;
	g.start = &start;
	g.timeline = "s";
	g.seed = r->seed;
	g.has_seed = true;
	fixture_run(&f, &g, &two);
	assert_int_equal(two.result.error.code, ERROR_NONE);
	assert_false(two.result.committed);
	assert_int_equal(two.result.position, one.result.position);
	assert_string_equal(outcome_text(&one), outcome_text(&two));
	assert_int_equal(one.tokens[0].len, two.tokens[0].len);
	assert_memory_equal(one.tokens[0].ids, two.tokens[0].ids,
		one.tokens[0].len * sizeof(uint32_t));
	session_state_release(&start);
	record_free(r);
	outcome_release(&one);
	outcome_release(&two);
	fixture_release(&f);
}

static uint64_t position(struct fixture *f, const char *id)
{
	struct session_info info;
	uint64_t at;

	must(session_get(f->sessions, id, &info, &fault));
	at = info.position;
	session_info_release(&info);
	return at;
}

#define CUT_LENGTH 3000 /* more than fits the ring: it can't end before */

/* Cancelled at 20, then carried on from the start state: a cancel before 20 is
 * none, and the end is the end of an uninterrupted one. */
static void test_cancelled_and_carried_on(void **state)
{
	struct fixture_options o = { 0 };
	char id[RECORD_ID_MAX + 1];
	struct generate_options g;
	struct session_state start;
	struct registry_entry *m;
	struct request_record *r;
	struct outcome out, whole;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "s", 5);
	g = fixture_request("the ", CUT_LENGTH, 0);
	g.record = record_new();
	strcpy(id, g.record->id);
	outcome_init(&out);
	out.cancel_at = 40;
	out.kept = 20;
	fixture_submit_session(&f, "s", &g, &out);
	fixture_until(&f, &out, 1);
	outcome_release(&out);
	assert_int_equal(position(&f, "s"), 24);
	r = stored(&f, id, &start);
	assert_int_equal(r->phase, RECORD_CANCELLED);
	assert_int_equal(r->kept, 20);
	assert_int_equal(r->end, 24);
	g.floor = r->kept;
	for (int again = 0; again < 2; again++) {
		must(session_begin(f.sessions, f.registry, "s", NULL, 24,
			&g.session, &m, &fault));
		registry_unref(m);
		session_state_copy(&g.session->state, &start);
		g.record = again ? r : NULL;
		outcome_init(&out);
		out.cancel_at = again ? 0 : 7;
		out.kept = 7;
		fixture_submit(&f, &g, &out);
		fixture_until(&f, &out, 1);
		assert_int_equal(
			position(&f, "s"), again ? 4 + CUT_LENGTH : 24);
		if (!again)
			outcome_release(&out);
	}
	session_state_release(&start);
	r = stored(&f, id, &start);
	assert_int_equal(r->phase, RECORD_ENDED);
	assert_int_equal(r->kept, CUT_LENGTH);
	record_free(r);
	session_state_release(&start);

	fixture_create(&f, "whole", 5);
	g = fixture_request("the ", CUT_LENGTH, 0);
	fixture_run_session(&f, "whole", &g, &whole);
	assert_string_equal(outcome_text(&out), outcome_text(&whole));
	outcome_release(&out);
	outcome_release(&whole);
	fixture_release(&f);
}

/* --- the answer that is stored with a session ------------------------- */

static void commit_when_settled(struct generate_request *r, void *arg)
{
	struct outcome *o = generate_user(r);
	const struct generate_event *e;
	const struct store_change c = { "answer/x", "yes", 3, STORE_NEVER };

	while ((e = generate_next(r)) != NULL) {
		if (e->type == GENERATE_SETTLED) {
			assert_int_equal(generate_result(r)->position, 12);
			assert_false(o->ended);
			generate_commit(r, &c, 1);
		}
		if (e->type == GENERATE_ENDED) {
			o->result = *generate_result(r);
			o->ended = true;
		}
	}
	(void)arg;
	if (o->ended)
		generate_close(r);
}

static void test_settled(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g;
	struct outcome out;
	struct fixture f;
	struct buf value;

	o.store = "sqlite";
	fixture_init(&f, &o);
	fixture_create(&f, "s", 5);
	g = fixture_request("th", 10, 0);
	g.settles = true;
	outcome_init(&out);
	fixture_submit_session(&f, "s", &g, &out);
	while (!out.ended) {
		fixture_wait(&f);
		engine_poll(f.engine, commit_when_settled, NULL);
	}
	assert_true(out.result.committed);
	assert_int_equal(position(&f, "s"), 12);
	buf_init(&value, 100);
	must(sessions_look_up(f.sessions, "answer/x", &value, &fault));
	assert_int_equal(value.len, 3);
	buf_release(&value);
	outcome_release(&out);
	fixture_release(&f);
}

/* --- the line --------------------------------------------------------- */

#define WAITERS 50

static atomic_int turn;

struct waiter {
	struct session_wait wait;
	int turn; /* in which it was granted, from 1; 0: not yet */
};

static void on_granted(struct session_wait *w)
{
	((struct waiter *)w)->turn = atomic_fetch_add(&turn, 1) + 1;
}

static void test_line(void **state)
{
	static struct waiter w[5];
	struct fixture_options o = { 0 };
	struct session *s = NULL, *t;
	struct error err;
	struct fixture f;

	memset(w, 0, sizeof(w));
	atomic_store(&turn, 0);
	fixture_init(&f, &o);
	fixture_create(&f, "s", 1);
	assert_int_equal(
		session_hold(f.sessions, "s", NULL, false, &s, &err), 0);
	assert_int_equal(
		session_hold(f.sessions, "s", NULL, false, &t, &err), -1);
	assert_int_equal(err.code, ERROR_BUSY);
	assert_int_equal(
		session_hold(f.sessions, "a b", NULL, false, &t, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	for (int i = 0; i < 5; i++) {
		w[i].wait.granted = on_granted;
		assert_int_equal(session_hold(f.sessions, "s", &w[i].wait,
					 i == 4, &t, &err),
			1);
	}
	assert_true(session_leave(f.sessions, "s", &w[1].wait));
	assert_false(session_leave(f.sessions, "s", &w[1].wait));
	session_abort(s); /* in front: 4, then 0 2 3 */
	assert_int_equal(w[4].turn, 1);
	assert_int_equal(w[0].turn, 0);
	assert_false(session_leave(f.sessions, "s", &w[4].wait));
	session_abort(w[4].wait.session);
	session_abort(w[0].wait.session);
	session_abort(w[2].wait.session);
	assert_int_equal(w[0].turn, 2);
	assert_int_equal(w[2].turn, 3);
	assert_int_equal(w[3].turn, 4);
	assert_int_equal(w[1].turn, 0);
	session_abort(w[3].wait.session);
	assert_int_equal(
		session_hold(f.sessions, "s", NULL, false, &s, &err), 0);
	session_abort(s);
	fixture_release(&f);
}

/* Many threads that hold and let go: one at a time, all of them once. */
struct crowd {
	struct fixture *f;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

struct member {
	struct session_wait wait;
	struct crowd *crowd;
	bool granted;
};

static atomic_int inside, served;

static void on_member(struct session_wait *w)
{
	struct member *m = (struct member *)w;

	pthread_mutex_lock(&m->crowd->lock);
	m->granted = true;
	pthread_cond_broadcast(&m->crowd->cond);
	pthread_mutex_unlock(&m->crowd->lock);
}

static void *visit(void *arg)
{
	struct crowd *c = arg;
	struct session *s;

	for (int i = 0; i < WAITERS; i++) {
		struct member m = { .wait.granted = on_member, .crowd = c };
		int held = session_hold(
			c->f->sessions, "s", &m.wait, i % 7 == 0, &s, NULL);

		assert_true(held >= 0);
		if (held && i % 5 == 0 &&
			session_leave(c->f->sessions, "s", &m.wait))
			continue;
		pthread_mutex_lock(&c->lock);
		while (held && !m.granted)
			pthread_cond_wait(&c->cond, &c->lock);
		pthread_mutex_unlock(&c->lock);
		assert_int_equal(atomic_fetch_add(&inside, 1), 0);
		atomic_fetch_add(&served, 1);
		atomic_fetch_sub(&inside, 1);
		session_abort(held ? m.wait.session : s);
	}
	return NULL;
}

static void test_crowd(void **state)
{
	struct fixture_options o = { 0 };
	struct crowd c = { 0 };
	pthread_t threads[4];
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "s", 1);
	c.f = &f;
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.cond, NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, visit, &c), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(atomic_load(&served) >= 4 * WAITERS * 4 / 5);
	pthread_cond_destroy(&c.cond);
	pthread_mutex_destroy(&c.lock);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage_is_refused),
		cmocka_unit_test(test_generated_again),
		cmocka_unit_test(test_cancelled_and_carried_on),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
