/* A byte-pair encoding in a checkpoint's JSON. Private to tokenizer_bpe.c. */
#ifndef TEXT_BPE_JSON_H
#define TEXT_BPE_JSON_H

#include "text/bpe.h"

/* A token that is found in the text as it is written, before any rule. */
struct bpe_added {
	uint32_t id;
	char *content; /* owned, UTF-8 */
	size_t len;
	bool special;
};

struct bpe_rules {
	bool add_prefix_space;	 /* a text that begins with none is given one */
	bool use_regex;		 /* else a text is one piece */
	struct bpe_added *added; /* [n_added] owned; the longest first */
	size_t n_added;
};

int bpe_load(struct bpe *b, struct bpe_rules *r, const json_t *json,
	struct error *err);
/* 0, or -1 when memory ran out. */
int bpe_save(const struct bpe *b, const struct bpe_rules *r, json_t *json);
void bpe_rules_release(struct bpe_rules *r);

#endif
