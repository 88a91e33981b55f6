/* `unrolld sessions`: what a person does with a daemon's sessions. To add an
 * action, add its row. */
#include "app/actions.h"
#include "app/cmd.h"
#include "app/sessions_backup.h"
#include "app/sessions_commands.h"

static const struct action actions[] = {
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

int cmd_sessions(int argc, char **argv)
{
	return actions_run("sessions",
		"Looks after the sessions of a daemon, --url or $UNROLLD_URL "
		"or\n"
		"http://127.0.0.1:8080, by its HTTP API; of them all, by the\n"
		"store's file (backup, restore).\n",
		actions, sizeof(actions) / sizeof(actions[0]), argc, argv);
}
