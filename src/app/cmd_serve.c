#include "app/cmd.h"
#include "app/config.h"
#include "app/lifecycle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_TEXT (1u << 20)

static int print(const struct config *c,
	int (*write)(const struct config *c, struct buf *out))
{
	struct buf out;
	int code = CMD_FAILED;

	buf_init(&out, MAX_TEXT);
	if (write(c, &out) < 0)
		fputs("unrolld serve: no memory for the text\n", stderr);
	else if (fwrite(out.data, 1, out.len, stdout) != out.len ||
		 fflush(stdout))
		fprintf(stderr, "unrolld serve: standard output: %s\n",
			strerror(errno));
	else
		code = CMD_OK;
	buf_release(&out);
	return code;
}

int cmd_serve(int argc, char **argv)
{
	const struct lifecycle_arguments arguments = { argc, argv };
	struct config config;
	struct error err;
	int code;

	if (config_open(&config, argc, argv, &err) < 0) {
		fprintf(stderr, "unrolld serve: %s\n", err.message);
		return err.code == ERROR_INVALID ? CMD_USAGE : CMD_FAILED;
	}
	if (config.help)
		code = print(&config, config_print_help);
	else if (config.print)
		code = print(&config, config_print_file);
	else
		code = lifecycle_run(&config, &arguments);
	config_release(&config);
	return code;
}
