/* `unrolld sessions backup` and `restore`: actions of cmd_sessions.c. argv[0]
 * is the action's name; the result is the exit code. */
#ifndef APP_SESSIONS_BACKUP_H
#define APP_SESSIONS_BACKUP_H

int sessions_backup(int argc, char **argv);
int sessions_restore(int argc, char **argv);

#endif
