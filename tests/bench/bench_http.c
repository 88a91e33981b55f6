/*
 * Drives a daemon on 127.0.0.1 and prints one JSON line.
 *
 *   bench_http PORT PID streams N TOKENS
 *   bench_http PORT PID latency N
 *   bench_http PORT PID get PATH CONNECTIONS SECONDS
 *   bench_http PORT PID ttft N PRIME_BYTES      (0: against an idle server)
 *   bench_http PORT PID sessions N
 *   bench_http PORT PID cancel N
 *   bench_http PORT PID caption IMAGE N         (one after the other)
 *   bench_http PORT PID captions IMAGE N        (at once, beside a stream)
 *
 * PID is the daemon's: what it used of the processors, its engine threads
 * apart, stands beside what this program used, for they share them. Every mode
 * ends within LIMIT seconds or fails.
 */
#include "http_captions.h"

/* --- latency ---------------------------------------------------------- */

static void mode_latency(char **args)
{
	size_t n = strtoul(args[0], NULL, 10);
	double *ms = grab(n, sizeof(*ms)), begin = now();
	struct wire w = { .on_body = ignore, .on_end = stop_at_end };
	struct usage before, after;

	wire_connect(&w, &load);
	usage_read(&before, pid);
	for (size_t i = 0; i < n; i++) {
		double asked = now();

		wire_post(&w, "/sample", "{\"length\":1}");
		ask(&w);
		ms[i] = (now() - asked) * 1e3;
	}
	usage_read(&after, pid);
	printf("{\"mode\":\"latency\",\"requests\":%zu,\"ms_p50\":%.4f,"
	       "\"ms_p99\":%.4f,",
		n, quantile(ms, n, 0.5), quantile(ms, n, 0.99));
	usage_print(&before, &after, now() - begin);
	printf("}\n");
	wire_close(&w);
	free(ms);
}

/* --- get -------------------------------------------------------------- */

static struct {
	const char *path;
	uint64_t answers;
	double until;
} gets;

static void get_end(struct wire *w)
{
	if (w->status != 200)
		die("status %d", w->status);
	gets.answers++;
	wire_get(w, gets.path);
}

static void mode_get(char **args)
{
	size_t n = strtoul(args[1], NULL, 10);
	double seconds = strtod(args[2], NULL), begin;
	struct wire *wires = grab(n, sizeof(*wires));
	struct usage before, after;
	uint64_t warm;

	gets.path = args[0];
	for (size_t i = 0; i < n; i++) {
		wires[i].on_body = ignore;
		wires[i].on_end = get_end;
		wire_connect(&wires[i], &load);
		wire_get(&wires[i], gets.path);
	}
	load_run(&load, now() + seconds / 8);
	warm = gets.answers;
	usage_read(&before, pid);
	begin = now();
	load_run(&load, begin + seconds);
	seconds = now() - begin;
	usage_read(&after, pid);
	printf("{\"mode\":\"get\",\"path\":\"%s\",\"connections\":%zu,"
	       "\"requests_per_second\":%.0f,",
		gets.path, n, (double)(gets.answers - warm) / seconds);
	usage_print(&before, &after, seconds);
	printf("}\n");
	for (size_t i = 0; i < n; i++)
		wire_close(&wires[i]);
	free(wires);
}

/* --- time to first token ---------------------------------------------- */

/* A request for a prompt of `bytes` letters. */
static void prime(struct wire *w, size_t bytes)
{
	static const char words[] = "thou art more lovely and more temperate ";
	struct buf b;

	buf_init(&b, 16u << 20);
	buf_puts(&b, "{\"length\":1,\"prompt\":\"");
	for (size_t n = 0; n < bytes; n += sizeof(words) - 1)
		buf_puts(&b, words);
	if (buf_puts(&b, "\"}") < 0)
		die("out of memory");
	wire_connect(w, &load);
	wire_post(w, "/sample", b.data);
	buf_release(&b);
}

static void primed(struct wire *w)
{
	(void)w;
	die("the long prompt ended before the measurement did: longer");
}

static double metric(struct wire *w, const char *name)
{
	struct buf *text = w->user;
	const char *at;
	size_t len = strlen(name);

	buf_clear(text);
	wire_get(w, "/metrics");
	ask(w);
	if (w->status != 200 || buf_append(text, "", 1) < 0)
		die("/metrics: status %d", w->status);
	for (at = text->data; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, name, len) && at[len] == ' ')
			return strtod(at + len, NULL);
	}
	die("/metrics has no %s", name);
}

static void probe_open(struct wire *probe, struct buf *text)
{
	*probe = (struct wire){
		.on_body = keep, .on_end = stop_at_end, .user = text
	};
	buf_init(text, 1u << 20);
	wire_connect(probe, &load);
}

static void wait_metric(struct wire *probe, const char *name, double least)
{
	while (metric(probe, name) < least)
		if (now() > limit())
			die("%s stays below %g", name, least);
}

/* What a client's own prompt takes until its first token, one after another. */
static double first_token(size_t i)
{
	struct stream *s = &streams.all[0];
	char json[160];

	s->first = 0;
	s->tokens = s->id = 0;
	s->done = s->finished = false;
	streams.begun = streams.ended = streams.finished = 0;
	snprintf(json, sizeof(json),
		"{\"prompt\":\"Shall I compare thee\",\"length\":1,"
		"\"seed\":%zu,\"stream\":true}",
		i);
	stream_start(s, json);
	ask(&s->wire);
	return (s->first - s->asked) * 1e3;
}

static void mode_ttft(char **args)
{
	size_t n = strtoul(args[0], NULL, 10);
	size_t bytes = strtoul(args[1], NULL, 10);
	struct wire long_one = { .on_body = ignore, .on_end = primed }, probe;
	double *ms = grab(n, sizeof(*ms)), begin, fed;
	struct usage before, after;
	struct buf text;

	streams.n = 1;
	streams.goal = 1;
	streams.all = grab(1, sizeof(*streams.all));
	wire_connect(&streams.all[0].wire, &load);
	probe_open(&probe, &text);
	fed = metric(&probe, "unrolld_prompt_tokens_total");
	if (bytes) {
		prime(&long_one, bytes);
		wait_metric(&probe, "unrolld_prompt_tokens_total", fed + 1000);
	}
	fed = metric(&probe, "unrolld_prompt_tokens_total");
	begin = now();
	usage_read(&before, pid);
	for (size_t i = 0; i < n; i++)
		ms[i] = first_token(i);
	usage_read(&after, pid);
	begin = now() - begin;
	fed = metric(&probe, "unrolld_prompt_tokens_total") - fed;
	printf("{\"mode\":\"ttft\",\"prompts\":%zu,\"priming_bytes\":%zu,"
	       "\"ms_p50\":%.3f,\"ms_p99\":%.3f,\"primed_per_second\":%.0f,",
		n, bytes, quantile(ms, n, 0.5), quantile(ms, n, 0.99),
		(fed - 20 * (double)n) / begin);
	usage_print(&before, &after, begin);
	printf("}\n");
	/* Its connection goes with it: the prompt is cancelled. */
	if (bytes)
		wire_close(&long_one);
	wire_close(&streams.all[0].wire);
	wire_close(&probe);
	buf_release(&text);
	free(streams.all);
	free(ms);
}

/* --- sessions --------------------------------------------------------- */

static struct {
	size_t next, ended, last;
	double bytes; /* of a blob */
} sessions;

static void session_ask(struct wire *w)
{
	char json[96];

	snprintf(json, sizeof(json), "{\"id\":\"bench-%zu\",\"seed\":%zu}",
		sessions.next, sessions.next);
	sessions.next++;
	wire_post(w, "/v1/sessions", json);
}

static void session_end(struct wire *w)
{
	struct buf *text = w->user;
	const char *bytes;

	if (w->status != 201)
		die("a session was answered with status %d", w->status);
	if (buf_append(text, "", 1) < 0)
		die("out of memory");
	bytes = strstr(text->data, "\"bytes\":");
	if (!bytes)
		die("a session's answer has no bytes: %s", text->data);
	sessions.bytes = strtod(bytes + 8, NULL);
	buf_clear(text);
	if (++sessions.ended == sessions.last)
		w->load->stop = true;
	else if (sessions.next < sessions.last)
		session_ask(w);
}

#define MAKERS 16

static void make_sessions(struct wire *wires, size_t last)
{
	sessions.last = last;
	for (size_t i = 0; i < MAKERS && sessions.next < last; i++)
		session_ask(&wires[i]);
	if (!load_run(&load, limit()))
		die("%zu sessions of %zu in %g s", sessions.ended, last, LIMIT);
}

static void mode_sessions(char **args)
{
	size_t n = strtoul(args[0], NULL, 10), warm = 256;
	struct wire wires[MAKERS] = { 0 };
	struct buf texts[MAKERS];
	double before, grown, begin;

	for (size_t i = 0; i < MAKERS; i++) {
		buf_init(&texts[i], 1u << 16);
		wires[i].user = &texts[i];
		wires[i].on_body = keep;
		wires[i].on_end = session_end;
		wire_connect(&wires[i], &load);
	}
	/* What the first ones open is no session's. */
	make_sessions(wires, warm);
	before = usage_resident(pid);
	begin = now();
	make_sessions(wires, warm + n);
	begin = now() - begin;
	grown = usage_resident(pid) - before;
	printf("{\"mode\":\"sessions\",\"sessions\":%zu,\"blob_bytes\":%.0f,"
	       "\"resident_bytes_each\":%.0f,\"over_blob\":%.0f,"
	       "\"created_per_second\":%.0f}\n",
		n, sessions.bytes, grown / (double)n,
		grown / (double)n - sessions.bytes, (double)n / begin);
	for (size_t i = 0; i < MAKERS; i++) {
		wire_close(&wires[i]);
		buf_release(&texts[i]);
	}
}

/* --- cancel ----------------------------------------------------------- */

static void leave_stream(struct wire *probe, double *ms, double *steps)
{
	static const char json[] = "{\"length\":1000000,\"stream\":true}";
	struct wire w = { .on_body = ignore, .on_end = primed };
	double begin, before;

	wire_connect(&w, &load);
	wire_post(&w, "/sample", json);
	wait_metric(probe, "unrolld_slots_active", 1);
	before = metric(probe, "unrolld_model_steps_total");
	begin = now();
	wire_close(&w);
	while (metric(probe, "unrolld_slots_active") > 0)
		if (now() > limit())
			die("a slot stays active");
	*ms = (now() - begin) * 1e3;
	*steps = metric(probe, "unrolld_model_steps_total") - before;
}

static void mode_cancel(char **args)
{
	size_t n = strtoul(args[0], NULL, 10);
	double *ms = grab(n, sizeof(*ms)), *steps = grab(n, sizeof(*steps));
	double cost = 0;
	struct wire probe;
	struct buf text;

	probe_open(&probe, &text);
	for (size_t i = 0; i < n; i++) {
		double asked = now();

		metric(&probe, "unrolld_slots_active");
		cost += (now() - asked) * 1e3;
		leave_stream(&probe, &ms[i], &steps[i]);
	}
	printf("{\"mode\":\"cancel\",\"streams\":%zu,\"ms_p50\":%.3f,"
	       "\"ms_p99\":%.3f,\"steps_p50\":%.0f,\"steps_p99\":%.0f,"
	       "\"probe_ms\":%.3f}\n",
		n, quantile(ms, n, 0.5), quantile(ms, n, 0.99),
		quantile(steps, n, 0.5), quantile(steps, n, 0.99),
		cost / (double)n);
	wire_close(&probe);
	buf_release(&text);
	free(ms);
	free(steps);
}

static const struct {
	const char *name;
	int n_args;
	void (*run)(char **args);
} modes[] = {
	{ "streams", 2, mode_streams },
	{ "latency", 1, mode_latency },
	{ "get", 3, mode_get },
	{ "ttft", 2, mode_ttft },
	{ "sessions", 1, mode_sessions },
	{ "cancel", 1, mode_cancel },
	{ "caption", 2, mode_caption },
	{ "captions", 2, mode_captions },
};

int main(int argc, char **argv)
{
	started = now();
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]) && argc > 3;
		i++) {
		if (strcmp(argv[3], modes[i].name) != 0 ||
			argc != 4 + modes[i].n_args)
			continue;
		pid = (unsigned)strtoul(argv[2], NULL, 10);
		load_open(&load, (unsigned)strtoul(argv[1], NULL, 10));
		modes[i].run(argv + 4);
		close(load.epoll);
		return 0;
	}
	die("usage: PORT PID streams N TOKENS | latency N |"
	    " get PATH CONNECTIONS SECONDS | ttft N PRIME_BYTES |"
	    " sessions N | cancel N | caption IMAGE N | captions IMAGE N");
}
