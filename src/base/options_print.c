#include "base/options_private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 80
#define HELP_COLUMN 30

/* Every function returns 0, or -1 when the buffer is full. */

static int print_field(const struct options *o, size_t i, struct buf *out)
{
	const struct option *row = &o->rows[i];

	if (row->flags & OPTION_SECRET)
		return o->origins[i].source ? buf_puts(out, "(set)") : 0;
	return option_kind(row->type)->print(row, option_field(o, i), out);
}

int options_print_value(
	const struct options *o, const char *name, struct buf *out)
{
	size_t i = option_find(o, name);

	return i < o->n_rows ? print_field(o, i, out) : -1;
}

/* `text` from column `column` on, wrapped at WIDTH, each further line after
 * `indent`. */
static int print_wrapped(
	struct buf *out, const char *text, size_t column, const char *indent)
{
	size_t margin = strlen(indent);
	int rc = 0;

	while (*text && rc == 0) {
		size_t len = strcspn(text, " ");

		if (column > margin && column + 1 + len > WIDTH) {
			rc |= buf_printf(out, "\n%s", indent);
			column = margin;
		} else if (column > margin) {
			rc |= buf_puts(out, " ");
			column++;
		}
		rc |= buf_append(out, text, len);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	return rc | buf_puts(out, "\n");
}

/* "  -o, --output FILE" */
static int print_flag(const struct option *row, struct buf *out)
{
	const char *argument = row->argument ? row->argument
					     : option_kind(row->type)->argument;
	int rc;

	if (row->letter)
		rc = buf_printf(out, "  -%c, --", row->letter);
	else
		rc = buf_puts(out, "      --");
	if (row->type == OPTION_BOOL && row->value &&
		strcmp(row->value, "true") == 0)
		rc |= buf_puts(out, "[no-]");
	rc |= buf_puts(out, row->name);
	if (row->type == OPTION_ENUM && !row->argument)
		return rc | buf_printf(out, " %s", row->choices);
	return argument ? rc | buf_printf(out, " %s", argument) : rc;
}

/* "default 8080, from 1 to 65535"; empty where there is nothing to say. */
static int print_facts(const struct option *row, struct buf *out)
{
	const char *sep = "";
	int rc = 0;

	if (row->value && *row->value && !(row->flags & OPTION_SECRET) &&
		!(row->type == OPTION_BOOL &&
			strcmp(row->value, "false") == 0)) {
		rc |= buf_printf(out, "default %s", row->value);
		sep = ", ";
	}
	if (row->min && row->max)
		rc |= buf_printf(
			out, "%sfrom %s to %s", sep, row->min, row->max);
	else if (row->min)
		rc |= buf_printf(out, "%sat least %s", sep, row->min);
	else if (row->max)
		rc |= buf_printf(out, "%sat most %s", sep, row->max);
	else if (row->type == OPTION_LIST)
		rc |= buf_printf(out, "%smay be repeated", sep);
	return rc;
}

/* Help and facts as one paragraph. */
static int describe(const struct option *row, struct buf *text)
{
	struct buf facts;
	int rc;

	buf_init(&facts, text->max);
	rc = print_facts(row, &facts);
	rc |= buf_puts(text, row->help);
	if (facts.len)
		rc |= buf_printf(text, " (%s)", facts.data);
	buf_release(&facts);
	return rc;
}

static int print_help_row(const struct option *row, struct buf *out)
{
	size_t start = out->len, column;
	char indent[HELP_COLUMN + 1];
	struct buf text;
	int rc;

	memset(indent, ' ', HELP_COLUMN);
	indent[HELP_COLUMN] = '\0';
	buf_init(&text, out->max);
	rc = print_flag(row, out);
	column = out->len - start;
	if (column + 2 > HELP_COLUMN) {
		rc |= buf_printf(out, "\n%s", indent);
		column = HELP_COLUMN;
	}
	while (column < HELP_COLUMN && rc == 0) {
		rc |= buf_puts(out, " ");
		column++;
	}
	rc |= describe(row, &text);
	if (rc == 0)
		rc = print_wrapped(out, text.data, column, indent);
	buf_release(&text);
	return rc ? -1 : 0;
}

int options_print_help(const struct options *o, struct buf *out)
{
	int rc = 0;

	for (size_t i = 0; i < o->n_rows && rc == 0; i++) {
		const struct option *row = &o->rows[i];

		if (row->type == OPTION_HEADING)
			rc = buf_printf(out, "%s%s:\n", out->len ? "\n" : "",
				row->help);
		else
			rc = print_help_row(row, out);
	}
	return rc;
}

/* What would not be read as it stands: a `;` after a space is a comment. */
static bool writable_value(const char *text)
{
	size_t len = strlen(text);

	if (len && isspace((unsigned char)text[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n' || (isspace((unsigned char)text[i]) &&
					       (i == 0 || text[i + 1] == ';')))
			return false;
	return true;
}

static int print_assignment(const struct options *o, size_t i, const char *key,
	const char *value, struct buf *out)
{
	bool secret = o->rows[i].flags & OPTION_SECRET;
	const char *mark = o->origins[i].source && !secret ? "" : ";";

	if (!writable_value(value))
		return buf_printf(out,
			"; %s is set by %s to a text that no file can hold\n",
			key, o->origins[i].source ? o->origins[i].source : "");
	return buf_printf(out, "%s%s =%s%s\n", mark, key,
		*value && *value != ';' ? " " : "", value);
}

static int print_assignments(
	const struct options *o, size_t i, const char *key, struct buf *out)
{
	const struct option_list *l = option_field(o, i);
	struct buf value;
	int rc = 0;

	if (o->rows[i].type == OPTION_LIST &&
		!(o->rows[i].flags & OPTION_SECRET) && l->n) {
		for (size_t k = 0; k < l->n; k++)
			rc |= print_assignment(o, i, key, l->items[k], out);
		return rc;
	}
	buf_init(&value, out->max);
	rc = print_field(o, i, &value);
	if (rc == 0)
		rc = print_assignment(
			o, i, key, value.data ? value.data : "", out);
	buf_release(&value);
	return rc;
}

static int print_file_row(
	const struct options *o, size_t i, const char *key, struct buf *out)
{
	const struct option *row = &o->rows[i];
	char expected[256];
	struct buf text;
	int rc;

	buf_init(&text, out->max);
	rc = describe(row, &text);
	if (row->type == OPTION_ENUM) {
		option_expected(row, expected, sizeof(expected));
		rc |= buf_printf(&text, ": %s", expected);
	}
	rc |= buf_puts(out, "\n; ");
	if (rc == 0)
		rc = print_wrapped(out, text.data, 2, "; ");
	rc |= print_assignments(o, i, key, out);
	buf_release(&text);
	return rc ? -1 : 0;
}

int options_print_file(const struct options *o, struct buf *out)
{
	const char *section = "";
	size_t section_len = 0;
	int rc = buf_puts(out,
		"; A line that begins with ; or # is a comment, and so is what "
		"follows \" ;\".\n; What is commented out below is the "
		"default.\n");

	for (size_t i = 0; i < o->n_rows && rc == 0; i++) {
		const struct option *row = &o->rows[i];
		const char *dot;
		size_t len;

		if (row->type == OPTION_HEADING ||
			row->flags & OPTION_COMMAND_LINE)
			continue;
		dot = strchr(row->name, '.');
		len = dot ? (size_t)(dot - row->name) : 0;
		if (len != section_len ||
			memcmp(row->name, section, len) != 0) {
			section = row->name;
			section_len = len;
			rc |= buf_printf(out, "\n[%.*s]\n", (int)len, section);
		}
		rc |= print_file_row(o, i, dot ? dot + 1 : row->name, out);
	}
	return rc ? -1 : 0;
}
