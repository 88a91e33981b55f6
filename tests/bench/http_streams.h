/*
 * What all modes of a run share, and its streams of server-sent events: each is
 * read frame by frame, and its ids are checked against its tokens.
 */
#ifndef BENCH_HTTP_STREAMS_H
#define BENCH_HTTP_STREAMS_H

#include "http_load.h"
#include "http_usage.h"

#define LIMIT 100.0

static struct load load;
static unsigned pid;
static double started;

static double limit(void)
{
	return started + LIMIT;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static double quantile(double *v, size_t n, double q)
{
	size_t at = (size_t)(q * (double)n);

	qsort(v, n, sizeof(*v), compare);
	return v[at < n ? at : n - 1];
}

static void *grab(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		die("out of memory");
	return p;
}

static void ignore(struct wire *w, const char *bytes, size_t len)
{
	(void)w;
	(void)bytes;
	(void)len;
}

static void stop_at_end(struct wire *w)
{
	if (w->status / 100 != 2)
		die("status %d", w->status);
	w->load->stop = true;
}

/* Body of an answer, kept. */
static void keep(struct wire *w, const char *bytes, size_t len)
{
	if (buf_append(w->user, bytes, len) < 0)
		die("an answer that is too long");
}

/* One request on a connection of its own, till its answer is whole. */
static void ask(struct wire *w)
{
	if (!load_run(w->load, limit()))
		die("no answer in %g s", LIMIT);
}

/* --- streams ---------------------------------------------------------- */

struct stream {
	struct wire wire;
	char line[64u << 10];
	size_t len;
	double asked, first; /* seconds; first 0: no token yet */
	double last;	     /* token's frame */
	uint64_t tokens, id, frames;
	uint64_t at_begin, at_end; /* tokens, when the window opened, closed */
	bool finished, done;
};

static struct streams {
	struct stream *all;
	size_t n, begun, finished, ended;
	uint64_t goal;
	double begin, end; /* the window in which all of them run */
	struct usage at_begin, at_end;
	/* Between two frames of a stream, in the window: ms. [n_gaps] */
	double *gaps;
	size_t n_gaps, max_gaps;
} streams;

/* How long a reader waited for this frame. */
static void note_gap(struct stream *s)
{
	double at = now(), last = s->last;

	s->last = at;
	if (last > 0 && streams.begin > 0 && !streams.finished &&
		streams.n_gaps < streams.max_gaps)
		streams.gaps[streams.n_gaps++] = (at - last) * 1e3;
}

static void window_opens(void)
{
	streams.begin = now();
	usage_read(&streams.at_begin, pid);
	for (size_t i = 0; i < streams.n; i++)
		streams.all[i].at_begin = streams.all[i].tokens;
}

static void window_closes(void)
{
	streams.end = now();
	usage_read(&streams.at_end, pid);
	for (size_t i = 0; i < streams.n; i++)
		streams.all[i].at_end = streams.all[i].tokens;
}

static void take_frame(struct stream *s, const char *json)
{
	static const char delta[] = "{\"index\":0,\"tokens\":";
	size_t n = sizeof(delta) - 1;

	if (!strncmp(json, delta, n)) {
		s->tokens += strtoull(json + n, NULL, 10);
		s->frames++;
		note_gap(s);
		if (s->id != s->tokens)
			die("id %llu after %llu tokens",
				(unsigned long long)s->id,
				(unsigned long long)s->tokens);
		if (s->first > 0)
			return;
		s->first = now();
		if (++streams.begun == streams.n)
			window_opens();
	} else if (strstr(json, "\"finish_reason\":\"length\"")) {
		s->finished = true;
		if (streams.finished++ == 0)
			window_closes();
	} else {
		die("a frame of a stream is %.300s", json);
	}
}

static void take_line(struct stream *s, const char *line)
{
	if (!strncmp(line, "data: {", 7))
		take_frame(s, line + 6);
	else if (!strncmp(line, "id: ", 4))
		s->id = strtoull(line + 4, NULL, 10);
	else if (!strcmp(line, "data: [DONE]"))
		s->done = true;
	else if (*line && *line != ':')
		die("a line of a stream is '%.300s'", line);
}

static void stream_body(struct wire *w, const char *bytes, size_t len)
{
	struct stream *s = w->user;

	while (len) {
		const char *end = memchr(bytes, '\n', len);
		size_t n = end ? (size_t)(end - bytes) : len;

		if (s->len + n >= sizeof(s->line))
			die("a frame of more than %zu bytes", sizeof(s->line));
		memcpy(s->line + s->len, bytes, n);
		s->len += n;
		if (!end)
			return;
		s->line[s->len] = '\0';
		s->len = 0;
		take_line(s, s->line);
		bytes += n + 1;
		len -= n + 1;
	}
}

static void stream_end(struct wire *w)
{
	struct stream *s = w->user;

	if (w->status != 200)
		die("status %d", w->status);
	if (!s->done || !s->finished || s->tokens != streams.goal)
		die("a stream ended after %llu tokens of %llu, %s [DONE]",
			(unsigned long long)s->tokens,
			(unsigned long long)streams.goal,
			s->done ? "with" : "without");
	if (++streams.ended == streams.n)
		w->load->stop = true;
}

static void stream_start(struct stream *s, const char *json)
{
	s->wire.user = s;
	s->wire.on_body = stream_body;
	s->wire.on_end = stream_end;
	s->asked = now();
	wire_post(&s->wire, "/sample", json);
}

static void start_all(void)
{
	char json[128];

	for (size_t i = 0; i < streams.n; i++)
		wire_connect(&streams.all[i].wire, &load);
	for (size_t i = 0; i < streams.n; i++) {
		snprintf(json, sizeof(json),
			"{\"length\":%llu,\"seed\":%zu,\"stream\":true}",
			(unsigned long long)streams.goal, i);
		stream_start(&streams.all[i], json);
	}
}

static void print_streams(void)
{
	double *first = grab(streams.n, sizeof(*first));
	double span = streams.end - streams.begin, sum = 0;
	double least = 1e300, most = 0;
	uint64_t frames = 0;

	for (size_t i = 0; i < streams.n; i++) {
		const struct stream *s = &streams.all[i];
		double share = (double)(s->at_end - s->at_begin) / span;

		first[i] = (s->first - s->asked) * 1e3;
		sum += share;
		frames += s->frames;
		least = share < least ? share : least;
		most = share > most ? share : most;
	}
	printf("{\"mode\":\"streams\",\"streams\":%zu,\"tokens\":%llu,"
	       "\"seconds\":%.3f,\"tokens_per_second\":%.0f,"
	       "\"share_min\":%.1f,\"share_mean\":%.1f,\"share_max\":%.1f,"
	       "\"tokens_per_frame\":%.2f,\"first_ms_p50\":%.3f,"
	       "\"first_ms_p99\":%.3f,\"gap_ms_p50\":%.3f,"
	       "\"gap_ms_p99\":%.3f,",
		streams.n, (unsigned long long)streams.goal, span, sum, least,
		sum / (double)streams.n, most,
		(double)(streams.goal * streams.n) / (double)frames,
		quantile(first, streams.n, 0.5),
		quantile(first, streams.n, 0.99),
		quantile(streams.gaps, streams.n_gaps, 0.5),
		quantile(streams.gaps, streams.n_gaps, 0.99));
	usage_print(&streams.at_begin, &streams.at_end, span);
	printf("}\n");
	free(first);
}

static void mode_streams(char **args)
{
	streams.n = strtoul(args[0], NULL, 10);
	streams.goal = strtoull(args[1], NULL, 10);
	streams.all = grab(streams.n, sizeof(*streams.all));
	streams.max_gaps = streams.n * streams.goal;
	streams.gaps = grab(streams.max_gaps, sizeof(*streams.gaps));
	start_all();
	if (!load_run(&load, limit()))
		die("%zu of %zu streams ended in %g s", streams.ended,
			streams.n, LIMIT);
	if (streams.end <= streams.begin)
		die("a stream ended before the last had begun: more TOKENS");
	print_streams();
	for (size_t i = 0; i < streams.n; i++)
		wire_close(&streams.all[i].wire);
	free(streams.all);
	free(streams.gaps);
}

#endif
