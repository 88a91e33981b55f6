/* What every subcommand does with its arguments: flags by a table, --help,
 * usage errors apart from failures. */
#ifndef APP_COMMAND_LINE_H
#define APP_COMMAND_LINE_H

#include "base/options.h"

struct command_line {
	const char *name;	   /* "inspect" */
	const char *about;	   /* what --help says above the options */
	const char *details;	   /* and below them, or NULL */
	const struct option *rows; /* [n_rows]; one is `help` */
	size_t n_rows;
	void *values;	  /* the struct that the rows fill */
	const bool *help; /* in it */
	/* Whether it was asked properly; -1 is CMD_USAGE. */
	int (*check)(const void *values, const struct option_list *args,
		struct error *err);
	/* Options from elsewhere, such as from the run that is resumed; they
	 * are checked again. NULL: there are none. -1 is CMD_FAILED. */
	int (*adopt)(struct options *table, void *values, struct error *err);
	/* -1 is CMD_FAILED. */
	int (*run)(const struct options *table, const void *values,
		const struct option_list *args, struct error *err);
};

/* Returns the exit code; errors are printed to stderr after the name. */
int command_line_run(const struct command_line *c, int argc, char **argv);

/* `usage` where not exactly one positional argument, a `what`, was given. */
int command_line_one(const struct option_list *args, const char *what,
	const char *usage, struct error *err);

#endif
