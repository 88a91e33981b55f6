#include "text/json_lines.h"

#include <string.h>

#define LINE_MAX_BYTES (16u << 20)

void json_lines_init(struct json_lines *j)
{
	*j = (struct json_lines){ .number = 1 };
	buf_init(&j->line, LINE_MAX_BYTES);
}

void json_lines_release(struct json_lines *j)
{
	buf_release(&j->line);
}

static bool is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r", line[i]) || !line[i])
			return false;
	return true;
}

static int wrong(const struct json_lines *j, const char *what,
	const char *detail, struct error *err)
{
	return error_set_param(err, ERROR_UNPROCESSABLE, "text",
		"line %llu: %s%s, expected a JSON object with a string `text`",
		(unsigned long long)j->number, what, detail);
}

static int take_line(struct json_lines *j, const char *line, size_t len,
	size_t input, corpus_sink *sink, void *arg, struct error *err)
{
	const json_t *text;
	json_error_t where;
	json_t *json;
	size_t n;
	int rc = 0;

	if (is_blank(line, len))
		return 0;
	json = json_loadb(line, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &where);
	if (!json)
		return wrong(j, "not JSON: ", where.text, err);
	text = json_object_get(json, "text");
	n = json_string_length(text);
	if (!json_is_string(text))
		rc = wrong(j, "`text` is missing or no string", "", err);
	else if (n)
		rc = sink(arg, input, json_string_value(text), n, err);
	if (rc == 0 && n && json_string_value(text)[n - 1] != '\n')
		rc = sink(arg, input, "\n", 1, err);
	json_decref(json);
	return rc;
}

static int keep(
	struct json_lines *j, const char *text, size_t len, struct error *err)
{
	if (buf_append(&j->line, text, len) == 0)
		return 0;
	return error_set_param(err, ERROR_TOO_LARGE, "text",
		"line %llu is longer than %u bytes",
		(unsigned long long)j->number, LINE_MAX_BYTES);
}

/* A whole line: what was kept of it, and the rest. */
static int end_line(struct json_lines *j, const char *text, size_t len,
	size_t input, corpus_sink *sink, void *arg, struct error *err)
{
	if (j->line.len) {
		if (keep(j, text, len, err) < 0)
			return -1;
		text = j->line.data;
		len = j->line.len;
	}
	if (take_line(j, text, len, input, sink, arg, err) < 0)
		return -1;
	buf_clear(&j->line);
	j->number++;
	return 0;
}

int json_lines_feed(struct json_lines *j, const char *text, size_t len,
	bool last, size_t input, corpus_sink *sink, void *arg,
	struct error *err)
{
	const char *end;

	while (len && (end = memchr(text, '\n', len))) {
		size_t n = (size_t)(end - text);

		if (end_line(j, text, n, input, sink, arg, err) < 0)
			return -1;
		text += n + 1;
		len -= n + 1;
	}
	if (len && keep(j, text, len, err) < 0)
		return -1;
	if (!last)
		return 0;
	if (j->line.len && end_line(j, "", 0, input, sink, arg, err) < 0)
		return -1;
	j->number = 1;
	return 0;
}
