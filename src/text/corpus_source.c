#include "text/corpus_source.h"

#include "base/file.h"
#include "text/encoding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (256u << 10)
/* No charset grows more when it becomes UTF-8. */
#define CHUNK_UTF8 (16 * CHUNK)

int corpus_scratch_file(const char *dir, struct error *err)
{
	char path[4096];
	int fd;

	if (!dir)
		return error_set_param(err, ERROR_INVALID, "cache_dir",
			"a directory for temporary files is needed, but none "
			"is set");
	if (file_make_directories(dir, 0700, err) < 0)
		return -1;
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	/* Not every file system has O_TMPFILE. */
	if (snprintf(path, sizeof(path), "%s/unrolld.XXXXXX", dir) >=
		(int)sizeof(path))
		errno = ENAMETOOLONG;
	else
		fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(
			err, "%s: cannot make a temporary file", dir);
	unlink(path);
	return fd;
}

int corpus_write(int fd, const void *bytes, size_t len, const char *dir,
	struct error *err)
{
	const char *from = bytes;
	ssize_t n;

	while (len) {
		n = write(fd, from, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(
				err, "%s: cannot write a temporary file", dir);
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

static ssize_t read_chunk(
	int fd, char *chunk, const char *path, struct error *err)
{
	ssize_t n;

	do
		n = read(fd, chunk, CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		error_set_errno(err, "%s: cannot read", path);
	return n;
}

/* Replace a pipe by a copy of all that comes out of it. */
static int spool(struct corpus_input *in, const char *path, const char *dir,
	struct error *err)
{
	int fd = corpus_scratch_file(dir, err);
	char *chunk;
	ssize_t n;

	if (fd < 0)
		return -1;
	chunk = malloc(CHUNK);
	if (!chunk) {
		close(fd);
		return error_set_memory(err, path, CHUNK);
	}
	while ((n = read_chunk(in->fd, chunk, path, err)) > 0) {
		if (corpus_write(fd, chunk, (size_t)n, dir, err) < 0) {
			n = -1;
			break;
		}
	}
	free(chunk);
	if (in->owned)
		close(in->fd);
	*in = (struct corpus_input){ .fd = fd, .owned = true };
	return n < 0 ? -1 : 0;
}

/* The charset that the whole of a file lets guess. */
static int guess_charset(
	struct corpus_input *in, const char *path, struct error *err)
{
	struct encoding_guess guess = { 0 };
	char *chunk = malloc(CHUNK);
	ssize_t n;

	if (!chunk)
		return error_set_memory(err, path, CHUNK);
	if (lseek(in->fd, in->begin, SEEK_SET) < 0) {
		free(chunk);
		return error_set_errno(err, "%s: cannot read again", path);
	}
	while ((n = read_chunk(in->fd, chunk, path, err)) > 0)
		encoding_guess_feed(&guess, chunk, (size_t)n);
	free(chunk);
	in->charset = encoding_guess_charset(&guess);
	return n < 0 ? -1 : 0;
}

static int open_input(struct corpus_input *in, const char *path, bool again,
	const char *dir, struct error *err)
{
	bool standard = !strcmp(path, "-");
	struct stat st;

	in->owned = !standard;
	in->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0 && errno == ENOENT)
		return error_set(
			err, ERROR_NOT_FOUND, "%s: no such file", path);
	if (in->fd < 0)
		return error_set_errno(err, "%s: cannot open", path);
	if (fstat(in->fd, &st) < 0)
		return error_set_errno(err, "%s: cannot open", path);
	if (S_ISDIR(st.st_mode))
		return error_set(err, ERROR_INVALID,
			"%s: is a directory, expected a text file", path);
	in->begin = lseek(in->fd, 0, SEEK_CUR);
	if (again && (!S_ISREG(st.st_mode) || in->begin < 0))
		return spool(in, path, dir, err);
	return 0;
}

static int set_charset(
	struct corpus_source *s, size_t input, bool guess, struct error *err)
{
	struct corpus_input *in = &s->inputs[input];

	if (guess)
		return guess_charset(in, s->options->paths[input], err);
	in->charset = s->options->encoding ? s->options->encoding : "utf-8";
	return 0;
}

int corpus_source_open(struct corpus_source *s, const struct corpus_options *o,
	bool again, struct error *err)
{
	const bool guess = o->encoding && !strcmp(o->encoding, ENCODING_AUTO);
	size_t i, standard = 0;

	*s = (struct corpus_source){ .options = o };
	if (!o->n_paths)
		return error_set_param(err, ERROR_INVALID, "text",
			"no text is named: expected files, or - for standard "
			"input");
	for (i = 0; i < o->n_paths; i++)
		standard += !strcmp(o->paths[i], "-");
	if (standard > 1)
		return error_set_param(err, ERROR_INVALID, "text",
			"-: standard input is named %zu times, expected once",
			standard);
	s->inputs = calloc(o->n_paths, sizeof(*s->inputs));
	if (!s->inputs)
		return error_set_memory(
			err, "files", o->n_paths * sizeof(*s->inputs));
	for (i = 0; i < o->n_paths; i++)
		s->inputs[i].fd = -1;
	for (i = 0; i < o->n_paths; i++) {
		if (open_input(&s->inputs[i], o->paths[i], again || guess,
			    o->cache_dir, err) < 0 ||
			set_charset(s, i, guess, err) < 0) {
			corpus_source_close(s);
			return -1;
		}
	}
	return 0;
}

void corpus_source_close(struct corpus_source *s)
{
	for (size_t i = 0; s->inputs && i < s->options->n_paths; i++)
		if (s->inputs[i].owned && s->inputs[i].fd >= 0)
			close(s->inputs[i].fd);
	free(s->inputs);
	s->inputs = NULL;
}

struct reader {
	struct encoding *encoding;
	char *chunk;	 /* [CHUNK] */
	struct buf text; /* of a chunk */
	corpus_sink *sink;
	void *arg;
};

static int read_input(struct corpus_source *s, size_t input, struct reader *r,
	struct error *err)
{
	const struct corpus_input *in = &s->inputs[input];
	const char *path = s->options->paths[input];
	struct buf *text = &r->text;
	bool more = true;
	ssize_t n;

	/* A pipe is read once, from where it is. */
	if (in->begin >= 0 && lseek(in->fd, in->begin, SEEK_SET) < 0)
		return error_set_errno(err, "%s: cannot read again", path);
	while (more) {
		n = read_chunk(in->fd, r->chunk, path, err);
		if (n < 0)
			return -1;
		more = n > 0;
		buf_clear(text);
		if ((more ? encoding_feed(
				    r->encoding, r->chunk, (size_t)n, text, err)
			  : encoding_finish(r->encoding, text, err)) < 0)
			return error_prefix(err, "%s%s", path,
				in->charset == s->options->encoding ||
						!s->options->encoding
					? ""
					: " (encoding auto)");
		if (text->len &&
			r->sink(r->arg, input, text->data, text->len, err) < 0)
			return error_prefix(err, "%s", path);
	}
	return 0;
}

int corpus_source_read(struct corpus_source *s, corpus_sink *sink, void *arg,
	struct error *err)
{
	const struct corpus_options *o = s->options;
	struct reader r = { .sink = sink, .arg = arg };
	int failed = 0;

	s->faults = 0;
	r.chunk = malloc(CHUNK);
	if (!r.chunk)
		return error_set_memory(err, "text", CHUNK);
	buf_init(&r.text, CHUNK_UTF8);
	for (size_t i = 0; i < o->n_paths && !failed; i++) {
		failed = encoding_open(&r.encoding, s->inputs[i].charset,
			!o->keep_newlines, o->faults, err);
		if (failed)
			break;
		failed = read_input(s, i, &r, err);
		s->faults += encoding_faults(r.encoding);
		encoding_close(r.encoding);
	}
	buf_release(&r.text);
	free(r.chunk);
	return failed;
}
