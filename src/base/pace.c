/* Each paced thread has a timer of its own, whose signal comes to that thread;
 * the rest is slept in the signal's handler. */
#include "base/pace.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

/* Few bursts, of which one delays one answer: of the answers of a stream, some
 * 0.1 ms apart, that is less than one in a hundred. */
#define BURST_NS 1800000
#define REST_NS 30000000
#define LOOK_NS 1000000 /* between two looks whether it is crowded */
#define LEAST_NS 20000	/* of a burst that is worth to be waited for */
#define SIGNAL SIGRTMIN

static _Thread_local struct {
	const struct pace *pace; /* NULL: not paced */
	timer_t timer;
	int64_t burst; /* processor time of the thread when it began */
} own;

static pthread_once_t installed = PTHREAD_ONCE_INIT;

static int64_t used_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void wake_after(long ns)
{
	const struct itimerspec in = { .it_value = { 0, ns } };

	timer_settime(own.timer, 0, &in, NULL);
}

/* The time on the wall says nothing: it may have waited for its core. */
static void look(void)
{
	const struct timespec rest = { 0, REST_NS };
	int64_t left;

	if (!own.pace->crowded(own.pace->arg)) {
		wake_after(LOOK_NS);
		return;
	}
	left = BURST_NS - (used_ns() - own.burst);
	if (left >= LEAST_NS) {
		wake_after((long)left);
		return;
	}
	nanosleep(&rest, NULL);
	own.burst = used_ns();
	wake_after(BURST_NS);
}

static void on_signal(int number)
{
	const int saved = errno;

	(void)number;
	if (own.pace)
		look();
	errno = saved;
}

static void install(void)
{
	struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	sigaction(SIGNAL, &action, NULL);
}

void pace_begin(const struct pace *p)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGNAL };
	sigset_t set;

	pthread_once(&installed, install);
	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &own.timer) < 0)
		return;
	own.burst = used_ns();
	own.pace = p;
	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	wake_after(BURST_NS);
}

void pace_end(void)
{
	if (!own.pace)
		return;
	own.pace = NULL;
	timer_delete(own.timer);
}
