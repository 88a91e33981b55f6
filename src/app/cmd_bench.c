/* `unrolld bench`: how fast a model steps here, against what the machine can
 * do at most. Threads are pinned to nothing and share sequences as the
 * engine's do: evenly, and a lone one among all of them. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "app/bench.h"
#include "base/options.h"
#include "base/team.h"
#include "math/gemm.h"
#include "math/probe.h"
#include "nn/cell.h"
#include "nn/checkpoint.h"
#include "nn/trainer.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bench_command_options {
	bool help, json, sample;
	char *cell;
	uint64_t hidden, layers, vocab, embedding, threads;
	struct option_list batches, weights;
	double seconds;
};

#define AT(field) offsetof(struct bench_command_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "json", OPTION_BOOL, AT(json), "no",
		.help = "print one JSON object a line" },
	{ "batch", OPTION_LIST, AT(batches), NULL,
		.help = "sequences at once; default 1, 4, 12, 16 and 64",
		.argument = "N" },
	{ "weights", OPTION_LIST, AT(weights), NULL,
		.help = "f32, bf16 or int8; default all three",
		.argument = "TYPE" },
	{ "threads", OPTION_UINT, AT(threads), "0", "0", "64",
		.help = "that share the sequences; 0: all cores" },
	{ "seconds", OPTION_DOUBLE, AT(seconds), "1", "0.01", "600",
		.help = "to measure each row for" },
	{ "sample", OPTION_BOOL, AT(sample), "no",
		.help = "draw each next token from the logits, too" },
	{ .type = OPTION_HEADING, .help = "Without a model, random weights" },
	{ "cell", OPTION_STRING, AT(cell), "lstm", .help = "rnn, lstm or gru",
		.argument = "NAME" },
	{ "hidden", OPTION_UINT, AT(hidden), "512", "1", "16384",
		.help = "units of a layer" },
	{ "layers", OPTION_UINT, AT(layers), "2", "1", "8",
		.help = "layers of cells" },
	{ "vocab", OPTION_UINT, AT(vocab), "65", "2", "1000000",
		.help = "size of the vocabulary" },
	{ "embedding", OPTION_UINT, AT(embedding), "0", "0", "16384",
		.help = "size of the input embedding; 0: one-hot" },
};

static const char *const default_batches[] = { "1", "4", "12", "16", "64" };
static const char *const default_weights[] = { "f32", "bf16", "int8" };

/* Of one thread: operations, and bytes a second. */
struct ceilings {
	double fma, l2, l3, dram;
	double gemm;	   /* OpenBLAS's W_hh for 64 rows; 0: not there */
	size_t read_bytes; /* reading so many again and again ... */
	double read;	   /* ... goes at this rate */
};

/* A file's parameters, or random ones. */
static int load(struct parameters *p, const struct bench_command_options *o,
	const char *path, struct error *err)
{
	struct architecture a = { .vocab = o->vocab,
		.hidden = o->hidden,
		.layers = o->layers,
		.embedding = o->embedding };
	struct checkpoint c;

	if (path) {
		if (checkpoint_load(&c, path, err) < 0)
			return -1;
		*p = c.parameters;
		c.parameters = (struct parameters){ 0 };
		checkpoint_release(&c);
		return 0;
	}
	snprintf(a.cell, sizeof(a.cell), "%s", o->cell);
	if (parameters_open(p, &a, err) < 0)
		return -1;
	trainer_initialise(p, INIT_PYTORCH, 0, 0, 1);
	return 0;
}

static void measure_ceilings(struct ceilings *c, const struct architecture *a)
{
	const size_t width = cell_find(a->cell)->gates * a->hidden;
	long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
	size_t cache = l2 > 0 ? (size_t)l2 : 1u << 20;

	c->fma = probe_fma(0.3);
	c->l2 = probe_read(cache / 2, 0.2);
	c->l3 = probe_read(cache * 6, 0.2);
	c->dram = probe_read((size_t)1 << 30, 0.5);
	c->read_bytes = 0;
	if (bench_gemm(a->hidden, width, 0.2, &c->gemm, NULL) < 0)
		c->gemm = 0;
}

/* What a step's weights could be read at, at best. */
static double read_ceiling(struct ceilings *c, size_t bytes)
{
	if (c->read_bytes != bytes)
		c->read = probe_read(bytes, 0.2);
	c->read_bytes = bytes;
	return c->read;
}

static void print_ceilings(const struct ceilings *c, bool json)
{
	const char *blas = c->gemm > 0 ? gemm_version() : "none";

	if (json)
		printf("{\"kernels\":\"%s\",\"fma_gflops\":%.1f,"
		       "\"l2_gb_s\":%.1f,\"l3_gb_s\":%.1f,\"dram_gb_s\":%.1f,"
		       "\"openblas\":\"%s\",\"openblas_gflops\":%.1f}\n",
			kernels_name(), c->fma * 1e-9, c->l2 * 1e-9,
			c->l3 * 1e-9, c->dram * 1e-9, blas, c->gemm * 1e-9);
	else
		printf("%s kernels; one thread at most: %.0f GFLOP/s, "
		       "L2 %.0f, L3 %.0f, 1 GB %.0f GB/s\n"
		       "OpenBLAS (%s), 64 rows by W_hh: %.0f GFLOP/s\n\n"
		       "weights batch threads    us/step     tokens/s  GFLOP/s "
		       "of peak     GB/s of read\n",
			kernels_name(), c->fma * 1e-9, c->l2 * 1e-9,
			c->l3 * 1e-9, c->dram * 1e-9, blas, c->gemm * 1e-9);
	fflush(stdout);
}

static void print_row(const struct bench_request *r,
	const struct bench_result *b, struct ceilings *c, bool json)
{
	const char *type = weight_type_name(r->type);
	const double flops = b->flops * b->tokens_per_second;
	const double of_peak = flops / (c->fma * r->threads);
	/* What a thread reads of the weights in a step. */
	const double bytes = (double)b->bytes / b->seconds_per_step;
	const double of_read = bytes / read_ceiling(c, b->bytes);

	if (json)
		printf("{\"weights\":\"%s\",\"batch\":%zu,\"threads\":%u,"
		       "\"us_per_step\":%.2f,\"tokens_per_second\":%.0f,"
		       "\"gflops\":%.1f,\"of_fma_peak\":%.3f,\"gb_s\":%.1f,"
		       "\"of_read\":%.3f,\"read_bytes\":%zu}\n",
			type, r->batch, r->threads, b->seconds_per_step * 1e6,
			b->tokens_per_second, flops * 1e-9, of_peak,
			bytes * 1e-9, of_read, b->bytes);
	else
		printf("%-7s %5zu %7u %10.1f %12.0f %8.1f %6.0f%% %8.1f "
		       "%6.0f%%\n",
			type, r->batch, r->threads, b->seconds_per_step * 1e6,
			b->tokens_per_second, flops * 1e-9, 100 * of_peak,
			bytes * 1e-9, 100 * of_read);
	fflush(stdout);
}

static int parse_batch(const char *text, size_t *batch, struct error *err)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || n < 1 || n > 65536)
		return error_set_param(err, ERROR_INVALID, "batch",
			"--batch is '%s', expected 1 to 65536", text);
	*batch = n;
	return 0;
}

static int run(const struct bench_command_options *o, const char *path,
	struct error *err)
{
	const bool own_batches = o->batches.n, own_weights = o->weights.n;
	const size_t n_batches = own_batches ? o->batches.n : 5;
	const size_t n_weights = own_weights ? o->weights.n : 3;
	struct bench_request r = { .sample = o->sample,
		.seconds = o->seconds,
		.threads = o->threads ? (unsigned)o->threads
				      : team_default_size() };
	struct ceilings ceilings;
	struct bench_result b;
	struct parameters p;
	int rc = 0;

	if (load(&p, o, path, err) < 0)
		return -1;
	measure_ceilings(&ceilings, &p.arch);
	print_ceilings(&ceilings, o->json);
	for (size_t i = 0; i < n_weights && rc == 0; i++) {
		const char *name =
			own_weights ? o->weights.items[i] : default_weights[i];

		if (weight_type_find(name, &r.type) < 0)
			rc = error_set_param(err, ERROR_INVALID, "weights",
				"--weights is '%s', expected f32, bf16 or int8",
				name);
		for (size_t j = 0; j < n_batches && rc == 0; j++) {
			rc = parse_batch(own_batches ? o->batches.items[j]
						     : default_batches[j],
				&r.batch, err);
			if (rc == 0)
				rc = bench_run(&p, &r, &b, err);
			if (rc == 0)
				print_row(&r, &b, &ceilings, o->json);
		}
	}
	parameters_release(&p);
	return rc;
}

static const char about[] =
	"usage: unrolld bench [MODEL] [OPTION...]\n"
	"\n"
	"Steps a model and prints how fast, beside the machine's own limits: "
	"the peak of\n"
	"multiply-adds, and reading as many bytes as a thread reads of the "
	"weights in a\n"
	"step. Fewer sequences than threads are stepped by all of them "
	"together.\n";

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	if (args->n <= 1)
		return 0;
	return error_set(err, ERROR_INVALID,
		"%zu models named, expected one at most", args->n);
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	(void)table;
	return run(values, args->n ? args->items[0] : NULL, err);
}

int cmd_bench(int argc, char **argv)
{
	struct bench_command_options o;

	return command_line_run(
		&(struct command_line){ .name = "bench",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
