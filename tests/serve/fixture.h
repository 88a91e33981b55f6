/*
 * What serve tests stand on: a directory with a tiny model of random weights,
 * and everything from registry to engine opened over it. Small, real parts.
 */
#ifndef TESTS_SERVE_FIXTURE_H
#define TESTS_SERVE_FIXTURE_H

#include "base/rng.h"
#include "nn/checkpoint.h"
#include "serve/engine.h"
#include "serve/registry.h"
#include "serve/session.h"
#include "store/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIXTURE_TEXT "\n abcdefghijklmnopqrstuvwxyz.,ABC\xc3\xa9\xe2\x82\xac"

struct fixture {
	char dir[64];
	char model_path[96];
	char store_path[96];
	struct registry *registry;
	struct store *store;
	struct store_writer *writer;
	struct sessions *sessions;
	struct engine *engine;

	/* The reader's side: woken by engines, waits here. */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned wakes;
};

struct fixture_options {
	const char *cell;      /* NULL: lstm */
	const char *tokenizer; /* NULL: char */
	const char *store;     /* NULL: memory */
	unsigned threads;      /* 0: 1 */
	size_t slots, batch, chunk, queue, queue_per_client;
	struct sessions_options sessions;
};

#define must(call)                                                \
	do {                                                      \
		struct error fault = { 0 };                       \
		if ((call) < 0)                                   \
			fail_msg("%s: %s", #call, fault.message); \
	} while (0)

static inline void fixture_write_model(
	const char *path, const char *cell, const char *kind, uint64_t seed)
{
	struct architecture a = { .hidden = 24, .layers = 2 };
	struct checkpoint c = { .dtype = CHECKPOINT_F32 };
	struct tokenizer_builder *b;
	struct tokenizer *t;
	double normal[2];

	must(tokenizer_builder_open(&b, kind, NULL, &fault));
	must(tokenizer_builder_feed(
		b, FIXTURE_TEXT, strlen(FIXTURE_TEXT), &fault));
	must(tokenizer_builder_finish(b, &t, &fault));
	strcpy(a.cell, cell);
	a.vocab = tokenizer_vocab(t);
	must(parameters_open(&c.parameters, &a, &fault));
	for (size_t i = 0; i < c.parameters.count; i++) {
		struct philox block = rng_block(seed, RNG_INIT, 0, i);

		rng_normal(&block, normal);
		c.parameters.data[i] = (real)(0.6 * normal[0]);
	}
	c.tokenizer = tokenizer_save(t);
	tokenizer_unref(t);
	must(checkpoint_save(&c, path, &fault));
	checkpoint_release(&c);
}

static void fixture_wake(void *arg)
{
	struct fixture *f = arg;

	pthread_mutex_lock(&f->lock);
	f->wakes++;
	pthread_cond_signal(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

/* The part that a restart repeats. */
static inline void fixture_start(
	struct fixture *f, const struct fixture_options *o)
{
	const char *paths[] = { f->model_path };
	struct registry_options r = { .paths = paths, .n_paths = 1 };
	struct store_options s = { .path = f->store_path };
	struct store_writer_options w = { .sweep_ms = 20 };
	struct engine_options e = { .threads = o->threads ? o->threads : 1,
		.slots = o->slots,
		.batch = o->batch,
		.chunk = o->chunk,
		.queue = o->queue,
		.queue_per_client = o->queue_per_client,
		.wake = fixture_wake,
		.wake_arg = f };

	must(registry_open(&f->registry, &r, &fault));
	must(store_open(&f->store, o->store ? o->store : "memory", &s, &fault));
	must(store_writer_open(&f->writer, f->store, &w, &fault));
	must(sessions_open(&f->sessions, f->writer, &o->sessions, &fault));
	must(engine_open(&f->engine, &e, &fault));
}

static inline void fixture_stop(struct fixture *f)
{
	engine_close(f->engine);
	sessions_close(f->sessions);
	store_writer_close(f->writer);
	store_close(f->store);
	registry_close(f->registry);
}

static inline void fixture_init(
	struct fixture *f, const struct fixture_options *o)
{
	alarm(300); /* a test that hangs has failed */
	memset(f, 0, sizeof(*f));
	strcpy(f->dir, "/tmp/unrolld-test-serve-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->model_path, sizeof(f->model_path), "%s/tiny.safetensors",
		f->dir);
	snprintf(f->store_path, sizeof(f->store_path), "%s/s.db", f->dir);
	fixture_write_model(f->model_path, o->cell ? o->cell : "lstm",
		o->tokenizer ? o->tokenizer : "char", 7);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, NULL);
	fixture_start(f, o);
}

static inline void fixture_release(struct fixture *f)
{
	char command[128];

	fixture_stop(f);
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->lock);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
}

/* What came of one request. */
struct outcome {
	struct buf text[GENERATE_MAX_CHOICES];
	struct token_buf tokens[GENERATE_MAX_CHOICES];
	enum generate_finish finish[GENERATE_MAX_CHOICES];
	double logprob; /* sum */
	struct generate_result result;
	bool ended;
	uint64_t cancel_at; /* tokens after which to cancel, 0 = never */
	uint64_t kept;
};

static inline void outcome_init(struct outcome *o)
{
	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < GENERATE_MAX_CHOICES; i++) {
		buf_init(&o->text[i], 1 << 24);
		token_buf_init(&o->tokens[i], 1 << 24);
	}
}

static inline void outcome_release(struct outcome *o)
{
	for (size_t i = 0; i < GENERATE_MAX_CHOICES; i++) {
		buf_release(&o->text[i]);
		token_buf_release(&o->tokens[i]);
	}
}

static inline const char *outcome_text(const struct outcome *o)
{
	return o->text[0].data ? o->text[0].data : "";
}

/* Reads a request's events into its outcome (generate_user), closes it. */
static inline void fixture_read(struct generate_request *r, void *arg)
{
	struct outcome *o = generate_user(r);
	const struct generate_event *e;

	while ((e = generate_next(r)) != NULL) {
		assert_false(o->ended);
		assert_int_equal(
			buf_append(&o->text[e->choice], e->text, e->text_len),
			0);
		if (e->type == GENERATE_TOKEN) {
			o->logprob += (double)e->logprob;
			token_buf_append(&o->tokens[e->choice], e->token);
			assert_int_equal(o->tokens[e->choice].len, e->index);
		} else if (e->type == GENERATE_CHOICE_END) {
			o->finish[e->choice] = e->finish;
		} else {
			o->result = *generate_result(r);
			o->ended = true;
		}
		if (o->cancel_at && e->type == GENERATE_TOKEN &&
			e->index == o->cancel_at)
			generate_cancel(r, o->kept);
	}
	if (o->ended)
		generate_close(r);
}

static inline void fixture_wait(struct fixture *f)
{
	pthread_mutex_lock(&f->lock);
	while (!f->wakes)
		pthread_cond_wait(&f->cond, &f->lock);
	f->wakes = 0;
	pthread_mutex_unlock(&f->lock);
}

static inline void fixture_until(
	struct fixture *f, const struct outcome *o, size_t n)
{
	for (size_t i = 0; i < n; i++)
		while (!o[i].ended) {
			fixture_wait(f);
			engine_poll(f->engine, fixture_read, NULL);
		}
}

static inline struct registry_entry *fixture_model(struct fixture *f)
{
	struct registry_entry *m = registry_get(f->registry, NULL, NULL);

	assert_non_null(m);
	return m;
}

/* Stateless options with a prompt. */
static inline struct generate_options fixture_request(
	const char *prompt, uint64_t length, uint64_t seed)
{
	struct generate_options g;

	generate_defaults(&g);
	g.prompt = prompt;
	g.prompt_len = strlen(prompt);
	g.length = length;
	g.seed = seed;
	g.has_seed = true;
	return g;
}

/* Opens and submits with outcome as its user. */
static inline struct generate_request *fixture_submit(
	struct fixture *f, struct generate_options *g, struct outcome *o)
{
	struct registry_entry *m = fixture_model(f);
	struct generate_request *r;

	g->model = m;
	g->user = o;
	must(generate_open(&r, g, &fault));
	registry_unref(m);
	must(engine_submit(f->engine, r, &fault));
	return r;
}

static inline void fixture_run(
	struct fixture *f, struct generate_options *g, struct outcome *o)
{
	outcome_init(o);
	fixture_submit(f, g, o);
	fixture_until(f, o, 1);
}

/* A new session; done comes once it is stored. */
static inline int fixture_store_new(struct fixture *f,
	const struct session_options *o, struct session_info *info,
	store_done_fn *done, void *arg, struct error *err)
{
	struct session *s;

	if (session_create(f->sessions, o, &s, err) < 0)
		return -1;
	must(session_info_copy(info, &s->info, err));
	session_commit(s, o->model->system, NULL, 0, done, arg);
	store_writer_flush(f->writer);
	return 0;
}

static inline void fixture_create(
	struct fixture *f, const char *id, uint64_t seed)
{
	struct registry_entry *m = fixture_model(f);
	struct session_options o = {
		.id = id, .model = m, .seed = seed, .has_seed = true, .ttl = -1
	};
	struct session_info info;

	must(fixture_store_new(f, &o, &info, NULL, NULL, &fault));
	session_info_release(&info);
	registry_unref(m);
}

/* As fixture_submit, in a session, with its seed. */
static inline void fixture_submit_session(struct fixture *f, const char *id,
	struct generate_options *g, struct outcome *o)
{
	struct registry_entry *m;

	must(session_begin(f->sessions, f->registry, id, NULL,
		SESSION_ANY_POSITION, &g->session, &m, &fault));
	registry_unref(m);
	g->has_seed = false;
	fixture_submit(f, g, o);
}

static inline void fixture_run_session(struct fixture *f, const char *id,
	struct generate_options *g, struct outcome *o)
{
	outcome_init(o);
	fixture_submit_session(f, id, g, o);
	fixture_until(f, o, 1);
}

#endif
