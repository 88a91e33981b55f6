/*
 * Convolutional networks of the VGG family (Simonyan & Zisserman 2015), under
 * torchvision's names: 3x3 convolutions with ReLU, max-pooling, then dense
 * layers. What fixes a network is a list of numbers; any other list is the
 * same code. The last layer that is computed gives v, a picture as a vector.
 */
#ifndef NN_CNN_H
#define NN_CNN_H

#include "base/error.h"
#include "base/team.h"
#include "math/real.h"
#include "nn/safetensors.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CNN_MAX_LAYERS 32
#define CNN_MAX_DENSE 3
#define CNN_MAX_WIDTH 16384
#define CNN_POOL 0 /* among the layers: halve height and width */

struct cnn_config {
	size_t side; /* of the square image that goes in */
	bool norm;   /* batch norm after each convolution */
	size_t n_layers;
	size_t layers[CNN_MAX_LAYERS]; /* channels of a convolution, or POOL */
	size_t pool; /* features are averaged to pool x pool; 0: as they are */
	size_t n_dense;
	size_t dense[CNN_MAX_DENSE]; /* widths of classifier.0, .3 and .6 */
	char until[32]; /* the layer whose output, after its ReLU, is v:
			 * "classifier.3", "features.28", or "features" for all
			 * of these, pooled and flattened */
};

/* vgg11, 13, 16, 19, each with "-bn" for batch norm, and tiny (64 pixels, 5
 * convolutions with norm, v of 256 from their averages over quarters); those
 * stop after classifier.3, with v of 4096. ERROR_INVALID with the names, for
 * another one. */
int cnn_config_find(
	struct cnn_config *config, const char *name, struct error *err);
/* ERROR_INVALID with the field, its value and what was expected. */
int cnn_config_check(const struct cnn_config *config, struct error *err);
/* As a checkpoint has it; a new reference, NULL when memory ran out. */
json_t *cnn_config_save(const struct cnn_config *config);
/* Checked. */
int cnn_config_load(
	struct cnn_config *config, const json_t *json, struct error *err);
/* Width of v, of a checked config. */
size_t cnn_config_width(const struct cnn_config *config);

struct cnn_tensor {
	char name[48];		 /* torchvision's: "features.0.weight" */
	size_t n_dims, shape[4]; /* torchvision's; kernels are held [out, 3, 3,
				  * in], as shape[0, 2, 3, 1] */
	size_t offset;
	bool statistic; /* running_mean and _var: not trained */
};

/* All tensors up to `until`, in one block, what is trained first. */
struct cnn_weights {
	struct cnn_config config;
	size_t n_tensors;
	struct cnn_tensor *tensors; /* [n_tensors] owned */
	size_t trained, count;	    /* reals */
	real *data;		    /* [count] owned, zeroed */
};

int cnn_weights_open(struct cnn_weights *w, const struct cnn_config *config,
	struct error *err);
void cnn_weights_release(struct cnn_weights *w);
size_t cnn_tensor_size(const struct cnn_tensor *t);
/* Kaiming He's normal distribution, biases 0, norms 1. */
void cnn_weights_initialise(struct cnn_weights *w, uint64_t seed);
/* Read each tensor as `prefix` + its name; others in the file are left alone.
 * ERROR_CORRUPT names what is missing, or of another shape with both. */
int cnn_weights_load(struct cnn_weights *w, const struct safetensors *file,
	const char *prefix, struct error *err);
/* Copy a tensor in torchvision's order: floats [cnn_tensor_size]. */
void cnn_weights_get(const struct cnn_weights *w, const struct cnn_tensor *t,
	float *row_major);

/* Packed weights and working memory for images of one size. Weights are
 * borrowed for its life: whoever changes them calls cnn_refresh. */
struct cnn;
int cnn_open(struct cnn **c, const struct cnn_weights *w, size_t batch,
	bool training, struct team *team, struct error *err);
void cnn_close(struct cnn *c);

/* The three below run inside team_run, by all members together. */

/* Pack the weights anew. Has barriers, one at its end. */
void cnn_refresh(struct cnn *c, unsigned member);
/* images [n, side, side, 3] to v [n, width], n <= batch; in training batch norm
 * uses the batch's own statistics and updates `statistics`' running ones (the
 * weights that are borrowed, or NULL). Has barriers, one at its end. An image's
 * v is the same bits in any batch, but for training with batch norm. */
void cnn_forward(struct cnn *c, const real *images, size_t n, real *v,
	struct cnn_weights *statistics, unsigned member);
/* From the gradient of v, back through the images of the last forward; sets
 * grads' trained part. Has barriers, one at its end. Only of one for training.
 */
void cnn_backward(struct cnn *c, const real *d_v, struct cnn_weights *grads,
	unsigned member);

#endif
