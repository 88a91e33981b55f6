/*
 * Captions of one image, sent as a form: their latency on an idle server, and
 * what many at once do to a stream of text.
 */
#ifndef BENCH_HTTP_CAPTIONS_H
#define BENCH_HTTP_CAPTIONS_H

#include "http_streams.h"

#define ALONE_SECONDS 3.0

struct captioned {
	struct wire wire;
	double asked, took; /* seconds */
};

static struct {
	struct buf request; /* whole */
	size_t n, answered;
} captions;

static void read_request(const char *path)
{
	static const char head[] =
		"--bound\r\nContent-Disposition: form-data; name=\"image\"; "
		"filename=\"image\"\r\n\r\n";
	static const char tail[] = "\r\n--bound--\r\n";
	struct buf *b = &captions.request;
	char chunk[64u << 10];
	struct buf image;
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f)
		die("%s: %s", path, strerror(errno));
	buf_init(&image, 15u << 20);
	while ((n = fread(chunk, 1, sizeof(chunk), f)))
		if (buf_append(&image, chunk, n) < 0)
			die("%s is too long", path);
	fclose(f);
	buf_init(b, 16u << 20);
	if (buf_printf(b,
		    "POST /v1/captions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		    "Content-Type: multipart/form-data; boundary=bound\r\n"
		    "Content-Length: %zu\r\n\r\n%s",
		    sizeof(head) - 1 + image.len + sizeof(tail) - 1,
		    head) < 0 ||
		buf_append(b, image.data, image.len) < 0 ||
		buf_puts(b, tail) < 0)
		die("out of memory");
	buf_release(&image);
}

static void caption_end(struct wire *w)
{
	struct captioned *c = w->user;

	if (w->status != 200)
		die("status %d", w->status);
	c->took = now() - c->asked;
	if (++captions.answered == captions.n)
		w->load->stop = true;
}

static void caption_start(struct captioned *c)
{
	c->wire.user = c;
	c->wire.on_body = ignore;
	c->wire.on_end = caption_end;
	c->asked = now();
	wire_send(&c->wire, captions.request.data, captions.request.len);
}

/* args: a file, and how often it is sent, one after the other. */
static void mode_caption(char **args)
{
	size_t n = strtoul(args[1], NULL, 10);
	double *ms = grab(n, sizeof(*ms)), begin = now();
	struct captioned c = { 0 };
	struct usage before, after;

	read_request(args[0]);
	captions.n = 1;
	wire_connect(&c.wire, &load);
	usage_read(&before, pid);
	for (size_t i = 0; i < n; i++) {
		captions.answered = 0;
		caption_start(&c);
		ask(&c.wire);
		ms[i] = c.took * 1e3;
	}
	usage_read(&after, pid);
	printf("{\"mode\":\"caption\",\"captions\":%zu,\"bytes\":%zu,"
	       "\"ms_min\":%.3f,\"ms_p50\":%.3f,\"ms_max\":%.3f,",
		n, captions.request.len, quantile(ms, n, 0),
		quantile(ms, n, 0.5), quantile(ms, n, 1));
	usage_print(&before, &after, now() - begin);
	printf("}\n");
	wire_close(&c.wire);
	buf_release(&captions.request);
	free(ms);
}

/* One stream that outlasts all, and its gaps from now on. */
static void one_stream(void)
{
	streams.n = 1;
	streams.goal = 1000000;
	streams.all = grab(1, sizeof(*streams.all));
	streams.max_gaps = streams.goal;
	streams.gaps = grab(streams.max_gaps, sizeof(*streams.gaps));
	start_all();
	load_run(&load, now() + ALONE_SECONDS / 4);
	streams.n_gaps = 0;
	load_run(&load, now() + ALONE_SECONDS);
}

/* args: a file, and how many are sent at once. */
static void mode_captions(char **args)
{
	size_t n = strtoul(args[1], NULL, 10), n_alone;
	struct captioned *all = grab(n, sizeof(*all));
	double *ms = grab(n, sizeof(*ms)), begin, alone, alone_max, span;
	struct usage before, after;

	read_request(args[0]);
	one_stream();
	n_alone = streams.n_gaps;
	alone = quantile(streams.gaps, n_alone, 0.99);
	alone_max = quantile(streams.gaps, n_alone, 1);
	captions.n = n;
	for (size_t i = 0; i < n; i++)
		wire_connect(&all[i].wire, &load);
	streams.n_gaps = 0;
	begin = now();
	usage_read(&before, pid);
	for (size_t i = 0; i < n; i++)
		caption_start(&all[i]);
	if (!load_run(&load, limit()))
		die("%zu of %zu captions in %g s", captions.answered, n, LIMIT);
	span = now() - begin;
	usage_read(&after, pid);
	for (size_t i = 0; i < n; i++)
		ms[i] = all[i].took * 1e3;
	printf("{\"mode\":\"captions\",\"captions\":%zu,\"seconds\":%.3f,"
	       "\"ms_p50\":%.1f,\"ms_max\":%.1f,\"gaps\":%zu,"
	       "\"gap_ms_p99\":%.4f,\"gap_ms_max\":%.3f,"
	       "\"gaps_alone\":%zu,\"gap_ms_p99_alone\":%.4f,"
	       "\"gap_ms_max_alone\":%.3f,",
		n, span, quantile(ms, n, 0.5), quantile(ms, n, 1),
		streams.n_gaps, quantile(streams.gaps, streams.n_gaps, 0.99),
		quantile(streams.gaps, streams.n_gaps, 1), n_alone, alone,
		alone_max);
	usage_print(&before, &after, span);
	printf("}\n");
	for (size_t i = 0; i < n; i++)
		wire_close(&all[i].wire);
	wire_close(&streams.all[0].wire);
	buf_release(&captions.request);
	free(streams.all);
	free(streams.gaps);
	free(all);
	free(ms);
}

#endif
