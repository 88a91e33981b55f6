/* `unrolld sessions`: what a person does with a daemon's sessions. To add an
 * action, add its row. */
#include "app/cmd.h"
#include "app/sessions_backup.h"
#include "app/sessions_commands.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} actions[] = {
	{ "list", sessions_list, "list them" },
	{ "show", sessions_show, "describe one" },
	{ "fork", sessions_fork, "make children that go on from its state" },
	{ "export", sessions_export, "write one to a file" },
	{ "import", sessions_import, "make one of such a file" },
	{ "rm", sessions_rm, "delete some" },
	{ "snapshot", sessions_snapshot, "keep a state under a name" },
	{ "rewind", sessions_rewind, "go back to a snapshot or position" },
	{ "backup", sessions_backup, "copy the store to a file" },
	{ "restore", sessions_restore, "make such a file the store" },
};
#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

static void usage(FILE *out)
{
	fputs("usage: unrolld sessions ACTION [ARGUMENT...] [OPTION...]\n"
	      "\n"
	      "Looks after the sessions of a daemon, --url or $UNROLLD_URL or\n"
	      "http://127.0.0.1:8080, by its HTTP API; of them all, by the\n"
	      "store's file (backup, restore).\n"
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
