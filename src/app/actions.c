#include "app/actions.h"
#include "app/cmd.h"

#include <stdio.h>
#include <string.h>

static void usage(FILE *out, const char *command, const char *about,
	const struct action *actions, size_t n)
{
	fprintf(out,
		"usage: unrolld %s ACTION [ARGUMENT...] [OPTION...]\n\n%s\n",
		command, about);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "  %-9s %s\n", actions[i].name,
			actions[i].summary);
	fprintf(out, "\n`unrolld %s ACTION --help` explains one of them.\n",
		command);
}

int actions_run(const char *command, const char *about,
	const struct action *actions, size_t n, int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (name && (!strcmp(name, "--help") || !strcmp(name, "-h"))) {
		usage(stdout, command, about, actions, n);
		return CMD_OK;
	}
	for (size_t i = 0; name && i < n; i++)
		if (!strcmp(actions[i].name, name))
			return actions[i].run(argc - 1, argv + 1);
	if (name)
		fprintf(stderr, "unrolld %s: unknown action '%s'\n\n", command,
			name);
	usage(stderr, command, about, actions, n);
	return CMD_USAGE;
}
