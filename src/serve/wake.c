#include "serve/wake.h"

#include <sys/eventfd.h>
#include <unistd.h>

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct wake *w = poll->data;
	eventfd_t ignored;

	(void)status;
	(void)events;
	/* Before the look: what is sent after it wakes again. */
	eventfd_read(w->fd, &ignored);
	w->woken(w->arg);
}

int wake_open(struct wake *w, uv_loop_t *loop, void (*woken)(void *arg),
	void *arg, struct error *err)
{
	w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->fd < 0)
		return error_set_errno(err, "eventfd");
	w->woken = woken;
	w->arg = arg;
	uv_poll_init(loop, &w->poll, w->fd);
	w->poll.data = w;
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	return 0;
}

void wake_send(struct wake *w)
{
	eventfd_write(w->fd, 1);
}

static void on_closed(uv_handle_t *handle)
{
	struct wake *w = handle->data;

	close(w->fd);
	w->closed(w->closed_arg);
}

void wake_close(struct wake *w, void (*closed)(void *arg), void *arg)
{
	w->closed = closed;
	w->closed_arg = arg;
	uv_close((uv_handle_t *)&w->poll, on_closed);
}
