#include "nn/network_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static real *reals(struct network *n, size_t count)
{
	real *p = kernels_alloc(count);

	n->bytes += count * sizeof(real);
	return p;
}

static int open_packed(struct network *n, struct packed *p, size_t k,
	size_t width, struct error *err)
{
	if (packed_open(p, WEIGHTS_F32, k, width, err) < 0)
		return -1;
	n->bytes += p->bytes;
	return 0;
}

static bool drops(const struct network_dropout *d)
{
	return d->threshold > 0;
}

static struct network_dropout dropout_of(double rate)
{
	uint32_t threshold = (uint32_t)lrint(rate * 65536);

	return (struct network_dropout){ threshold,
		(real)(65536.0 / (65536.0 - threshold)) };
}

static int open_layer(struct network *n, size_t l, struct error *err)
{
	const struct parameters *p = n->parameters;
	const size_t h = n->arch.hidden, in = architecture_input(&n->arch, l);
	const size_t rows = n->options.seq_length * n->options.batch;
	const bool top = l + 1 == n->arch.layers;
	struct network_layer *layer = &n->layers[l];
	bool product_in = l > 0 || n->arch.embedding;

	layer->w_ih = p->data + parameters_layer(p, "weight_ih", l)->offset;
	layer->w_hh = p->data + parameters_layer(p, "weight_hh", l)->offset;
	layer->b_ih = p->data + parameters_layer(p, "bias_ih", l)->offset;
	layer->b_hh = p->data + parameters_layer(p, "bias_hh", l)->offset;
	if (open_packed(n, &layer->hidden, h, n->width, err) < 0)
		return -1;
	if (product_in && open_packed(n, &layer->input, in, n->width, err) < 0)
		return -1;
	if (n->options.training) {
		if (open_packed(n, &layer->hidden_back, n->width, h, err) < 0)
			return -1;
		if (product_in && open_packed(n, &layer->input_back, n->width,
					  in, err) < 0)
			return -1;
	}
	layer->bias = reals(n, n->width);
	layer->gates = reals(n, rows * n->width);
	if (!layer->bias || !layer->gates)
		goto memory;
	if (n->cell->separate && !(layer->product = reals(n, rows * n->width)))
		goto memory;
	if (n->cell->saved &&
		!(layer->saved = reals(n, rows * n->cell->saved * h)))
		goto memory;
	for (size_t s = 0; s < n->cell->states; s++)
		if (!(layer->states[s] =
				    reals(n, (rows + n->options.batch) * h)))
			goto memory;
	if (drops(top ? &n->drop_output : &n->drop_layers) &&
		!(layer->dropped = reals(n, rows * h)))
		goto memory;
	if (drops(&n->drop_hidden) &&
		!(layer->thinned = reals(n, n->width * h)))
		goto memory;
	return 0;
memory:
	return error_set_memory(
		err, "activations", rows * n->width * sizeof(real));
}

/* By table when that is less work than a product for each row. */
static int open_input(struct network *n, struct error *err)
{
	const size_t rows = n->options.seq_length * n->options.batch;
	const size_t v = n->arch.vocab, e = n->arch.embedding;
	const struct parameters *p = n->parameters;

	n->by_table = !e || (v <= rows && !drops(&n->drop_input));
	if (!e) {
		n->table =
			p->data + parameters_layer(p, "weight_ih", 0)->offset;
		return 0;
	}
	n->embedding = p->data + parameters_find(p, "embedding.weight")->offset;
	if (n->by_table) {
		n->table = reals(n, v * n->width);
		n->d_table =
			n->options.training ? reals(n, v * n->width) : n->table;
		if (!n->table || !n->d_table)
			return error_set_memory(err, "input table",
				v * n->width * sizeof(real));
		return 0;
	}
	n->embedded = reals(n, rows * e);
	n->d_embedded = n->options.training ? reals(n, rows * e) : n->embedded;
	if (!n->embedded || !n->d_embedded)
		return error_set_memory(
			err, "embedded tokens", rows * e * sizeof(real));
	return 0;
}

/* What the backward pass needs above the top layer. */
static int open_above(struct network *n, struct error *err)
{
	const size_t rows = n->options.seq_length * n->options.batch;
	const size_t h = n->arch.hidden, v = n->arch.vocab;

	if (!n->sampled && open_packed(n, &n->output_back, v, h, err) < 0)
		return -1;
	n->d_above = reals(n, rows * h);
	for (size_t s = 0; s < n->cell->states; s++)
		n->d_state[s] = reals(n, n->options.batch * h);
	if (!n->d_above || !n->d_state[n->cell->states - 1] || !n->d_state[0])
		return error_set_memory(
			err, "gradients of states", rows * h * sizeof(real));
	return 0;
}

/* How many rows of logits are held: all, or a tile of them. */
static size_t tile_rows(struct network *n, size_t rows, size_t width)
{
	size_t max = n->options.logits_max ? n->options.logits_max
					   : NETWORK_LOGITS_MAX;
	size_t tile = max / width;

	if (!n->sampled && tile >= rows)
		return rows;
	if (tile < n->groups)
		tile = n->groups;
	n->tile_rows = tile < rows ? tile : rows;
	return n->tile_rows;
}

static int open_output(struct network *n, struct error *err)
{
	const size_t rows = n->options.seq_length * n->options.batch;
	const size_t h = n->arch.hidden, v = n->arch.vocab;
	const struct parameters *p = n->parameters;
	const char *name = n->arch.tied ? "embedding.weight" : "output.weight";
	size_t width = v, held;

	n->w_out = p->data + parameters_find(p, name)->offset;
	n->b_out = p->data + parameters_find(p, "output.bias")->offset;
	if (n->options.training && n->options.sampled_softmax &&
		n->options.sampled_softmax <= v) {
		if (network_sampled_open(n, err) < 0)
			return -1;
		width = network_sampled_width(n->sampled);
	} else if (open_packed(n, &n->output, h, v, err) < 0) {
		return -1;
	}
	held = tile_rows(n, rows, width);
	n->logits = reals(n, held * width);
	n->losses = calloc(rows, sizeof(*n->losses));
	n->bytes += rows * sizeof(*n->losses);
	if (!n->logits || !n->losses)
		return error_set_memory(
			err, "logits", held * width * sizeof(real));
	return n->options.training ? open_above(n, err) : 0;
}

/* Each member's working memory for weight gradients: the widest of them. */
static int open_work(struct network *n, struct error *err)
{
	const size_t e = n->arch.embedding, h = n->arch.hidden;
	const size_t count = kernels_outer_work(e > h ? e : h);

	n->work = calloc(team_size(n->team), sizeof(*n->work));
	if (!n->work)
		return error_set_memory(
			err, "work", team_size(n->team) * sizeof(*n->work));
	for (unsigned i = 0; n->options.training && i < team_size(n->team); i++)
		if (!(n->work[i] = reals(n, count)))
			return error_set_memory(
				err, "work", count * sizeof(real));
	return 0;
}

static int check(const struct parameters *p, const struct network_options *o,
	struct error *err)
{
	if (!o->batch || !o->seq_length)
		return error_set(err, ERROR_INVALID,
			"batch is %zu and seq-length is %zu, expected 1 or "
			"more",
			o->batch, o->seq_length);
	if (o->dropout_input > 0 && !p->arch.embedding)
		return error_set_param(err, ERROR_INVALID, "dropout-input",
			"dropout-input is %g, but a one-hot input has no "
			"embedding to drop from; expected 0",
			o->dropout_input);
	return 0;
}

static void refresh_member(void *arg, unsigned member)
{
	network_refresh(arg, 0, member);
}

int network_open(struct network **out, const struct parameters *p,
	const struct network_options *o, struct team *team, struct error *err)
{
	struct network *n;

	*out = NULL;
	if (check(p, o, err) < 0)
		return -1;
	n = calloc(1, sizeof(*n));
	if (!n)
		return error_set_memory(err, "network", sizeof(*n));
	n->parameters = p;
	n->arch = p->arch;
	n->cell = cell_find(p->arch.cell);
	n->k = kernels();
	n->team = team;
	n->options = *o;
	n->width = n->cell->gates * p->arch.hidden;
	n->groups = team_size(team) < o->batch ? team_size(team) : o->batch;
	if (o->training) {
		n->drop_input = dropout_of(o->dropout_input);
		n->drop_layers = dropout_of(o->dropout_layers);
		n->drop_output = dropout_of(o->dropout_output);
		n->drop_hidden = dropout_of(o->dropout_hidden);
	}
	for (size_t l = 0; l < n->arch.layers; l++)
		if (open_layer(n, l, err) < 0)
			goto fail;
	if (open_input(n, err) < 0 || open_output(n, err) < 0 ||
		open_work(n, err) < 0)
		goto fail;
	team_run(team, refresh_member, n);
	*out = n;
	return 0;
fail:
	network_close(n);
	return -1;
}

static void close_layer(struct network_layer *l)
{
	packed_release(&l->input);
	packed_release(&l->hidden);
	packed_release(&l->input_back);
	packed_release(&l->hidden_back);
	free(l->bias);
	free(l->gates);
	free(l->product);
	free(l->saved);
	free(l->dropped);
	free(l->thinned);
	for (size_t s = 0; s < CELL_MAX_STATES; s++)
		free(l->states[s]);
}

void network_close(struct network *n)
{
	if (!n)
		return;
	for (size_t l = 0; l < n->arch.layers; l++)
		close_layer(&n->layers[l]);
	if (n->arch.embedding) {
		if (n->d_table != n->table)
			free(n->d_table);
		free(n->table);
	}
	if (n->d_embedded != n->embedded)
		free(n->d_embedded);
	free(n->embedded);
	network_sampled_close(n->sampled);
	packed_release(&n->output);
	packed_release(&n->output_back);
	free(n->logits);
	free(n->losses);
	free(n->d_above);
	for (size_t s = 0; s < CELL_MAX_STATES; s++)
		free(n->d_state[s]);
	for (unsigned i = 0; n->work && i < team_size(n->team); i++)
		free(n->work[i]);
	free(n->work);
	free(n);
}

size_t network_bytes(const struct network *n)
{
	return n->bytes;
}

void network_reset(struct network *n)
{
	const size_t count = n->options.batch * n->arch.hidden;

	for (size_t l = 0; l < n->arch.layers; l++)
		for (size_t s = 0; s < n->cell->states; s++)
			memset(n->layers[l].states[s], 0, count * sizeof(real));
}

size_t network_state_count(const struct network *n)
{
	return n->arch.layers * n->cell->states * n->options.batch *
	       n->arch.hidden;
}

void network_get_state(const struct network *n, real *out)
{
	const size_t count = n->options.batch * n->arch.hidden;

	for (size_t l = 0; l < n->arch.layers; l++)
		for (size_t s = 0; s < n->cell->states; s++, out += count)
			memcpy(out, n->layers[l].states[s],
				count * sizeof(real));
}

void network_set_state(struct network *n, const real *in)
{
	const size_t count = n->options.batch * n->arch.hidden;

	for (size_t l = 0; l < n->arch.layers; l++)
		for (size_t s = 0; s < n->cell->states; s++, in += count)
			memcpy(n->layers[l].states[s], in,
				count * sizeof(real));
}

void network_rows(
	const struct network *n, unsigned member, size_t *begin, size_t *end)
{
	const size_t b = n->options.batch;

	*begin = member < n->groups ? b * member / n->groups : b;
	*end = member < n->groups ? b * (member + 1) / n->groups : b;
}

static void pack_share(const struct network *n, struct packed *p, const real *w,
	bool transposed, unsigned member)
{
	size_t begin, end;

	if (!p->data)
		return;
	team_share(n->team, member, p->panels, 1, &begin, &end);
	n->k->pack(p, w, transposed ? p->k : p->n, transposed, begin, end);
}

/* Sites of masks: 0..L are activations, these come after. */
#define HIDDEN_SITE (ARCHITECTURE_MAX_LAYERS + 1)

void network_thin(const struct network *n, size_t l, size_t begin, size_t end,
	const real *w, real *out)
{
	const size_t h = n->arch.hidden;

	for (size_t i = begin; i < end; i++)
		n->k->dropout(out + i * h, w + i * h, h, n->options.seed,
			(uint32_t)(HIDDEN_SITE + l),
			n->mask_step * n->width + i, n->drop_hidden.threshold,
			n->drop_hidden.scale);
}

/* The weights that the hidden products use until the next refresh. */
static void thin(struct network *n, uint64_t step, unsigned member)
{
	size_t begin, end;

	if (!n->layers[0].thinned)
		return;
	if (member == 0)
		n->mask_step = step;
	team_barrier(n->team, member);
	team_share(n->team, member, n->width, 1, &begin, &end);
	for (size_t l = 0; l < n->arch.layers; l++)
		network_thin(n, l, begin, end, n->layers[l].w_hh,
			n->layers[l].thinned);
	team_barrier(n->team, member);
}

/* Forward products want PyTorch's [out, in] transposed, backward ones as it
 * is. */
void network_refresh(struct network *n, uint64_t step, unsigned member)
{
	thin(n, step, member);
	for (size_t l = 0; l < n->arch.layers; l++) {
		struct network_layer *layer = &n->layers[l];
		const real *w_hh =
			layer->thinned ? layer->thinned : layer->w_hh;

		pack_share(n, &layer->hidden, w_hh, true, member);
		pack_share(n, &layer->hidden_back, w_hh, false, member);
		pack_share(n, &layer->input, layer->w_ih, true, member);
		pack_share(n, &layer->input_back, layer->w_ih, false, member);
		if (member != 0)
			continue;
		memcpy(layer->bias, layer->b_ih, n->width * sizeof(real));
		if (!n->cell->separate)
			n->k->add(layer->bias, layer->b_hh, n->width);
	}
	pack_share(n, &n->output, n->w_out, true, member);
	pack_share(n, &n->output_back, n->w_out, false, member);
	team_barrier(n->team, member);
	if (n->by_table && n->arch.embedding) {
		size_t begin, end;

		team_share(n->team, member, n->layers[0].input.panels, 1,
			&begin, &end);
		n->k->product(&(struct product){ .w = &n->layers[0].input,
				      .m = n->arch.vocab,
				      .x = n->embedding,
				      .ldx = n->arch.embedding,
				      .y = n->table,
				      .ldy = n->width,
				      .init = PRODUCT_ZERO },
			begin, end);
		team_barrier(n->team, member);
	}
}

double network_loss(const struct network *n, const struct network_chunk *c)
{
	double sum = 0;

	for (size_t i = 0; i < c->steps * n->options.batch; i++)
		sum += n->losses[i];
	return sum;
}
