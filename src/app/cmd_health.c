/* `unrolld health`: whether a daemon serves, for those who watch it and have
 * no curl. It asks once and waits for no longer than it is told. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "app/config.h"
#include "app/http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ANSWER (64u << 10)

struct health_command {
	bool help, live, quiet;
	char *url, *config;
	uint64_t timeout;
};

#define AT(field) offsetof(struct health_command, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "url", OPTION_STRING, AT(url),
		.help = "the daemon's, or unix:PATH of its socket; else "
			"$UNROLLD_URL, else as `unrolld serve` would listen "
			"with the same file and environment",
		.argument = "URL" },
	{ "config", OPTION_STRING, AT(config),
		.help = "that file, instead of " CONFIG_FILE,
		.argument = "FILE" },
	{ "live", OPTION_BOOL, AT(live), "no",
		.help = "whether it answers at all, also while it loads or "
			"drains" },
	{ "timeout", OPTION_DURATION, AT(timeout), "2s", "10ms", "1h",
		.help = "to wait for the answer" },
	{ "quiet", OPTION_BOOL, AT(quiet), "no",
		.help = "say nothing, the exit status tells", .letter = 'q' },
};

/* Where a daemon listens, and its certificate if it is known; owned. */
struct place {
	char *url, *certificate;
};

static int copy(char **to, const char *text, struct error *err)
{
	*to = strdup(text);
	return *to ? 0 : error_set_memory(err, "URL", strlen(text));
}

/* A daemon with this machine's configuration. */
static int configured(
	const struct health_command *o, struct place *p, struct error *err)
{
	char flag[] = "--config";
	char *args[] = { NULL, flag, o->config };
	const char *certificate;
	struct config c;
	int result;

	if (config_read(&c, o->config ? 3 : 1, args, err) < 0)
		return -1;
	result = config_url(&c, &p->url, err);
	certificate = config_certificate(&c);
	if (!result && certificate)
		result = copy(&p->certificate, certificate, err);
	config_release(&c);
	return result;
}

static int find(
	const struct health_command *o, struct place *p, struct error *err)
{
	const char *given = o->url ? o->url : getenv("UNROLLD_URL");

	if (!given || !*given)
		return configured(o, p, err);
	return copy(&p->url, given, err);
}

static int ask(const struct health_command *o, const struct place *p,
	struct error *err)
{
	const struct http_request r = { .method = "GET",
		.path = o->live ? "/healthz" : "/readyz" };
	struct http_client *c;
	struct buf answer;
	int result;

	if (http_client_open(&c, p->url, err) < 0)
		return -1;
	http_client_limit(c, o->timeout);
	if (p->certificate)
		http_client_trust(c, p->certificate);
	buf_init(&answer, MAX_ANSWER);
	result = http_client_ask(c, &r, &answer, err);
	if (!result && !o->quiet)
		printf("%s: %s\n", p->url, o->live ? "alive" : "ready");
	buf_release(&answer);
	http_client_close(c);
	return result;
}

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	if (!args->n)
		return 0;
	return error_set(err, ERROR_INVALID,
		"'%s' is not an option; usage: unrolld health [OPTION...]",
		args->items[0]);
}

static int run(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct health_command *o = values;
	struct place p = { 0 };
	int result;

	result = find(o, &p, err);
	if (!result)
		result = ask(o, &p, err);
	free(p.url);
	free(p.certificate);
	return result;
}

static const char about[] =
	"usage: unrolld health [OPTION...]\n"
	"\n"
	"Asks a daemon whether it is ready to serve. Exit status: 0 it is, 1 "
	"it is\n"
	"not, or can't be reached (stderr says why), 2 for wrong usage.\n";

int cmd_health(int argc, char **argv)
{
	struct health_command o;

	return command_line_run(
		&(struct command_line){ .name = "health",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run },
		argc, argv);
}
