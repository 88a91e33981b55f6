/*
 * Copies of the session store, taken from its file and not from the daemon:
 * which store it is, is configured as for `unrolld serve`.
 */
#include "app/sessions_backup.h"

#include "app/cmd.h"
#include "app/config.h"
#include "store/backup.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
	"usage: unrolld sessions backup FILE [OPTION...]\n"
	"       unrolld sessions restore FILE [OPTION...]\n"
	"\n"
	"backup writes a checked copy of the session store to FILE, of one\n"
	"moment, while the daemon goes on. restore makes a checked copy of "
	"FILE\n"
	"the session store; no daemon may run on it. The former store stays\n"
	"beside it, under another name.\n"
	"\n"
	"The store is the one that `unrolld serve` with the same file,\n"
	"environment and options would use: --config FILE, --sessions.path "
	"FILE.\n";

struct action {
	const char *name, *done;
	int (*run)(const char *path, const char *file, struct store_copy *copy,
		struct error *err);
};

static int run_action(const struct action *a, const char *path,
	const char *file, struct error *err)
{
	struct store_copy copy;

	if (!path)
		return error_set_param(err, ERROR_INVALID, "sessions.store",
			"sessions.store is memory, which no file holds");
	if (a->run(path, file, &copy, err) < 0)
		return -1;
	printf("%s %s: %llu entries, %llu bytes\n", a->done, file,
		(unsigned long long)copy.entries,
		(unsigned long long)copy.bytes);
	if (*copy.replaced)
		printf("the former store is now %s\n", copy.replaced);
	return 0;
}

static int fail(const struct action *a, const struct error *err, int rc)
{
	fprintf(stderr, "unrolld sessions %s: %s\n", a->name, err->message);
	return rc;
}

static int action(const struct action *a, int argc, char **argv)
{
	struct config c;
	struct error err = { 0 };
	int rc = CMD_OK;

	if (argc > 1 &&
		(!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(help, stdout);
		return CMD_OK;
	}
	if (argc < 2 || argv[1][0] == '-') {
		error_set(&err, ERROR_INVALID,
			"no file named; usage: unrolld sessions %s FILE "
			"[OPTION...]",
			a->name);
		return fail(a, &err, CMD_USAGE);
	}
	if (config_open(&c, argc - 1, argv + 1, &err) < 0)
		return fail(a, &err, CMD_USAGE);
	if (run_action(a, c.sessions_path, argv[1], &err) < 0)
		rc = fail(a, &err, CMD_FAILED);
	config_release(&c);
	return rc;
}

int sessions_backup(int argc, char **argv)
{
	static const struct action a = { "backup", "backed up to",
		store_backup };

	return action(&a, argc, argv);
}

int sessions_restore(int argc, char **argv)
{
	static const struct action a = { "restore", "restored from",
		store_restore };

	return action(&a, argc, argv);
}
