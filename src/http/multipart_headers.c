#include "http/multipart_headers.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A header's value as its first word and parameters: `form-data; name="a"`. */
struct cursor {
	const char *p, *end;
};

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

static bool is_token(char c)
{
	return isalnum((unsigned char)c) ||
	       (c && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* The token at the cursor; its length may be 0. */
static size_t take_token(struct cursor *c, const char **token)
{
	*token = c->p;
	while (c->p < c->end && is_token(*c->p))
		c->p++;
	return (size_t)(c->p - *token);
}

/* A quoted string (only the backslash before a quote or another one is taken
 * away: browsers don't escape it, and paths of Windows have many) or all up to
 * a ';'. -1 when it does not end, or is longer than size allows. */
static int take_value(struct cursor *c, char *out, size_t size)
{
	bool quoted = c->p < c->end && *c->p == '"';
	size_t n = 0;

	c->p += quoted;
	for (; c->p < c->end && *c->p != (quoted ? '"' : ';'); c->p++) {
		if (quoted && *c->p == '\\' && c->p + 1 < c->end &&
			(c->p[1] == '"' || c->p[1] == '\\'))
			c->p++;
		if (n + 1 >= size)
			return -1;
		out[n++] = *c->p;
	}
	while (!quoted && n && (out[n - 1] == ' ' || out[n - 1] == '\t'))
		n--;
	out[n] = '\0';
	if (quoted && c->p == c->end)
		return -1;
	c->p += quoted;
	return 0;
}

enum { PARAM_NONE, PARAM_TAKEN, PARAM_BAD };

/* The next `; name=value`. What is too long for `value` counts as bad. */
static int next_param(struct cursor *c, char *name, size_t name_size,
	char *value, size_t size)
{
	const char *token;
	size_t n;

	skip_blanks(c);
	if (c->p == c->end)
		return PARAM_NONE;
	if (*c->p++ != ';')
		return PARAM_BAD;
	skip_blanks(c);
	if (c->p == c->end)
		return PARAM_NONE;
	n = take_token(c, &token);
	if (!n || n >= name_size || c->p == c->end || *c->p++ != '=')
		return PARAM_BAD;
	memcpy(name, token, n);
	name[n] = '\0';
	return take_value(c, value, size) < 0 ? PARAM_BAD : PARAM_TAKEN;
}

/* --- the request's ---------------------------------------------------- */

static bool is_boundary(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)text[i]) &&
			!strchr("'()+_,-./:=? ", text[i]))
			return false;
	return n && text[n - 1] != ' ';
}

int multipart_boundary(
	const char *content_type, char *boundary, struct error *err)
{
	static const char type[] = "multipart/form-data";
	const char *text = content_type ? content_type : "";
	struct cursor c = { text, text + strlen(text) };
	char name[32];
	int got;

	if (strncasecmp(text, type, sizeof(type) - 1) != 0)
		return error_set(err, ERROR_UNSUPPORTED,
			"Content-Type is '%.80s', expected %s", text, type);
	c.p += sizeof(type) - 1;
	do
		got = next_param(&c, name, sizeof(name), boundary,
			MULTIPART_BOUNDARY_MAX + 1);
	while (got == PARAM_TAKEN && strcasecmp(name, "boundary") != 0);
	if (got == PARAM_TAKEN && is_boundary(boundary))
		return 0;
	return error_set(err, ERROR_INVALID,
		"Content-Type '%.120s' has no boundary of 1 to %d characters",
		text, MULTIPART_BOUNDARY_MAX);
}

/* --- a part's --------------------------------------------------------- */

static int malformed(const char *what, struct cursor c, struct error *err)
{
	char shown[81];
	size_t n = 0;

	for (; c.p < c.end && n < sizeof(shown) - 1; c.p++)
		shown[n++] = isprint((unsigned char)*c.p) ? *c.p : '?';
	shown[n] = '\0';
	return error_set(err, ERROR_INVALID,
		"the multipart body is malformed: %s: '%s'", what, shown);
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* A browser of old sends the path, too. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *other = strrchr(path, '\\');

	if (!slash || (other && other > slash))
		slash = other;
	return slash ? slash + 1 : path;
}

static int read_disposition(
	struct multipart_part *part, struct cursor c, struct error *err)
{
	const struct cursor whole = c;
	const char *token;
	char name[32], value[1024];
	int got;

	if (take_token(&c, &token) != 9 || strncasecmp(token, "form-data", 9))
		return malformed("a part is no form-data", whole, err);
	while ((got = next_param(&c, name, sizeof(name), value,
			sizeof(value))) == PARAM_TAKEN) {
		char *to = NULL;
		size_t size = 0;
		const char *from = value;

		if (!strcasecmp(name, "name")) {
			to = part->name;
			size = sizeof(part->name);
		} else if (!strcasecmp(name, "filename")) {
			to = part->filename;
			size = sizeof(part->filename);
			part->is_file = true;
			from = base_name(value);
		}
		if (to && (snprintf(to, size, "%s", from) >= (int)size ||
				  !is_printable(to) ||
				  utf8_check(to, strlen(to), NULL) < 0))
			return malformed("a part's name is too long or no "
					 "text",
				whole, err);
	}
	if (got == PARAM_BAD)
		return malformed("Content-Disposition", whole, err);
	return 0;
}

static int read_type(
	struct multipart_part *part, struct cursor c, struct error *err)
{
	const struct cursor whole = c;
	char name[64], value[256], charset[256] = "";
	int got;

	while (c.p < c.end && *c.p != ';')
		c.p++;
	while ((got = next_param(&c, name, sizeof(name), value,
			sizeof(value))) == PARAM_TAKEN)
		if (!strcasecmp(name, "charset"))
			snprintf(charset, sizeof(charset), "%s", value);
	if (got == PARAM_BAD ||
		snprintf(part->charset, sizeof(part->charset), "%s", charset) >=
			(int)sizeof(part->charset))
		return malformed("Content-Type", whole, err);
	return 0;
}

/* Base64 and the like were in mails. */
static int check_encoding(struct cursor c, struct error *err)
{
	static const char *const plain[] = { "7bit", "8bit", "binary" };
	const struct cursor whole = c;
	const char *token;
	size_t n = take_token(&c, &token);

	for (size_t i = 0; i < 3; i++)
		if (n == strlen(plain[i]) && !strncasecmp(token, plain[i], n))
			return 0;
	return malformed(
		"Content-Transfer-Encoding, expected binary", whole, err);
}

static int read_line(
	struct multipart_part *part, struct cursor c, struct error *err)
{
	const struct cursor whole = c;
	const char *name;
	size_t n = take_token(&c, &name);

	if (!n || c.p == c.end || *c.p++ != ':')
		return malformed("a part's header", whole, err);
	skip_blanks(&c);
	if (n == 19 && !strncasecmp(name, "Content-Disposition", n))
		return read_disposition(part, c, err);
	if (n == 12 && !strncasecmp(name, "Content-Type", n))
		return read_type(part, c, err);
	if (n == 25 && !strncasecmp(name, "Content-Transfer-Encoding", n))
		return check_encoding(c, err);
	return 0;
}

int multipart_headers(struct multipart_part *part, const char *text, size_t len,
	struct error *err)
{
	const char *end = text + len, *cr;

	*part = (struct multipart_part){ 0 };
	for (; text < end; text = cr + 2) {
		cr = memmem(text, (size_t)(end - text), "\r\n", 2);
		if (!cr || cr == text)
			break;
		if (read_line(part, (struct cursor){ text, cr }, err) < 0)
			return -1;
	}
	if (part->name[0])
		return 0;
	return error_set(err, ERROR_INVALID,
		"the multipart body is malformed: a part has no name");
}
