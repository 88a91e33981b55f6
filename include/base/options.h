/*
 * One table of options serves a command's flags, the environment, the
 * configuration file, --help and the sample file. A row says where in the
 * caller's struct its value lives; the caller fills that struct from here and
 * hands it on, so that no feature knows of any syntax. One thread, at start.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {     /* type of the field, and what its text looks like */
	OPTION_STRING, /* char *, owned; NULL when the default is NULL */
	OPTION_BOOL,   /* bool: true false yes no on off 1 0; --x and --no-x */
	OPTION_INT,    /* int64_t */
	OPTION_UINT,   /* uint64_t */
	OPTION_SIZE,   /* uint64_t bytes: 4096, 64K, 8M, 2G, 1T (powers of 1024)
			*/
	OPTION_DOUBLE, /* double, finite */
	OPTION_DURATION, /* uint64_t milliseconds: 500ms, 30s, 5m, 2h, 7d, 0 */
	OPTION_ENUM,	 /* int: index into choices */
	OPTION_LIST, /* struct option_list: repeat the flag or the key; in the
		      * environment, separate by commas */
	OPTION_HEADING, /* no field: `help` titles the rows below */
};

enum option_flags {
	OPTION_SECRET = 1,	 /* printed as (set), never quoted in errors */
	OPTION_COMMAND_LINE = 2, /* a flag only: not in files or environment */
};

struct option_list {
	char **items; /* [n] owned */
	size_t n;
};

struct option {
	const char
		*name; /* "http.port": section http, key port; "seq-length" */
	enum option_type type;
	size_t offset;	   /* offsetof the field */
	const char *value; /* default, as text; NULL: zero, NULL or empty */
	const char *min;   /* as text, inclusive; NULL: none */
	const char *max;
	const char *choices;  /* OPTION_ENUM: "tail|stream", in enum order */
	const char *help;     /* one sentence without a full stop */
	const char *argument; /* in help, "FILE"; NULL: by type */
	char letter;	      /* 'o' for -o, or 0 */
	unsigned flags;
};

struct options {
	const struct option *rows; /* [n_rows] borrowed */
	size_t n_rows;
	void *values;		/* the caller's struct */
	struct origin *origins; /* [n_rows] owned: who set each row */
	unsigned layer;
};

/* Fill *values with the defaults. A fault in the table itself (a default out
 * of its range, …) is ERROR_INTERNAL. On failure nothing needs release. */
int options_init(struct options *o, const struct option *rows, size_t n_rows,
	void *values, struct error *err);
/* Frees what the options own, the strings and lists in *values included. */
void options_release(struct options *o);
void option_list_release(struct option_list *l);

/*
 * Each fails with ERROR_INVALID, err->param the option's name, and a message
 * that says where, the value, and what was expected. Later calls override
 * earlier ones; a list is replaced by the first item of a later call and
 * grows by the others of the same call.
 */

/* `source` begins messages: "preset best". */
int options_set(struct options *o, const char *name, const char *value,
	const char *source, struct error *err);

/* INI. Unknown keys are errors, with the nearest name suggested. A missing
 * file is ERROR_NOT_FOUND. */
int options_load_file(struct options *o, const char *path, struct error *err);

/* Variables that begin with `prefix`: UNROLLD_HTTP_PORT is http.port. Others
 * with the prefix are errors unless named in `allowed` (NULL-terminated). */
int options_load_environment(struct options *o, char *const *environment,
	const char *prefix, const char *const *allowed, struct error *err);

/* `--name value --name=value --flag --no-flag -o FILE -oFILE`; what is left,
 * and all after `--`, is appended to *positional (may be NULL: then it is an
 * error). argv[0] is skipped. */
int options_parse_arguments(struct options *o, int argc, char *const *argv,
	struct option_list *positional, struct error *err);

/* Who set it ("--http.port", "unrolld.conf:3", …); NULL: still the default, or
 * no such option. */
const char *options_source(const struct options *o, const char *name);

/* The value as text, as a file would hold it; 0, or -1 when out is full. */
int options_print_value(
	const struct options *o, const char *name, struct buf *out);
/* The rows for --help: aligned, 80 columns, defaults and ranges. */
int options_print_help(const struct options *o, struct buf *out);
/* The whole table as an INI file: each key with its help; what is still the
 * default is commented out. Reading it back gives the same values. */
int options_print_file(const struct options *o, struct buf *out);

#endif
