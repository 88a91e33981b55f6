/* `unrolld caption`: sentences that describe images. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "base/file.h"
#include "base/team.h"
#include "serve/caption.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_IMAGE_BYTES (256u << 20)

struct caption_command {
	bool help, json;
	uint64_t n, beam, max_length, seed, threads;
	double temperature, length_power;
};

#define AT(field) offsetof(struct caption_command, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "json", OPTION_BOOL, AT(json), "no",
		.help = "print a JSON object for each image" },
	{ "n", OPTION_UINT, AT(n), "1", "1", "64",
		.help = "captions of each image, the best first",
		.letter = 'n' },
	{ "beam", OPTION_UINT, AT(beam), "3", "0", "64",
		.help = "hypotheses kept, at least --n; 0: draw each caption" },
	{ "length-power", OPTION_DOUBLE, AT(length_power), "0", "0", "5",
		.help = "finished hypotheses compare by log-probability / "
			"words^this" },
	{ "max-length", OPTION_UINT, AT(max_length), "50", "1", "1000",
		.help = "words" },
	{ "temperature", OPTION_DOUBLE, AT(temperature), "1", "0", "100",
		.help = "of drawn captions", .letter = 't' },
	{ "seed", OPTION_UINT, AT(seed), "0", .help = "of drawn captions",
		.letter = 's' },
	{ "threads", OPTION_UINT, AT(threads), "0", "0", "1024",
		.help = "0: all cores" },
};

static json_t *as_json(
	const char *path, const struct caption_text *texts, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:f, s:s}", "text", texts[i].text,
				"logprob", texts[i].logprob, "finish_reason",
				texts[i].ended ? "stop" : "length"));
	return json_pack("{s:s, s:o}", "image", path, "captions", list);
}

static void print(const struct caption_command *o, const char *path,
	const struct caption_text *texts, size_t n)
{
	if (o->json) {
		json_t *json = as_json(path, texts, n);

		json_dumpf(json, stdout, JSON_COMPACT);
		puts("");
		json_decref(json);
		return;
	}
	for (size_t i = 0; i < n; i++)
		printf("%s: %s (%.3f)\n", path, texts[i].text,
			texts[i].logprob);
}

static int caption_file(struct caption_model *m,
	const struct caption_command *o, const char *path, struct error *err)
{
	const struct caption_options options = { .n = o->n,
		.beam = o->beam && o->beam < o->n ? o->n : o->beam,
		.length_power = o->length_power,
		.max_length = o->max_length,
		.temperature = o->temperature,
		.seed = o->seed };
	struct caption_text texts[CAPTION_MAX_BEAM];
	size_t len, n;
	char *data;
	int rc;

	if (file_read(path, MAX_IMAGE_BYTES, &data, &len, err) < 0)
		return -1;
	rc = caption_model_image(m, data, len, &options, texts, &n, err);
	free(data);
	if (rc < 0)
		return error_prefix(err, "%s", path);
	print(o, path, texts, n);
	caption_texts_release(texts, n);
	return 0;
}

static const char about[] =
	"usage: unrolld caption MODEL IMAGE... [OPTION...]\n"
	"\n"
	"Describes images (JPEG, PNG) with a captioner that `unrolld "
	"train-caption`\n"
	"made. With the log-probability of each caption, in nats.\n";

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	if (args->n >= 2)
		return 0;
	return error_set(err, ERROR_INVALID,
		"expected a model and images: unrolld caption MODEL IMAGE...");
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct caption_command *o = values;
	struct caption_model *m;
	int rc = 0;

	(void)table;
	if (caption_model_open(&m, args->items[0],
		    o->threads ? (unsigned)o->threads : team_default_size(), 0,
		    err) < 0)
		return -1;
	for (size_t i = 1; i < args->n && rc == 0; i++)
		rc = caption_file(m, o, args->items[i], err);
	caption_model_close(m);
	return rc;
}

int cmd_caption(int argc, char **argv)
{
	struct caption_command o;

	return command_line_run(
		&(struct command_line){ .name = "caption",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
