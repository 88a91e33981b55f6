/*
 * A training text as token ids: files (or "-" for standard input) are decoded
 * and tokenised in a stream, into memory when small and into an unlinked
 * mapped file when large, so that the corpus is never held as copies.
 */
#ifndef TEXT_CORPUS_H
#define TEXT_CORPUS_H

#include "base/error.h"
#include "base/tokens.h"
#include "text/encoding.h"
#include "text/tokenizer.h"

#include <stdbool.h>
#include <stdint.h>

#define CORPUS_MEMORY (64u << 20)

struct corpus_options {
	const char *const *paths; /* [n_paths]; "-" is standard input */
	size_t n_paths;
	const char *encoding; /* charset, or "auto" for each file's own;
			       * NULL: utf-8 */
	enum encoding_faults faults;
	const char *tokenizer; /* kind to learn, when none is given */
	struct tokenizer_options learn;
	enum unknown_policy unknown;
	bool keep_newlines;    /* else CR LF and CR become LF */
	const char *cache_dir; /* where a large one is mapped from, and a pipe
				* that is read twice is kept; made if missing */
	size_t memory; /* bytes of ids that stay in memory; 0: CORPUS_MEMORY */
};

struct corpus {
	struct tokenizer *tokenizer; /* owned reference */
	struct tokens_view tokens;   /* borrowed from this corpus */
	uint64_t bytes;		     /* of UTF-8 text */
	uint64_t characters;	     /* code points (bytes for `byte`) */
	uint64_t skipped;	     /* unknown characters left out */
	uint64_t faults;	     /* of the encoding, replaced or skipped */
	const char *charset; /* of the first file; borrowed from the options,
			      * or static */
	uint64_t unknown;    /* tokens that are "<unk>" */
	uint64_t unknown_characters; /* that these stand for */
	uint64_t hash;		     /* XXH3-64 of the UTF-8 text */
	void *storage;		     /* private */
	size_t storage_bytes;
	bool storage_mapped;
};

/*
 * With `known` the text is encoded by it (one pass); without, a tokenizer is
 * learnt first (two). Several files are one text, in order; each may begin with
 * a byte-order mark. Memory: the ids, at most `memory` of them unmapped, and
 * about 4 MB. An empty text is ERROR_INVALID; errors name the file.
 */
int corpus_open(struct corpus *c, const struct corpus_options *o,
	struct tokenizer *known, struct error *err);
void corpus_release(struct corpus *c);

#endif
