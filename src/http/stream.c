#include "http/stream.h"
#include "http/reply.h"

#include <stdlib.h>
#include <string.h>

void stream_headers(struct exchange *x)
{
	exchange_add_header(x, "Cache-Control", "no-cache");
	exchange_add_header(x, "X-Accel-Buffering", "no");
}

void stream_begin(struct exchange *x)
{
	stream_headers(x);
	exchange_stream_begin(x, 200, STREAM_TYPE);
}

int stream_format(struct buf *b, const char *id, json_t *json)
{
	char *text = json ? json_dumps(json, REPLY_JSON) : NULL;
	int done = -1;

	if (text && (!id || !buf_printf(b, "id: %s\n", id)) &&
		!buf_puts(b, "data: ") && !buf_puts(b, text) &&
		!buf_puts(b, "\n\n"))
		done = 0;
	free(text);
	json_decref(json);
	return done;
}

int stream_event(struct exchange *x, const char *id, json_t *json)
{
	struct buf b;
	int written;

	buf_init(&b, EXCHANGE_MAX_BACKLOG);
	written = stream_format(&b, id, json);
	if (!written)
		written = exchange_stream_write(x, b.data, b.len);
	buf_release(&b);
	return written;
}

void stream_ping(struct exchange *x)
{
	static const char ping[] = ": ping\n\n";

	exchange_stream_write(x, ping, sizeof(ping) - 1);
}

void stream_end(struct exchange *x)
{
	exchange_stream_write(x, STREAM_DONE, sizeof(STREAM_DONE) - 1);
	exchange_stream_end(x);
}
