#include "base/queue.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include "test.h"

#define PRODUCERS 4
#define EACH 5000

static void count_wake(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
}

static void test_queue_is_first_in_first_out(void **state)
{
	int items[5], wakes = 0;
	struct queue *q;
	void *got[8];

	assert_int_equal(queue_open(&q, 3, count_wake, &wakes, NULL), 0);
	assert_null(queue_pop(q));
	for (int round = 0; round < 4; round++) {
		assert_int_equal(queue_push(q, &items[0]), 0);
		assert_int_equal(queue_push(q, &items[1]), 0);
		assert_ptr_equal(queue_pop(q), &items[0]);
		assert_int_equal(queue_push(q, &items[2]), 0);
		assert_int_equal(queue_push(q, &items[3]), 0);
		assert_int_equal(queue_push(q, &items[4]), -1);
		assert_int_equal(queue_length(q), 3);
		assert_int_equal(queue_pop_many(q, got, 2), 2);
		assert_ptr_equal(got[0], &items[1]);
		assert_ptr_equal(got[1], &items[2]);
		assert_int_equal(queue_pop_many(q, got, 8), 1);
		assert_ptr_equal(got[0], &items[3]);
	}
	assert_int_equal(wakes, 4);
	queue_close(q);
}

static void test_queue_shut(void **state)
{
	struct error err;
	struct queue *q;
	int item;

	assert_int_equal(queue_open(&q, 3, NULL, NULL, NULL), 0);
	assert_int_equal(queue_push(q, &item), 0);
	queue_shut(q);
	assert_int_equal(queue_push(q, &item), -1);
	assert_ptr_equal(queue_pop(q), &item);
	queue_close(q);
	assert_int_equal(queue_open(&q, 0, NULL, NULL, &err), -1);
	assert_error(
		err, ERROR_INVALID, "queue capacity is 0, expected at least 1");
}

/* A consumer that sleeps until it is woken, as an event loop does. */
struct bell {
	pthread_mutex_t lock;
	pthread_cond_t rung;
	int rings;
};

static void ring_bell(void *arg)
{
	struct bell *b = arg;

	pthread_mutex_lock(&b->lock);
	b->rings++;
	pthread_cond_signal(&b->rung);
	pthread_mutex_unlock(&b->lock);
}

static void wait_bell(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	while (!b->rings)
		pthread_cond_wait(&b->rung, &b->lock);
	b->rings = 0;
	pthread_mutex_unlock(&b->lock);
}

struct item {
	int producer;
	int number;
};

struct producer {
	struct queue *q;
	struct item *items; /* [EACH] */
};

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (int i = 0; i < EACH; i++)
		while (queue_push(p->q, &p->items[i]) < 0)
			sched_yield();
	return NULL;
}

static void test_queue_of_many_producers(void **state)
{
	struct bell bell = { PTHREAD_MUTEX_INITIALIZER,
		PTHREAD_COND_INITIALIZER, 0 };
	struct producer producers[PRODUCERS];
	pthread_t threads[PRODUCERS];
	int next[PRODUCERS] = { 0 }, total = 0;
	struct queue *q;
	struct item *item;

	assert_int_equal(queue_open(&q, 64, ring_bell, &bell, NULL), 0);
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i].q = q;
		producers[i].items = calloc(EACH, sizeof(struct item));
		for (int k = 0; k < EACH; k++)
			producers[i].items[k] = (struct item){ i, k };
		pthread_create(&threads[i], NULL, produce, &producers[i]);
	}
	while (total < PRODUCERS * EACH) {
		wait_bell(&bell);
		while ((item = queue_pop(q))) {
			assert_int_equal(item->number, next[item->producer]);
			next[item->producer]++;
			total++;
		}
	}
	for (int i = 0; i < PRODUCERS; i++) {
		pthread_join(threads[i], NULL);
		free(producers[i].items);
	}
	assert_int_equal(queue_length(q), 0);
	queue_close(q);
}

struct record {
	uint64_t number;
	char text[20];
};

static void test_ring_in_one_thread(void **state)
{
	struct ring *r;
	struct error err;
	bool was_empty;
	char c;

	assert_int_equal(ring_open(&r, 3, 1, NULL), 0);
	assert_int_equal(ring_capacity(r), 3);
	assert_false(ring_pop(r, &c));
	for (int round = 0; round < 10; round++) {
		assert_true(ring_push(r, "a", &was_empty));
		assert_true(was_empty);
		assert_true(ring_push(r, "b", &was_empty));
		assert_false(was_empty);
		assert_true(ring_push(r, "c", NULL));
		assert_false(ring_push(r, "d", NULL));
		assert_int_equal(ring_length(r), 3);
		assert_true(ring_pop(r, &c) && c == 'a');
		assert_true(ring_pop(r, &c) && c == 'b');
		assert_true(ring_pop(r, &c) && c == 'c');
		assert_false(ring_pop(r, &c));
	}
	ring_close(r);
	assert_int_equal(ring_open(&r, 0, 1, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
}

#define RECORDS 50000

struct stream {
	struct ring *ring;
	struct bell bell;
};

static void *produce_records(void *arg)
{
	struct stream *s = arg;
	struct record rec = { 0 };
	bool was_empty;

	for (uint64_t i = 0; i < RECORDS; i++) {
		rec.number = i;
		memset(rec.text, (int)(i % 26) + 'a', sizeof(rec.text));
		while (!ring_push(s->ring, &rec, &was_empty))
			sched_yield();
		if (was_empty)
			ring_bell(&s->bell);
	}
	return NULL;
}

/* The consumer sleeps when it finds nothing: a lost wake-up would hang it. */
static void test_ring_between_two_threads(void **state)
{
	struct stream s = { .bell = { PTHREAD_MUTEX_INITIALIZER,
				    PTHREAD_COND_INITIALIZER, 0 } };
	struct record rec;
	pthread_t thread;
	uint64_t next = 0;

	assert_int_equal(ring_open(&s.ring, 50, sizeof(rec), NULL), 0);
	pthread_create(&thread, NULL, produce_records, &s);
	while (next < RECORDS) {
		wait_bell(&s.bell);
		while (ring_pop(s.ring, &rec)) {
			assert_int_equal(rec.number, next);
			assert_int_equal(rec.text[0], next % 26 + 'a');
			assert_int_equal(rec.text[19], next % 26 + 'a');
			next++;
		}
	}
	pthread_join(thread, NULL);
	ring_close(s.ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_is_first_in_first_out),
		cmocka_unit_test(test_queue_shut),
		cmocka_unit_test(test_queue_of_many_producers),
		cmocka_unit_test(test_ring_in_one_thread),
		cmocka_unit_test(test_ring_between_two_threads),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
