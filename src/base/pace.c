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

#define LOOK_NS 1000000 /* between two looks whether it is crowded */
#define LEAST_NS 20000	/* of a burst that is worth to be waited for */
#define SIGNAL SIGRTMIN

static _Thread_local struct {
	const struct pace *pace; /* NULL: not paced */
	timer_t timer;
	int64_t burst; /* processor time of the thread when it began */
	int64_t piece; /* the same of this piece of work */
	/* When a piece of less than a burst ended, which its next one goes on
	 * with; 0: none. */
	int64_t ended;
} own;

static pthread_once_t installed = PTHREAD_ONCE_INIT;

static int64_t clock_ns(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The time on the wall says nothing: it may have waited for its core. */
static int64_t used_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Of its burst. */
static int64_t left_ns(void)
{
	return own.pace->burst_us * 1000 - (used_ns() - own.burst);
}

static void wake_after(long ns)
{
	const struct itimerspec in = { .it_value = { 0, ns } };

	timer_settime(own.timer, 0, &in, NULL);
}

static void wake_when_spent(void)
{
	const int64_t left = left_ns();

	wake_after(left < LEAST_NS ? LEAST_NS : (long)left);
}

static void look(void)
{
	const struct timespec rest = { 0, own.pace->rest_us * 1000 };

	if (!own.pace->crowded(own.pace->arg)) {
		wake_after(LOOK_NS);
		return;
	}
	if (left_ns() < LEAST_NS) {
		nanosleep(&rest, NULL);
		own.burst = used_ns();
	}
	wake_when_spent();
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

	if (!p)
		return;
	pthread_once(&installed, install);
	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &own.timer) < 0)
		return;
	own.pace = p;
	own.piece = used_ns();
	if (!own.ended ||
		clock_ns(CLOCK_MONOTONIC) - own.ended >= p->rest_us * 1000)
		own.burst = own.piece;
	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	wake_when_spent();
}

void pace_end(void)
{
	if (!own.pace)
		return;
	/* Long pieces begin anew: members of a team then rest in step. */
	own.ended = used_ns() - own.piece < own.pace->burst_us * 1000
			    ? clock_ns(CLOCK_MONOTONIC)
			    : 0;
	own.pace = NULL;
	timer_delete(own.timer);
}
