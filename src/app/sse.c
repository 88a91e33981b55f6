#include "app/sse.h"

#include <stdio.h>
#include <string.h>

void sse_init(struct sse *s, sse_event_fn *fn, void *arg)
{
	*s = (struct sse){ .fn = fn, .arg = arg };
	buf_init(&s->line, SSE_EVENT_MAX);
	buf_init(&s->data, SSE_EVENT_MAX);
}

void sse_release(struct sse *s)
{
	buf_release(&s->line);
	buf_release(&s->data);
}

static int dispatch(struct sse *s)
{
	int result = 0;

	if (s->any_data)
		result = s->fn(s->arg, s->id, s->data.len ? s->data.data : "");
	buf_clear(&s->data);
	s->any_data = false;
	return result;
}

/* Several lines of data are one text, with line ends between them. */
static int add_data(struct sse *s, const char *text)
{
	if (s->any_data && buf_puts(&s->data, "\n") < 0)
		return -1;
	s->any_data = true;
	return buf_puts(&s->data, text);
}

static int end_line(struct sse *s)
{
	const char *line = s->line.len ? s->line.data : "";
	size_t n = strcspn(line, ":");
	const char *value = line[n] ? line + n + 1 : "";
	int result = 0;

	value += *value == ' ';
	if (!*line)
		result = dispatch(s);
	else if (n == 4 && !strncmp(line, "data", 4))
		result = add_data(s, value);
	else if (n == 2 && !strncmp(line, "id", 2))
		snprintf(s->id, sizeof(s->id), "%s", value);
	buf_clear(&s->line);
	return result;
}

int sse_feed(struct sse *s, const char *bytes, size_t len)
{
	int result = 0;

	while (len && !result) {
		size_t n = 0;

		if (s->after_cr && *bytes == '\n') {
			s->after_cr = false;
			bytes++;
			len--;
			continue;
		}
		s->after_cr = false;
		while (n < len && bytes[n] != '\r' && bytes[n] != '\n')
			n++;
		if (buf_append(&s->line, bytes, n) < 0)
			return -1;
		if (n < len) {
			s->after_cr = bytes[n++] == '\r';
			result = end_line(s);
		}
		bytes += n;
		len -= n;
	}
	return result;
}
