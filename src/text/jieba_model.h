/* finalseg's prob_start.py, prob_trans.py and prob_emit.py: the dicts of
 * numbers in them, as text. Private to jieba_build.c. */
#ifndef TEXT_JIEBA_MODEL_H
#define TEXT_JIEBA_MODEL_H

#include "text/jieba_file.h"

struct jieba_emission {
	uint32_t cp;
	double log[JIEBA_STATES];
};

/* What the files don't say is JIEBA_MIN_FLOAT. */
struct jieba_model {
	double start[JIEBA_STATES];
	double transitions[JIEBA_STATES][JIEBA_STATES];
	struct jieba_emission *emissions; /* [n] owned; by code point */
	size_t n;
};

int jieba_model_read(
	struct jieba_model *m, const char *directory, struct error *err);
void jieba_model_release(struct jieba_model *m);

#endif
