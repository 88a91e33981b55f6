/*
 * Jobs go through one locked list to the workers and through another back to
 * the loop, which is woken. post, done and close are of the loop
 * thread; run is of a worker, worker_done of any.
 */
#include "serve/worker.h"
#include "serve/wake.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#define STACK_BYTES (4u << 20) /* as far as it is used */

struct list {
	struct worker_job *head, **tail;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list todo, ended;
	bool closing;
	size_t busy, max; /* loop thread only */
	struct wake loop;
	void (*closed)(void *arg);
	void *closed_arg;
	unsigned handles; /* of the loop, that are still to be closed */
	unsigned n_threads;
	unsigned n_working; /* of libuv's, under the lock */
	struct thread {
		struct workers *workers;
		uv_work_t work; /* of libuv's pool, or … */
		pthread_t own;
	} threads[];
};

static void list_init(struct list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void list_push(struct list *l, struct worker_job *job)
{
	job->next = NULL;
	*l->tail = job;
	l->tail = &job->next;
}

static struct worker_job *list_pop(struct list *l)
{
	struct worker_job *job = l->head;

	if (job) {
		l->head = job->next;
		if (!l->head)
			l->tail = &l->head;
	}
	return job;
}

static void *work(void *arg)
{
	struct workers *w = arg;
	struct worker_job *job;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!(job = list_pop(&w->todo)) && !w->closing)
			pthread_cond_wait(&w->wake, &w->lock);
		if (!job)
			break;
		pthread_mutex_unlock(&w->lock);
		job->run(job);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

void worker_done(struct worker_job *job)
{
	struct workers *w = job->workers;

	pthread_mutex_lock(&w->lock);
	list_push(&w->ended, job);
	wake_send(&w->loop);
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static void finish(void *workers)
{
	struct workers *w = workers;
	struct worker_job *job, *next;

	pthread_mutex_lock(&w->lock);
	job = w->ended.head;
	list_init(&w->ended);
	pthread_mutex_unlock(&w->lock);
	for (; job; job = next) {
		next = job->next;
		w->busy--;
		job->done(job);
	}
}

static int workers_new(struct workers **out, uv_loop_t *loop, unsigned threads,
	size_t max_jobs, struct error *err)
{
	struct workers *w =
		calloc(1, sizeof(*w) + threads * sizeof(w->threads[0]));

	if (!w)
		return error_set_memory(err, "workers", sizeof(*w));
	if (wake_open(&w->loop, loop, finish, w, err) < 0) {
		free(w);
		return -1;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	list_init(&w->todo);
	list_init(&w->ended);
	w->max = max_jobs;
	w->handles = 1;
	*out = w;
	return 0;
}

int workers_open(struct workers **out, uv_loop_t *loop, unsigned threads,
	size_t max_jobs, struct error *err)
{
	struct workers *w;
	pthread_attr_t attr;
	int failed = 0;

	if (workers_new(&w, loop, threads, max_jobs, err) < 0)
		return -1;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	while (!failed && w->n_threads < threads) {
		failed = pthread_create(
			&w->threads[w->n_threads].own, &attr, work, w);
		if (!failed)
			w->n_threads++;
	}
	pthread_attr_destroy(&attr);
	*out = w;
	if (!failed)
		return 0;
	workers_close(w, NULL, NULL);
	*out = NULL;
	return error_set(err, ERROR_INTERNAL, "cannot start a worker thread");
}

static void on_gone(void *workers)
{
	struct workers *w = workers;

	if (--w->handles)
		return;
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->wake);
	if (w->closed)
		w->closed(w->closed_arg);
	free(w);
}

static void work_pool(uv_work_t *uv)
{
	struct workers *w = ((struct thread *)uv->data)->workers;

	work(w);
	pthread_mutex_lock(&w->lock);
	w->n_working--;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static void on_work_over(uv_work_t *uv, int status)
{
	(void)status;
	on_gone(((struct thread *)uv->data)->workers);
}

int workers_open_pool(struct workers **out, uv_loop_t *loop, unsigned threads,
	size_t max_jobs, struct error *err)
{
	struct workers *w;
	sigset_t all, before;

	if (workers_new(&w, loop, threads, max_jobs, err) < 0)
		return -1;
	w->n_working = threads;
	w->handles += threads;
	/* The first one begins the pool's threads: signals are not for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < threads; i++) {
		struct thread *t = &w->threads[i];

		t->workers = w;
		t->work.data = t;
		uv_queue_work(loop, &t->work, work_pool, on_work_over);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	*out = w;
	return 0;
}

int workers_post(struct workers *w, struct worker_job *job, struct error *err)
{
	if (w->busy == w->max)
		return error_set(err, ERROR_OVERLOADED,
			"%zu requests wait for the store already", w->max);
	w->busy++;
	job->workers = w;
	pthread_mutex_lock(&w->lock);
	list_push(&w->todo, job);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

size_t workers_busy(const struct workers *w)
{
	return w->busy;
}

void workers_close(struct workers *w, void (*closed)(void *arg), void *arg)
{
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->n_threads; i++)
		pthread_join(w->threads[i].own, NULL);
	pthread_mutex_lock(&w->lock);
	while (w->n_working)
		pthread_cond_wait(&w->wake, &w->lock);
	pthread_mutex_unlock(&w->lock);
	while (w->busy) {
		pthread_mutex_lock(&w->lock);
		while (!w->ended.head)
			pthread_cond_wait(&w->wake, &w->lock);
		pthread_mutex_unlock(&w->lock);
		finish(w);
	}
	w->closed = closed;
	w->closed_arg = arg;
	wake_close(&w->loop, on_gone, w);
}
