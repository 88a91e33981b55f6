#include "http/stream.h"
#include "http/reply.h"

#include <stdlib.h>
#include <string.h>

void stream_begin(struct exchange *x)
{
	exchange_add_header(x, "Cache-Control", "no-cache");
	exchange_add_header(x, "X-Accel-Buffering", "no");
	exchange_stream_begin(x, 200, "text/event-stream; charset=utf-8");
}

static int write_event(struct exchange *x, const char *id, const char *data)
{
	struct buf b;
	int written = -1;

	buf_init(&b, EXCHANGE_MAX_BACKLOG);
	if ((!id || !buf_printf(&b, "id: %s\n", id)) &&
		!buf_puts(&b, "data: ") && !buf_puts(&b, data) &&
		!buf_puts(&b, "\n\n"))
		written = exchange_stream_write(x, b.data, b.len);
	buf_release(&b);
	return written;
}

int stream_event(struct exchange *x, const char *id, json_t *json)
{
	char *text = json ? json_dumps(json, REPLY_JSON) : NULL;
	int written = text ? write_event(x, id, text) : -1;

	free(text);
	json_decref(json);
	return written;
}

void stream_ping(struct exchange *x)
{
	static const char ping[] = ": ping\n\n";

	exchange_stream_write(x, ping, sizeof(ping) - 1);
}

void stream_end(struct exchange *x)
{
	write_event(x, NULL, "[DONE]");
	exchange_stream_end(x);
}
