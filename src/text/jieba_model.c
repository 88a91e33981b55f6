#include "text/jieba_model.h"

#include "base/utf8.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (64u << 20)
#define NO_KEY UINT32_MAX

/* A dict of numbers, or of dicts of them; keys are of one character. */
struct parser {
	const char *s;
	const char *text, *path;
	/* Takes P[outer][inner] = value; inner is NO_KEY for P[outer]. */
	int (*take)(void *arg, uint32_t outer, uint32_t inner, double value);
	void *arg;
};

static int wrong(
	const struct parser *p, const char *expected, struct error *err)
{
	unsigned line = 1;

	for (const char *s = p->text; s < p->s; s++)
		line += *s == '\n';
	return error_set(err, ERROR_INVALID, "%s:%u: expected %s", p->path,
		line, expected);
}

static void skip_space(struct parser *p)
{
	p->s += strspn(p->s, " \t\r\n");
}

static bool take_char(struct parser *p, char c)
{
	skip_space(p);
	if (*p->s != c)
		return false;
	p->s++;
	return true;
}

/* 'x' or '\uXXXX', with a u before it or not. */
static int read_key(struct parser *p, uint32_t *key, struct error *err)
{
	char hex[5] = "", *end;
	int n;

	take_char(p, 'u');
	if (!take_char(p, '\''))
		return wrong(p, "a key in single quotes", err);
	if (p->s[0] == '\\' && p->s[1] == 'u') {
		snprintf(hex, sizeof(hex), "%.4s", p->s + 2);
		*key = (uint32_t)strtoul(hex, &end, 16);
		n = end == hex + 4 ? 6 : 0;
	} else {
		n = utf8_next(p->s, strlen(p->s), key);
	}
	if (n <= 0)
		return wrong(p, "a character", err);
	p->s += n;
	return *p->s++ == '\'' ? 0 : wrong(p, "a key of one character", err);
}

static int read_number(struct parser *p, double *value, struct error *err)
{
	char *end;

	*value = strtod(p->s, &end);
	if (end == p->s || !isfinite(*value))
		return wrong(p, "a number", err);
	p->s = end;
	return 0;
}

static int read_dict(struct parser *p, uint32_t outer, struct error *err);

static int read_item(struct parser *p, uint32_t outer, struct error *err)
{
	uint32_t key = 0;
	double value = 0;

	if (read_key(p, &key, err) < 0)
		return -1;
	if (!take_char(p, ':'))
		return wrong(p, "a colon", err);
	skip_space(p);
	if (*p->s == '{' && outer == NO_KEY)
		return read_dict(p, key, err);
	if (read_number(p, &value, err) < 0)
		return -1;
	if (outer == NO_KEY ? p->take(p->arg, key, NO_KEY, value)
			    : p->take(p->arg, outer, key, value))
		return wrong(p, "states B, M, E and S", err);
	return 0;
}

static int read_dict(struct parser *p, uint32_t outer, struct error *err)
{
	if (!take_char(p, '{'))
		return wrong(p, "a dict", err);
	do {
		skip_space(p);
		if (*p->s == '}')
			break;
		if (read_item(p, outer, err) < 0)
			return -1;
	} while (take_char(p, ','));
	return take_char(p, '}') ? 0 : wrong(p, "a comma or }", err);
}

static int read_file(struct parser *p, const char *directory, const char *name,
	struct error *err)
{
	char path[4096], *text, *start;
	size_t len;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (file_read(path, FILE_MAX, &text, &len, err) < 0)
		return -1;
	start = strstr(text, "P=");
	p->text = text;
	p->path = path;
	p->s = start ? start + 2 : text;
	rc = start ? read_dict(p, NO_KEY, err) : wrong(p, "P={…}", err);
	free(text);
	return rc;
}

/* JIEBA_STATES where there is no such state. */
static unsigned state_of(uint32_t key)
{
	static const char names[] = "BEMS";
	const char *at = key && key < 128 ? strchr(names, (int)key) : NULL;

	return at ? (unsigned)(at - names) : JIEBA_STATES;
}

static int take_start(void *arg, uint32_t outer, uint32_t inner, double value)
{
	struct jieba_model *m = arg;
	unsigned y = state_of(outer);

	if (y == JIEBA_STATES || inner != NO_KEY)
		return -1;
	m->start[y] = value;
	return 0;
}

static int take_transition(
	void *arg, uint32_t outer, uint32_t inner, double value)
{
	struct jieba_model *m = arg;
	unsigned from = state_of(outer), to = state_of(inner);

	if (from == JIEBA_STATES || to == JIEBA_STATES)
		return -1;
	m->transitions[from][to] = value;
	return 0;
}

/* Of the BMP, where finalseg's ideographs are. */
struct table {
	double log[JIEBA_STATES][0x10000];
	bool seen[0x10000];
};

static int take_emission(
	void *arg, uint32_t outer, uint32_t inner, double value)
{
	struct table *t = arg;
	unsigned y = state_of(outer);

	if (y == JIEBA_STATES || inner > 0xffff)
		return -1;
	t->log[y][inner] = value;
	t->seen[inner] = true;
	return 0;
}

static int keep_emissions(
	struct jieba_model *m, const struct table *t, struct error *err)
{
	for (uint32_t cp = 0; cp < 0x10000; cp++)
		m->n += t->seen[cp];
	m->emissions = calloc(m->n + 1, sizeof(*m->emissions));
	if (!m->emissions)
		return error_set_memory(
			err, "emissions", m->n * sizeof(*m->emissions));
	m->n = 0;
	for (uint32_t cp = 0; cp < 0x10000; cp++) {
		struct jieba_emission *e = &m->emissions[m->n];

		if (!t->seen[cp])
			continue;
		e->cp = cp;
		for (unsigned y = 0; y < JIEBA_STATES; y++)
			e->log[y] = t->log[y][cp];
		m->n++;
	}
	return 0;
}

static int read_emissions(
	struct jieba_model *m, const char *directory, struct error *err)
{
	struct table *t = calloc(1, sizeof(*t));
	struct parser p = { .take = take_emission, .arg = t };
	int rc;

	if (!t)
		return error_set_memory(err, "emissions", sizeof(*t));
	for (unsigned y = 0; y < JIEBA_STATES; y++)
		for (uint32_t cp = 0; cp < 0x10000; cp++)
			t->log[y][cp] = JIEBA_MIN_FLOAT;
	rc = read_file(&p, directory, "prob_emit.py", err);
	if (rc == 0)
		rc = keep_emissions(m, t, err);
	free(t);
	return rc;
}

int jieba_model_read(
	struct jieba_model *m, const char *directory, struct error *err)
{
	struct parser start = { .take = take_start, .arg = m };
	struct parser transitions = { .take = take_transition, .arg = m };

	*m = (struct jieba_model){ 0 };
	for (unsigned y = 0; y < JIEBA_STATES; y++) {
		m->start[y] = JIEBA_MIN_FLOAT;
		for (unsigned to = 0; to < JIEBA_STATES; to++)
			m->transitions[y][to] = JIEBA_MIN_FLOAT;
	}
	if (read_file(&start, directory, "prob_start.py", err) < 0 ||
		read_file(&transitions, directory, "prob_trans.py", err) < 0)
		return -1;
	return read_emissions(m, directory, err);
}

void jieba_model_release(struct jieba_model *m)
{
	free(m->emissions);
	*m = (struct jieba_model){ 0 };
}
