/* The files of a corpus as one stream of UTF-8 that can be read again. Private
 * to text/corpus.c. */
#ifndef TEXT_CORPUS_SOURCE_H
#define TEXT_CORPUS_SOURCE_H

#include "text/corpus.h"

#include <sys/types.h>

struct corpus_source {
	const struct corpus_options *options;
	uint64_t faults; /* of the last read */
	struct corpus_input {
		int fd;
		bool owned; /* standard input is not ours to close */
		off_t begin;
		const char *charset;
	} * inputs; /* [n_paths] owned */
};

/* Takes one part of the text, whole code points of file paths[input]. */
typedef int corpus_sink(void *arg, size_t input, const char *text, size_t len,
	struct error *err);

/* Opens all files, so that a missing one is known before any work. With
 * `again`, or to find out a charset, what can't be read twice is copied to a
 * file in cache_dir. */
int corpus_source_open(struct corpus_source *s,
	const struct corpus_options *options, bool again, struct error *err);
void corpus_source_close(struct corpus_source *s);

/* Everything, from the start, into sink; errors are prefixed by the path. */
int corpus_source_read(struct corpus_source *s, corpus_sink *sink, void *arg,
	struct error *err);

/* An unlinked file in `dir`, which is made if it is missing: its descriptor,
 * or -1. */
int corpus_scratch_file(const char *dir, struct error *err);
int corpus_write(int fd, const void *bytes, size_t len, const char *dir,
	struct error *err);

#endif
