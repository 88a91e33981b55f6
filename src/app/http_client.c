/*
 * libcurl is opened when it is first needed: linked, it and the twenty
 * libraries behind it would cost every daemon 3 MB.
 */
#include "app/http_client.h"
#include "app/sse.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ANSWER (256u << 20)
#define CONNECT_SECONDS 10L
#define STALL_SECONDS 120L /* without a byte */

#define UNIX "unix:"
#define LOCAL "http://localhost" /* the Host header on a Unix socket */
#define LOCAL_TLS "https://localhost"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#define FUNCTIONS(F)           \
	F(curl_easy_init)      \
	F(curl_easy_cleanup)   \
	F(curl_easy_setopt)    \
	F(curl_easy_getinfo)   \
	F(curl_easy_perform)   \
	F(curl_easy_strerror)  \
	F(curl_easy_escape)    \
	F(curl_free)           \
	F(curl_slist_append)   \
	F(curl_slist_free_all) \
	F(curl_mime_init)      \
	F(curl_mime_free)      \
	F(curl_mime_addpart)   \
	F(curl_mime_name)      \
	F(curl_mime_data)      \
	F(curl_mime_filename)  \
	F(curl_mime_filedata)  \
	F(curl_mime_data_cb)

#define DECLARE(f) static __typeof__(f) *f##_;
FUNCTIONS(DECLARE)

/* It stays open: libraries behind it don't like to go. */
static int open_library(struct error *err)
{
	static void *library;

	if (!library)
		library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return error_set(
			err, ERROR_UNAVAILABLE, "no libcurl: %s", dlerror());
#define FIND(f)                                      \
	f##_ = (__typeof__(f##_))dlsym(library, #f); \
	if (!f##_)                                   \
		return error_set(err, ERROR_UNAVAILABLE, "libcurl has no " #f);
	FUNCTIONS(FIND)
	return 0;
}

struct http_client {
	CURL *curl;
	char *name;	 /* as it was given, for messages */
	const char *url; /* in it, without a slash at its end; or LOCAL */
	bool keyless;
	char fault[CURL_ERROR_SIZE];
};

static size_t take(char *bytes, size_t size, size_t n, void *answer)
{
	return buf_append(answer, bytes, size * n) < 0 ? 0 : size * n;
}

/* As curl's own command has it; its library does not look there. */
static const char *authorities(void)
{
	const char *file = getenv("CURL_CA_BUNDLE");

	if (!file || !*file)
		file = getenv("SSL_CERT_FILE");
	return file && *file ? file : NULL;
}

static void set_options(struct http_client *c)
{
	const char *ca = authorities();
	CURL *h = c->curl;

	if (ca)
		curl_easy_setopt_(h, CURLOPT_CAINFO, ca);
	curl_easy_setopt_(h, CURLOPT_ERRORBUFFER, c->fault);
	curl_easy_setopt_(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt_(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt_(h, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
	curl_easy_setopt_(h, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt_(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt_(h, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS);
	curl_easy_setopt_(h, CURLOPT_USERAGENT, "unrolld");
	curl_easy_setopt_(h, CURLOPT_WRITEFUNCTION, take);
}

int http_client_open(
	struct http_client **out, const char *url, struct error *err)
{
	size_t len = strlen(url);
	struct http_client *c;

	if (open_library(err) < 0)
		return -1;
	c = calloc(1, sizeof(*c));
	if (!c)
		return error_set_memory(err, "client", sizeof(*c));
	while (len && url[len - 1] == '/')
		len--;
	c->url = c->name = strndup(url, len);
	c->curl = curl_easy_init_();
	if (!c->name || !c->curl) {
		http_client_close(c);
		return error_set_memory(err, "client", sizeof(*c));
	}
	set_options(c);
	if (!strncmp(c->name, UNIX, sizeof(UNIX) - 1)) {
		curl_easy_setopt_(c->curl, CURLOPT_UNIX_SOCKET_PATH,
			c->name + sizeof(UNIX) - 1);
		c->url = LOCAL;
	}
	*out = c;
	return 0;
}

void http_client_close(struct http_client *c)
{
	if (!c)
		return;
	if (c->curl)
		curl_easy_cleanup_(c->curl);
	free(c->name);
	free(c);
}

void http_client_limit(struct http_client *c, uint64_t ms)
{
	curl_easy_setopt_(c->curl, CURLOPT_TIMEOUT_MS, (long)ms);
}

void http_client_trust(struct http_client *c, const char *certificate)
{
	curl_easy_setopt_(c->curl, CURLOPT_CAINFO, certificate);
	curl_easy_setopt_(c->curl, CURLOPT_SSL_VERIFYHOST, 0L);
	c->keyless = true;
	if (!strcmp(c->url, LOCAL))
		c->url = LOCAL_TLS;
}

/* What the daemon says is wrong. */
static int refused(long status, const struct buf *answer, struct error *err)
{
	json_t *json = json_loadb(answer->data ? answer->data : "", answer->len,
		JSON_DECODE_ANY, NULL);
	const json_t *why = json_object_get(json, "error");
	const char *message =
		json_string_value(json_object_get(why, "message"));
	const char *code = json_string_value(json_object_get(why, "code"));

	if (message && code)
		error_set(err,
			status == 503 ? ERROR_UNAVAILABLE : ERROR_INVALID,
			"%s (%ld %s)", message, status, code);
	else
		error_set(err, ERROR_INVALID,
			"the answer is %ld, and not an error of unrolld's",
			status);
	json_decref(json);
	return -1;
}

static int perform(struct http_client *c, struct buf *answer, struct error *err)
{
	CURLcode code = curl_easy_perform_(c->curl);
	long status = 0;

	if (code != CURLE_OK)
		return error_set(err, ERROR_UNAVAILABLE, "%s: %s", c->name,
			*c->fault ? c->fault : curl_easy_strerror_(code));
	curl_easy_getinfo_(c->curl, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300 ? 0 : refused(status, answer, err);
}

/* `header`, of NAME: VALUE, may be NULL. */
static struct curl_slist *headers(
	const struct http_client *c, const char *header)
{
	const char *key = c->keyless ? NULL : getenv("UNROLLD_API_KEY");
	struct curl_slist *list = curl_slist_append_(NULL, "Expect:");
	char bearer[320];

	if (list && header)
		curl_slist_append_(list, header);
	if (list && key && *key && strlen(key) < sizeof(bearer) - 32) {
		snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
			key);
		curl_slist_append_(list, bearer);
	}
	return list;
}

/* The method and the body are set. */
static int send_request(struct http_client *c, const char *path,
	const char *header, struct buf *answer, struct error *err)
{
	size_t size = strlen(c->url) + strlen(path) + 1;
	struct curl_slist *list = headers(c, header);
	char *url = malloc(size);
	int result;

	if (!url || !list) {
		free(url);
		curl_slist_free_all_(list);
		return error_set_memory(err, "request", size);
	}
	snprintf(url, size, "%s%s", c->url, path);
	buf_clear(answer);
	c->fault[0] = '\0';
	curl_easy_setopt_(c->curl, CURLOPT_URL, url);
	curl_easy_setopt_(c->curl, CURLOPT_HTTPHEADER, list);
	result = perform(c, answer, err);
	curl_slist_free_all_(list);
	free(url);
	return result;
}

int http_client_ask(struct http_client *c, const struct http_request *r,
	struct buf *answer, struct error *err)
{
	char type[96];

	curl_easy_setopt_(c->curl, CURLOPT_WRITEDATA, answer);
	if (r->type) {
		snprintf(type, sizeof(type), "Content-Type: %s", r->type);
		curl_easy_setopt_(c->curl, CURLOPT_POSTFIELDSIZE_LARGE,
			(curl_off_t)r->len);
		curl_easy_setopt_(c->curl, CURLOPT_POSTFIELDS, r->body);
	} else {
		curl_easy_setopt_(c->curl, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt_(c->curl, CURLOPT_CUSTOMREQUEST, r->method);
	return send_request(c, r->path, r->type ? type : NULL, answer, err);
}

static int parse(const struct buf *answer, json_t **json, struct error *err)
{
	json_error_t why;

	*json = json_loadb(
		answer->data ? answer->data : "", answer->len, 0, &why);
	return *json ? 0
		     : error_set(err, ERROR_CORRUPT,
			       "the answer is not JSON: %s", why.text);
}

/* --- uploads ---------------------------------------------------------- */

static size_t read_input(char *out, size_t size, size_t n, void *file)
{
	return fread(out, size, n, file);
}

/* What is read as it is sent: a file of any length, or standard input. */
static int add_file(curl_mime *form, const struct http_upload *u)
{
	curl_mimepart *part = curl_mime_addpart_(form);
	bool standard = !strcmp(u->file, "-");

	if (curl_mime_name_(part, "file") != CURLE_OK)
		return -1;
	if (standard && curl_mime_data_cb_(part, -1, read_input, NULL, NULL,
				stdin) != CURLE_OK)
		return -1;
	if (!standard && curl_mime_filedata_(part, u->file) != CURLE_OK)
		return -1;
	if (!u->name && !standard)
		return 0;
	return curl_mime_filename_(part, u->name ? u->name : "stdin") ==
			       CURLE_OK
		       ? 0
		       : -1;
}

/* Small fields first, so that the daemon knows them when the file comes. */
static int fill_form(curl_mime *form, const struct http_upload *u)
{
	for (size_t i = 0; i < u->n_fields; i++) {
		curl_mimepart *part;

		if (!u->fields[i].value)
			continue;
		part = curl_mime_addpart_(form);
		if (curl_mime_name_(part, u->fields[i].name) != CURLE_OK ||
			curl_mime_data_(part, u->fields[i].value,
				CURL_ZERO_TERMINATED) != CURLE_OK)
			return -1;
	}
	return add_file(form, u);
}

int http_client_upload(struct http_client *c, const struct http_upload *u,
	json_t **answer, struct error *err)
{
	curl_mime *form = curl_mime_init_(c->curl);
	struct buf bytes;
	int result;

	if (!form || fill_form(form, u) < 0) {
		curl_mime_free_(form);
		return error_set_errno(err, "cannot read");
	}
	buf_init(&bytes, MAX_ANSWER);
	curl_easy_setopt_(c->curl, CURLOPT_WRITEDATA, &bytes);
	curl_easy_setopt_(c->curl, CURLOPT_CUSTOMREQUEST, NULL);
	curl_easy_setopt_(c->curl, CURLOPT_MIMEPOST, form);
	result = send_request(c, u->path, NULL, &bytes, err);
	if (!result)
		result = parse(&bytes, answer, err);
	curl_easy_setopt_(c->curl, CURLOPT_MIMEPOST, NULL);
	curl_mime_free_(form);
	buf_release(&bytes);
	return result;
}

/* --- events ----------------------------------------------------------- */

struct following {
	CURL *curl;
	struct sse parser;
	const struct http_events *e;
	struct buf refusal;
	int ended; /* by the caller (> 0), or by what can't be read (< 0) */
};

/* What is no success is an error to be read, not events. */
static size_t take_events(char *bytes, size_t size, size_t n, void *arg)
{
	struct following *f = arg;
	long status = 0;

	curl_easy_getinfo_(f->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status >= 300)
		return take(bytes, size, n, &f->refusal);
	f->ended = sse_feed(&f->parser, bytes, size * n);
	return f->ended ? 0 : size * n;
}

static int on_tick(
	void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct following *f = arg;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	f->e->tick(f->e->arg);
	return 0;
}

int http_client_follow(
	struct http_client *c, const struct http_events *e, struct error *err)
{
	struct following f = { .curl = c->curl, .e = e };
	CURL *h = c->curl;
	char last[96];
	int result;

	sse_init(&f.parser, e->event, e->arg);
	buf_init(&f.refusal, MAX_ANSWER);
	snprintf(last, sizeof(last), "Last-Event-ID: %s", e->after);
	curl_easy_setopt_(h, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt_(h, CURLOPT_CUSTOMREQUEST, NULL);
	curl_easy_setopt_(h, CURLOPT_WRITEFUNCTION, take_events);
	curl_easy_setopt_(h, CURLOPT_WRITEDATA, &f);
	curl_easy_setopt_(h, CURLOPT_XFERINFOFUNCTION, on_tick);
	curl_easy_setopt_(h, CURLOPT_XFERINFODATA, &f);
	curl_easy_setopt_(h, CURLOPT_NOPROGRESS, 0L);
	result = send_request(
		c, e->path, *e->after ? last : NULL, &f.refusal, err);
	curl_easy_setopt_(h, CURLOPT_NOPROGRESS, 1L);
	curl_easy_setopt_(h, CURLOPT_WRITEFUNCTION, take);
	sse_release(&f.parser);
	buf_release(&f.refusal);
	if (f.ended < 0)
		return error_set(err, ERROR_CORRUPT,
			"%s: an event is longer than %u bytes", e->path,
			SSE_EVENT_MAX);
	return f.ended ? 0 : result;
}

int http_client_json(struct http_client *c, const char *method,
	const char *path, json_t *body, json_t **answer, struct error *err)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const struct http_request r = { method, path,
		text ? "application/json" : NULL, text,
		text ? strlen(text) : 0 };
	struct buf bytes;
	int result;

	buf_init(&bytes, MAX_ANSWER);
	result = http_client_ask(c, &r, &bytes, err);
	if (!result)
		result = parse(&bytes, answer, err);
	buf_release(&bytes);
	free(text);
	json_decref(body);
	return result;
}

char *http_client_path(struct http_client *c, const char *prefix,
	const char *text, const char *suffix)
{
	char *escaped = curl_easy_escape_(c->curl, text, 0);
	size_t size;
	char *path;

	if (!escaped)
		return NULL;
	size = strlen(prefix) + strlen(escaped) + strlen(suffix) + 1;
	path = malloc(size);
	if (path)
		snprintf(path, size, "%s%s%s", prefix, escaped, suffix);
	curl_free_(escaped);
	return path;
}
