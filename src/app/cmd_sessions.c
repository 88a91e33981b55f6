/* `unrolld sessions`: what a person does with a daemon's sessions. To add an
 * action, add its row. */
#include "app/cmd.h"
#include "app/sessions_backup.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} actions[] = {
	{ "backup", sessions_backup, "copy the store to a file" },
	{ "restore", sessions_restore, "make such a file the store" },
};
#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

static void usage(FILE *out)
{
	fputs("usage: unrolld sessions ACTION [ARGUMENT...] [OPTION...]\n"
	      "\n"
	      "Looks after the sessions of a daemon.\n"
	      "\n",
		out);
	for (size_t i = 0; i < N_ACTIONS; i++)
		fprintf(out, "  %-9s %s\n", actions[i].name,
			actions[i].summary);
	fputs("\n`unrolld sessions ACTION --help` explains one of them.\n",
		out);
}

int cmd_sessions(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (name && (!strcmp(name, "--help") || !strcmp(name, "-h"))) {
		usage(stdout);
		return CMD_OK;
	}
	for (size_t i = 0; name && i < N_ACTIONS; i++)
		if (!strcmp(actions[i].name, name))
			return actions[i].run(argc - 1, argv + 1);
	if (name)
		fprintf(stderr, "unrolld sessions: unknown action '%s'\n\n",
			name);
	usage(stderr);
	return CMD_USAGE;
}
