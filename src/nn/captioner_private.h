/* What captioner.c (weights and pictures) and caption_search.c (sentences)
 * share. */
#ifndef NN_CAPTIONER_PRIVATE_H
#define NN_CAPTIONER_PRIVATE_H

#include "math/kernels.h"
#include "nn/captioner.h"
#include "nn/model.h"
#include "nn/sampler.h"

struct captioner {
	struct team *team; /* borrowed */
	struct model *decoder;
	struct model_scratch *scratch; /* of CAPTION_MAX_BEAM rows */
	struct sampler *sampler;
	struct packed condition; /* [features, gates * hidden] */
	struct cnn *cnn;	 /* NULL: v is given */
	struct image_form form;
	size_t batch;
	real *input; /* [batch, crop, crop, 3] */
	bool always;
	size_t features, state; /* widths: of v, of a state */
	real *from_v;		/* [width] what v adds to the gates */
	real *states[2];	/* [CAPTION_MAX_BEAM, state] in turn */
	real *logits;		/* [CAPTION_MAX_BEAM, vocab] */
};

#endif
