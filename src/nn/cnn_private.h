/* What cnn*.c share; nobody else includes it. */
#ifndef NN_CNN_PRIVATE_H
#define NN_CNN_PRIVATE_H

#include "math/conv.h"
#include "math/pixels.h"
#include "math/winograd.h"
#include "nn/cnn.h"

enum cnn_op {
	CNN_CONV,
	CNN_NORM,
	CNN_RELU,    /* in place, on what the step before gave */
	CNN_MAXPOOL, /* 2x2 */
	CNN_FLATTEN, /* averaged to pool x pool, as [channels, height, width] */
	CNN_DENSE,
};

/* One step: its output is [height, width, channels] framed (math/conv.h), or
 * flat with height 0. */
struct cnn_shape {
	size_t height, width, channels;
};

struct cnn_plan_step {
	enum cnn_op op;
	struct cnn_shape in, out;
	size_t size;   /* reals of the output, frame included */
	char name[32]; /* of its tensors' layer, "" where it has none */
};

/* A config unrolled up to `until`, that layer's ReLU included. */
#define CNN_MAX_STEPS (3 * CNN_MAX_LAYERS + 2 * CNN_MAX_DENSE + 1)
struct cnn_plan {
	size_t n;
	struct cnn_plan_step steps[CNN_MAX_STEPS];
	bool found;    /* `until` is the name of a layer */
	char last[32]; /* the last layer's name */
};
void cnn_plan(struct cnn_plan *plan, const struct cnn_config *config);

struct cnn_step {
	struct conv conv, conv_back;
	struct winograd winograd; /* instead of conv; else in = 0 */
	struct packed dense, dense_back;
	const real *weight, *bias; /* borrowed from the weights */
	const real *mean, *var;	   /* of a norm, likewise */
	real *folded; /* [out] a convolution's bias, the norm after it included;
		       * NULL in training */
	real *scaled; /* [out, 3, 3, in] its kernels, likewise; or flipped */
	real *out;    /* training: [batch, size]; NULL where in place */
	real *moments; /* a norm's in training, [6, channels]: mean and 1 /
			* deviation of the batch; slope and start; and of its
			* gradient the parts of x and the constant ones */
};

struct cnn {
	const struct cnn_weights *weights; /* borrowed */
	struct team *team;		   /* borrowed */
	struct cnn_plan plan;
	struct cnn_step steps[CNN_MAX_STEPS];
	size_t batch, n; /* n: images of the last forward */
	bool training;
	size_t largest;	     /* reals of the largest output of one image */
	size_t largest_work; /* reals of Winograd's working memory */
	real *framed;	     /* training: [batch, frame of side]; else one */
	real *turn[2]; /* one image's outputs in turn; training: [batch] of
			* gradients */
	real *flat[2]; /* not training: [batch, widest] of flat outputs */
	real **work;   /* [members], of outer products or of Winograd's */
	double *sums;  /* training: [batch, 2, widest_norm] */
	size_t widest, widest_norm; /* channels, of all outputs and of norms */
};

/* Where step i's output of image `image` is. */
real *cnn_out(const struct cnn *c, size_t i, size_t image);
/* The same of what goes into it. */
real *cnn_in(const struct cnn *c, size_t i, size_t image);

/* Whether this step runs: but in training, norms are folded into the weights,
 * and a convolution by Winograd does the ReLU after it. */
static inline bool cnn_runs(const struct cnn *c, size_t i)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];

	if (c->training || !p->out.height)
		return true;
	if (p->op == CNN_RELU)
		return !c->steps[i - 1 - (p[-1].op == CNN_NORM)].winograd.in;
	return p->op != CNN_NORM;
}

/* Which of n values bin i of `bins` averages. */
struct cnn_bin {
	size_t begin, end;
};
struct cnn_bin cnn_bin(size_t i, size_t bins, size_t n);
/* Bins of each side that this FLATTEN gives. */
size_t cnn_bins(const struct cnn_plan_step *p);

/* A norm's batch statistics and its output; its gradient and its weights'. Have
 * barriers, none at their end. */
void cnn_norm_forward(struct cnn *c, size_t i, struct cnn_weights *statistics,
	unsigned member);
void cnn_norm_backward(struct cnn *c, size_t i, const real *g, real *dx,
	struct cnn_weights *grads, unsigned member);

#endif
