#include "app/command_line.h"

#include "app/cmd.h"
#include "base/buf.h"

#include <stdio.h>

static void print_help(const struct command_line *c, const struct options *o)
{
	struct buf b;

	puts(c->about);
	buf_init(&b, 1 << 16);
	if (options_print_help(o, &b) == 0)
		fputs(b.data, stdout);
	buf_release(&b);
	if (c->details)
		puts(c->details);
}

static int act(const struct command_line *c, struct options *table,
	const struct option_list *args, struct error *err)
{
	if (*c->help) {
		print_help(c, table);
		return CMD_OK;
	}
	if (c->check(c->values, args, err) < 0)
		return CMD_USAGE;
	if (c->adopt) {
		if (c->adopt(table, c->values, err) < 0)
			return CMD_FAILED;
		if (c->check(c->values, args, err) < 0)
			return CMD_USAGE;
	}
	return c->run(table, c->values, args, err) < 0 ? CMD_FAILED : CMD_OK;
}

int command_line_run(const struct command_line *c, int argc, char **argv)
{
	struct option_list args = { 0 };
	struct options table;
	struct error err = { 0 };
	int rc = CMD_USAGE;

	if (options_init(&table, c->rows, c->n_rows, c->values, &err) == 0) {
		if (options_parse_arguments(&table, argc, argv, &args, &err) ==
			0)
			rc = act(c, &table, &args, &err);
		option_list_release(&args);
		options_release(&table);
	}
	if (rc != CMD_OK)
		fprintf(stderr, "unrolld %s: %s\n", c->name, err.message);
	return rc;
}

int command_line_one(const struct option_list *args, const char *what,
	const char *usage, struct error *err)
{
	if (args->n == 1)
		return 0;
	return error_set(err, ERROR_INVALID,
		"%zu %s named, expected one; usage: %s", args->n, what, usage);
}
