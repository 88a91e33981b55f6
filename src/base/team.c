/*
 * One barrier does everything: workers wait in it for a job, the caller
 * arrives last and lets them go, fn may meet in it, and all end in it. A
 * waiter spins for SPIN_NS and then sleeps on a futex; with more members than
 * cores nobody spins, since the one awaited may need this core.
 */
#include "base/team.h"

#include "base/flush.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS 50000
#define SPINS_PER_CLOCK 32 /* pauses between two looks at the clock */
#define MAX_SIZE 4096

/* A word that waiters watch for a change. */
struct gate {
	_Alignas(64) _Atomic uint32_t word;
	_Atomic uint32_t sleepers;
};

struct team {
	struct gate start; /* 0: opening, 1: go, 2: opening failed */
	struct gate turn;  /* counts barriers passed */
	_Alignas(64) _Atomic unsigned arrived;
	_Alignas(64) unsigned size;
	bool spin;
	bool stop;
	void (*fn)(void *arg, unsigned member);
	void *arg;
	const struct pace *pace; /* or NULL */
	struct worker {
		struct team *team;
		unsigned member;
		pthread_t thread;
	} * workers; /* [size - 1] */
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool spin_while(struct gate *g, uint32_t value)
{
	int64_t end = now_ns() + SPIN_NS;

	do {
		for (int i = 0; i < SPINS_PER_CLOCK; i++) {
			if (atomic_load_explicit(
				    &g->word, memory_order_acquire) != value)
				return true;
			pause_cpu();
		}
	} while (now_ns() < end);
	return false;
}

/*
 * Returns once the word is no longer `value`. Sequentially consistent pairs
 * make a lost wake-up impossible: either the waiter sees the new word, or the
 * one who changed it sees the sleeper.
 */
static void gate_wait(struct gate *g, uint32_t value, bool spin)
{
	if (spin && spin_while(g, value))
		return;
	atomic_fetch_add(&g->sleepers, 1);
	while (atomic_load(&g->word) == value)
		syscall(SYS_futex, &g->word, FUTEX_WAIT_PRIVATE, value, NULL,
			NULL, 0);
	atomic_fetch_sub(&g->sleepers, 1);
}

static void gate_set(struct gate *g, uint32_t value)
{
	atomic_store(&g->word, value);
	if (atomic_load(&g->sleepers))
		syscall(SYS_futex, &g->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
			NULL, 0);
}

void team_barrier(struct team *team, unsigned member)
{
	uint32_t turn;

	if (team->size == 1)
		return;
	/* Read before arriving: it can't move until this member arrives. */
	turn = atomic_load_explicit(&team->turn.word, memory_order_acquire);
	if (atomic_fetch_add(&team->arrived, 1) + 1 < team->size) {
		gate_wait(&team->turn, turn, team->spin);
		return;
	}
	atomic_store(&team->arrived, 0);
	gate_set(&team->turn, turn + 1);
}

static void run_member(struct team *team, unsigned member)
{
	pace_begin(team->pace);
	team->fn(team->arg, member);
	pace_end();
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct team *team = w->team;

	gate_wait(&team->start, 0, false);
	if (atomic_load(&team->start.word) != 1)
		return NULL;
	team_flush_denormals();
	for (;;) {
		team_barrier(team, w->member);
		if (team->stop)
			return NULL;
		run_member(team, w->member);
		team_barrier(team, w->member);
	}
}

/* Signals are for the threads that expect them: workers block them all. */
static int start_worker(struct worker *w)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		pthread_setname_np(w->thread, "unrolld-team");
	return rc;
}

static int start_workers(struct team *team, struct error *err)
{
	unsigned started = 0;
	int rc = 0;

	for (; started + 1 < team->size; started++) {
		struct worker *w = &team->workers[started];

		*w = (struct worker){ .team = team, .member = started + 1 };
		rc = start_worker(w);
		if (rc != 0)
			break;
	}
	gate_set(&team->start, rc == 0 ? 1 : 2);
	if (rc == 0)
		return 0;
	for (unsigned i = 0; i < started; i++)
		pthread_join(team->workers[i].thread, NULL);
	return error_set(err, ERROR_UNAVAILABLE,
		"cannot start thread %u of %u: %s", started + 2, team->size,
		strerror(rc));
}

int team_open(struct team **out, unsigned size, struct error *err)
{
	struct team *team;

	*out = NULL;
	if (size < 1 || size > MAX_SIZE)
		return error_set_param(err, ERROR_INVALID, "threads",
			"threads is %u, expected 1 to %d", size, MAX_SIZE);
	team = aligned_alloc(_Alignof(struct team), sizeof(*team));
	if (!team)
		return error_set_memory(err, "thread team", sizeof(*team));
	memset(team, 0, sizeof(*team));
	team->size = size;
	team->spin = size <= team_default_size();
	team->workers = calloc(size, sizeof(*team->workers));
	if (!team->workers)
		error_set_memory(
			err, "thread team", size * sizeof(*team->workers));
	else if (start_workers(team, err) == 0) {
		*out = team;
		return 0;
	}
	free(team->workers);
	free(team);
	return -1;
}

void team_close(struct team *team)
{
	if (!team)
		return;
	team->stop = true;
	team_barrier(team, 0);
	for (unsigned i = 0; i + 1 < team->size; i++)
		pthread_join(team->workers[i].thread, NULL);
	free(team->workers);
	free(team);
}

void team_set_pace(struct team *team, const struct pace *pace)
{
	team->pace = pace;
}

unsigned team_size(const struct team *team)
{
	return team->size;
}

void team_run(
	struct team *team, void (*fn)(void *arg, unsigned member), void *arg)
{
	uint64_t mode = flush_denormals_begin();

	team->fn = fn;
	team->arg = arg;
	team_barrier(team, 0);
	run_member(team, 0);
	team_barrier(team, 0);
	flush_denormals_end(mode);
}

void team_share(const struct team *team, unsigned member, size_t n, size_t unit,
	size_t *begin, size_t *end)
{
	size_t units = n / unit + (n % unit != 0);
	size_t each = units / team->size, extra = units % team->size;
	size_t first = each * member + (member < extra ? member : extra);
	size_t last = first + each + (member < extra);

	*begin = first < units ? first * unit : n;
	*end = last < units ? last * unit : n;
}
