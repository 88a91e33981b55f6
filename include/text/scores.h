/*
 * How near sentences come to what people wrote, as the COCO captioning task
 * measures it (Chen et al. 2015, and its code): BLEU (Papineni et al. 2002)
 * over the corpus, ROUGE-L (Lin 2004) and CIDEr-D (Vedantam et al. 2015) as
 * means over the sentences. Words are runs without white space, in lower case
 * and without ASCII punctuation.
 */
#ifndef TEXT_SCORES_H
#define TEXT_SCORES_H

#include "base/error.h"

#include <stddef.h>

struct scored {
	const char *candidate;
	const char *const *references; /* [n_references], 1 or more */
	size_t n_references;
};

struct scores {
	double bleu[4]; /* of 1 to 1, 2, 3 and 4 words; closest length */
	double rouge_l; /* beta 1.2 */
	double cider_d; /* sigma 6; document frequencies of the references */
	double exact;	/* share whose words are a reference's */
};

/* ERROR_INVALID: no sentence, or one without references. */
int scores_measure(struct scores *out, const struct scored *items, size_t n,
	struct error *err);

#endif
