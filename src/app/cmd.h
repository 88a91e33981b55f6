/*
 * The subcommands of `unrolld`. Each lives in its own cmd_NAME.c and is one
 * row of the table in main.c. argv[0] is the subcommand's own name; the
 * result is the exit code. A command prints its own `--help` to stdout.
 */
#ifndef APP_CMD_H
#define APP_CMD_H

#define UNROLLD_VERSION "0.1.0"

enum cmd_exit {
	CMD_OK = 0,
	CMD_FAILED = 1, /* it was asked properly and could not be done */
	CMD_USAGE = 2,	/* it was asked wrongly */
};

int cmd_serve(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_sample(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_score(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_train_caption(int argc, char **argv);
int cmd_eval_caption(int argc, char **argv);
int cmd_caption(int argc, char **argv);
int cmd_sessions(int argc, char **argv);
int cmd_dictionary(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_files(int argc, char **argv);
int cmd_jobs(int argc, char **argv);
int cmd_health(int argc, char **argv);

#endif
