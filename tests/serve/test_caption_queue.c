/* Images that wait to be described: each gets what it gets alone, and nobody
 * waits for ever. The captioner's weights are random. */
#include "fixture.h"

#include "base/file.h"
#include "serve/caption_queue.h"

#include <semaphore.h>

#define PATH "build/test_caption_queue.safetensors"
#define IMAGES "tests/golden/images/"
#define MANY 40
#define MAX_PER_CLIENT MANY
#define MAX_BYTES (1u << 20)

static const char *const words[] = { "a red square", "two blue circles" };
static const char *const names[] = { IMAGES "tall.jpg", IMAGES "grey.jpg",
	IMAGES "colour.png" };
#define N_NAMES (sizeof(names) / sizeof(names[0]))

struct world {
	struct registry *registry;
	struct caption_queue *queue;
	char *images[N_NAMES];
	size_t lens[N_NAMES];
};

struct waiter {
	struct caption_request request; /* first */
	struct caption_text texts[2];
	sem_t done, go; /* `go` only where it blocks */
	unsigned place; /* in the order of ends, of ended_as */
};

static void fill(real *data, size_t n, uint32_t use)
{
	for (uint32_t i = 0; i < n; i++) {
		struct philox v = rng_block(use, RNG_SEED, i, 0);

		data[i] = (real)(rng_double(v.v[0], v.v[1]) - 0.5);
	}
}

static void write_captioner(void)
{
	struct architecture a = {
		.cell = "lstm", .hidden = 16, .layers = 1, .embedding = 8
	};
	struct captioner_weights w;
	struct tokenizer *t;
	struct cnn_config config;
	size_t gates;

	must(caption_learn_words(&t, words, 2, 1, 100, &fault));
	must(cnn_config_find(&config, "tiny", &fault));
	a.vocab = tokenizer_vocab(t) + 1;
	must(captioner_weights_open(&w, &a, cnn_config_width(&config), &fault));
	gates = 4 * a.hidden;
	w.sees = true;
	image_form_defaults(&w.form);
	w.form.side = w.form.crop = config.side;
	w.decoder.tokenizer = tokenizer_save(t);
	must(cnn_weights_open(&w.cnn, &config, &fault));
	cnn_weights_initialise(&w.cnn, 5);
	fill(w.decoder.parameters.data, w.decoder.parameters.count, 6);
	fill(w.condition, gates * w.features, 7);
	must(captioner_weights_save(&w, PATH, &fault));
	captioner_weights_release(&w);
	tokenizer_unref(t);
}

static bool always(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
	return true;
}

/* crowded: counts looks, or NULL. */
static void open_world(
	struct world *w, unsigned threads, size_t max, atomic_uint *crowded)
{
	const char *path = PATH;
	const struct registry_options o = { .paths = &path,
		.n_paths = 1,
		.weights = REGISTRY_AS_STORED,
		.captioner_threads = 2 };
	const struct caption_queue_options q = { .threads = threads,
		.max = max,
		.max_per_client = MAX_PER_CLIENT,
		.nice = crowded ? 1 : 0,
		.crowded = always,
		.crowded_arg = crowded };

	write_captioner();
	must(registry_open(&w->registry, &o, &fault));
	must(caption_queue_open(&w->queue, &q, &fault));
	for (size_t i = 0; i < N_NAMES; i++)
		must(file_read(names[i], MAX_BYTES, &w->images[i], &w->lens[i],
			&fault));
}

static void close_world(struct world *w)
{
	assert_int_equal(caption_queue_busy(w->queue), 0);
	caption_queue_close(w->queue);
	registry_close(w->registry);
	for (size_t i = 0; i < N_NAMES; i++)
		free(w->images[i]);
	unlink(PATH);
}

static void ended(struct caption_request *r)
{
	sem_post(&((struct waiter *)r)->done);
}

static void ended_and_blocks(struct caption_request *r)
{
	struct waiter *x = (struct waiter *)r;

	sem_post(&x->done);
	sem_wait(&x->go);
}

static void prepare(struct waiter *x, struct world *w, size_t i)
{
	memset(x, 0, sizeof(*x));
	x->request.image = w->images[i % N_NAMES];
	x->request.len = w->lens[i % N_NAMES];
	x->request.model = registry_get_captioner(w->registry, NULL, NULL);
	assert_non_null(x->request.model);
	caption_defaults(&x->request.options);
	x->request.options.n = 2;
	x->request.options.max_length = 6;
	x->request.texts = x->texts;
	x->request.ended = ended;
	sem_init(&x->done, 0, 0);
	sem_init(&x->go, 0, 0);
}

static void finish(struct waiter *x)
{
	registry_unref(x->request.model);
	caption_texts_release(x->texts, x->request.n);
	sem_destroy(&x->done);
	sem_destroy(&x->go);
}

static void post(struct waiter *x, struct world *w)
{
	must(caption_queue_post(w->queue, &x->request, &fault));
}

/* The queue's only thread, where `first` has ended, until it may go. */
static void hold_up(struct waiter *first, struct world *w)
{
	prepare(first, w, 0);
	first->request.ended = ended_and_blocks;
	post(first, w);
	sem_wait(&first->done);
}

static void check_many(atomic_uint *crowded)
{
	static struct waiter alone[N_NAMES], many[MANY];
	struct world w;

	open_world(&w, 2, MANY, crowded);
	for (size_t i = 0; i < N_NAMES; i++) {
		prepare(&alone[i], &w, i);
		post(&alone[i], &w);
		sem_wait(&alone[i].done);
		assert_int_equal(alone[i].request.err.code, ERROR_NONE);
		assert_int_equal(alone[i].request.n, 2);
	}
	for (size_t i = 0; i < MANY; i++)
		prepare(&many[i], &w, i);
	for (size_t i = 0; i < MANY; i++)
		post(&many[i], &w);
	for (size_t i = 0; i < MANY; i++) {
		const struct waiter *same = &alone[i % N_NAMES];

		sem_wait(&many[i].done);
		assert_int_equal(many[i].request.n, 2);
		for (size_t k = 0; k < 2; k++) {
			assert_string_equal(
				many[i].texts[k].text, same->texts[k].text);
			assert_true(many[i].texts[k].logprob ==
				    same->texts[k].logprob);
		}
		finish(&many[i]);
	}
	for (size_t i = 0; i < N_NAMES; i++)
		finish(&alone[i]);
	close_world(&w);
}

static void each_gets_what_it_gets_alone(void **unused)
{
	check_many(NULL);
}

static void so_it_does_where_threads_make_way(void **unused)
{
	atomic_uint looks = 0;

	check_many(&looks);
	assert_true(looks > 0);
}

static void what_is_no_image_ends_with_its_error(void **unused)
{
	static struct waiter x;
	struct world w;

	open_world(&w, 1, 4, NULL);
	prepare(&x, &w, 0);
	x.request.image = "GIF89a..";
	x.request.len = 8;
	post(&x, &w);
	sem_wait(&x.done);
	assert_int_equal(x.request.err.code, ERROR_INVALID);
	finish(&x);
	close_world(&w);
}

static void a_full_queue_refuses_and_is_dropped(void **unused)
{
	static struct waiter first, gone, waiting, late;
	struct world w;
	struct error err;

	open_world(&w, 1, 2, NULL);
	hold_up(&first, &w);
	prepare(&gone, &w, 1);
	prepare(&waiting, &w, 2);
	prepare(&late, &w, 0);
	atomic_store(&gone.request.cancelled, true);
	post(&gone, &w);
	post(&waiting, &w);
	assert_int_equal(caption_queue_post(w.queue, &late.request, &err), -1);
	assert_int_equal(err.code, ERROR_OVERLOADED);
	assert_string_equal(err.param, "captions.queue");
	sem_post(&first.go);
	sem_wait(&gone.done);
	assert_int_equal(gone.request.err.code, ERROR_CANCELLED);
	sem_wait(&waiting.done);
	assert_int_equal(waiting.request.err.code, ERROR_NONE);
	close_world(&w);
	finish(&first);
	finish(&gone);
	finish(&waiting);
	finish(&late);
}

static atomic_uint ended_before;

static void ended_as(struct caption_request *r)
{
	struct waiter *x = (struct waiter *)r;

	x->place = atomic_fetch_add(&ended_before, 1);
	sem_post(&x->done);
}

static void clients_take_turns(void **unused)
{
	enum { OF_FIRST = 20, N = OF_FIRST + 2 };
	static struct waiter first, waiting[N];
	struct world w;

	open_world(&w, 1, N + 2, NULL);
	hold_up(&first, &w);
	for (size_t i = 0; i < N; i++) {
		prepare(&waiting[i], &w, i);
		waiting[i].request.client = i < OF_FIRST ? 1 : 2;
		waiting[i].request.ended = ended_as;
		post(&waiting[i], &w);
	}
	sem_post(&first.go);
	for (size_t i = 0; i < N; i++)
		sem_wait(&waiting[i].done);
	/* The second client's two are read in the first two turns, and are in
	 * the first batch; the first client's stay in order. */
	for (size_t i = 0; i < 2; i++)
		assert_true(waiting[OF_FIRST + i].place <
			    waiting[OF_FIRST - 1].place);
	for (size_t i = 1; i < OF_FIRST; i++)
		assert_true(waiting[i - 1].place < waiting[i].place);
	for (size_t i = 0; i < N; i++)
		finish(&waiting[i]);
	close_world(&w);
	finish(&first);
}

static void a_client_has_its_share_of_the_queue(void **unused)
{
	static struct waiter first, waiting[MAX_PER_CLIENT], more, other;
	struct world w;
	struct error err;

	open_world(&w, 1, MANY + 2, NULL);
	hold_up(&first, &w);
	for (size_t i = 0; i < MAX_PER_CLIENT; i++) {
		prepare(&waiting[i], &w, i);
		waiting[i].request.client = 1;
		post(&waiting[i], &w);
	}
	prepare(&more, &w, 0);
	more.request.client = 1;
	assert_int_equal(caption_queue_post(w.queue, &more.request, &err), -1);
	assert_int_equal(err.code, ERROR_OVERLOADED);
	assert_string_equal(err.param, "captions.queue_per_client");
	prepare(&other, &w, 0);
	other.request.client = 2;
	post(&other, &w);
	sem_post(&first.go);
	sem_wait(&other.done);
	for (size_t i = 0; i < MAX_PER_CLIENT; i++) {
		sem_wait(&waiting[i].done);
		finish(&waiting[i]);
	}
	close_world(&w);
	finish(&first);
	finish(&more);
	finish(&other);
}

static void what_waits_is_dropped(void **unused)
{
	static struct waiter first, waiting[3];
	struct world w;

	open_world(&w, 1, 8, NULL);
	hold_up(&first, &w);
	for (size_t i = 0; i < 3; i++) {
		prepare(&waiting[i], &w, i);
		post(&waiting[i], &w);
	}
	caption_queue_drop(w.queue);
	for (size_t i = 0; i < 3; i++) {
		sem_wait(&waiting[i].done);
		assert_int_equal(
			waiting[i].request.err.code, ERROR_UNAVAILABLE);
		finish(&waiting[i]);
	}
	sem_post(&first.go);
	close_world(&w);
	finish(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_gets_what_it_gets_alone),
		cmocka_unit_test(so_it_does_where_threads_make_way),
		cmocka_unit_test(what_is_no_image_ends_with_its_error),
		cmocka_unit_test(a_full_queue_refuses_and_is_dropped),
		cmocka_unit_test(clients_take_turns),
		cmocka_unit_test(a_client_has_its_share_of_the_queue),
		cmocka_unit_test(what_waits_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
