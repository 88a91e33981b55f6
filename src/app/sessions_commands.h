/* What `unrolld sessions` can do: each is a command as in app/cmd.h, argv[0]
 * being its own name. */
#ifndef APP_SESSIONS_COMMANDS_H
#define APP_SESSIONS_COMMANDS_H

int sessions_list(int argc, char **argv);
int sessions_show(int argc, char **argv);
int sessions_fork(int argc, char **argv);
int sessions_export(int argc, char **argv);
int sessions_import(int argc, char **argv);
int sessions_rm(int argc, char **argv);
int sessions_snapshot(int argc, char **argv);
int sessions_rewind(int argc, char **argv);

#endif
