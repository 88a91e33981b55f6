/* A sample that waits: in line for its session or its Idempotency-Key, as long
 * as wait_ms. Loop thread, but for what is said to be another's. */
#include "http/sample.h"

#include <stdlib.h>

struct sample_timer {
	uv_timer_t timer;
	struct sample *sample; /* NULL: it does not wait any more */
};

static void free_timer(uv_handle_t *handle)
{
	free(handle->data);
}

void sample_stop_wait(struct sample *s)
{
	if (!s->timer)
		return;
	s->timer->sample = NULL;
	uv_close((uv_handle_t *)&s->timer->timer, free_timer);
	s->timer = NULL;
}

bool sample_leave_line(struct sample *s)
{
	bool in_line = s->timer != NULL;

	sample_stop_wait(s);
	if (!s->in_line)
		return in_line;
	if (!session_leave(s->api->backend.sessions,
		    s->resume.is ? s->resume.record->session
				 : s->params.session,
		    &s->line))
		return false;
	s->in_line = false;
	return true;
}

static void on_timeout(uv_timer_t *timer)
{
	struct sample *s = ((struct sample_timer *)timer->data)->sample;
	bool session = s->in_line;
	struct error err;

	if (!sample_leave_line(s))
		return; /* its turn has come just now */
	if (session)
		error_set_param(&err, ERROR_BUSY, "session",
			"session %s is busy with another request, also after "
			"a wait",
			s->resume.is ? s->resume.record->session
				     : s->params.session);
	else
		error_set_param(&err, ERROR_CONFLICT, "Idempotency-Key",
			"the request with Idempotency-Key '%s' is still "
			"running, also after a wait",
			s->key.key);
	sample_refuse(s, &err);
}

int sample_wait(struct sample *s, int64_t ms, struct error *err)
{
	struct sample_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return error_set_memory(err, "wait", sizeof(*t));
	uv_timer_init(s->api->loop, &t->timer);
	t->timer.data = t;
	t->sample = s;
	s->timer = t;
	uv_timer_start(&t->timer, on_timeout, (uint64_t)ms, 0);
	return 0;
}

static void arrived(struct arrival *a)
{
	struct sample *s =
		(struct sample *)((char *)a - offsetof(struct sample, granted));

	sample_stop_wait(s);
	s->in_line = false;
	s->held = s->line.session;
	if (!s->x)
		sample_free(s);
	else
		sample_open(s);
}

/* On the thread of whoever lets go of the session. */
static void on_session_granted(struct session_wait *w)
{
	struct sample *s =
		(struct sample *)((char *)w - offsetof(struct sample, line));

	api_arrive(s->api, &s->granted);
}

void sample_hold(struct sample *s, const char *session, int64_t wait_ms)
{
	struct error err;
	int held;

	s->line.granted = on_session_granted;
	s->granted.arrived = arrived;
	if (wait_ms && sample_wait(s, wait_ms, &err) < 0) {
		sample_refuse(s, &err);
		return;
	}
	held = session_hold(s->api->backend.sessions, session,
		wait_ms ? &s->line : NULL, s->resume.is, &s->held, &err);
	s->in_line = held > 0;
	if (held < 0) {
		sample_refuse(s, &err);
	} else if (!held) {
		sample_stop_wait(s);
		sample_open(s);
	}
}
