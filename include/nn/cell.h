/*
 * A recurrent cell is its pointwise part: the products before and after it are
 * the same for all cells and live with the model and the trainer. To add a
 * cell: one file in src/nn/cells and one line in src/nn/cell.c.
 */
#ifndef NN_CELL_H
#define NN_CELL_H

#include "math/real.h"

#include <stdbool.h>
#include <stddef.h>

#define CELL_MAX_STATES 2

/*
 * One time step of m rows, forward and backward. Gates are [m, gates * hidden]
 * in PyTorch's order. An additive cell sums the input's and the hidden state's
 * product into `gates`; a separate one (GRU, whose reset gate scales the hidden
 * product) keeps the latter in `product`.
 */
struct cell_step {
	size_t m, hidden;
	real *gates;	 /* forward: pre-activations in, activations out;
			  * backward: activations in, their gradient (of the
			  * pre-activation) out */
	real *product;	 /* separate cells, [m, gates * hidden]: h W_hh + b_hh
			  * in; backward: its gradient out. Else NULL */
	size_t ld_gates; /* of gates and product */
	real *saved;	 /* [m, saved * hidden], stride saved * hidden: written
			  * by forward for backward; NULL where saved is 0 */
	const real *before[CELL_MAX_STATES]; /* [m, hidden] state at t - 1 */
	real *after[CELL_MAX_STATES];	     /* [m, hidden] state at t */
	size_t ld_state;		     /* of before and after */

	/* Backward only, all [m, hidden], stride hidden. */
	real *d_after[CELL_MAX_STATES]; /* in: gradient at t, from above and
					 * from t + 1; out: what reaches t - 1
					 * directly, without passing W_hh */
};

/*
 * One time step of m rows for the units of one panel, as inference goes: the
 * state is advanced where it lies, and h comes out once more, in rows. Its
 * hidden product is done: nobody needs the old h any more.
 */
struct cell_panel {
	size_t m, units;     /* units <= kernels()->panel */
	const real *gates;   /* [m][gates][panel] pre-activations */
	const real *product; /* separate cells: h W_hh + b_hh, likewise */
	size_t ld_gates;     /* of gates and product */
	real *const *states; /* [m], each [layers][states][hidden] */
	size_t at;	     /* in a state: this layer's h of the first unit */
	size_t hidden;	     /* from there to the same of the next vector */
	real *h;	     /* [m, units] out */
	size_t ld_h;
};

struct cell_ops {
	const char *name;
	size_t gates;	    /* G: weight_hh is [G * hidden, hidden] */
	size_t states;	    /* vectors of state: 1 (h) or 2 (h, c) */
	size_t saved;	    /* vectors kept per row and step beside the gates */
	bool separate;	    /* the hidden product has its own array */
	size_t forget_gate; /* index of the gate whose bias starts at 1, or
			     * gates when there is none */
	void (*forward)(const struct cell_step *s);
	void (*infer)(const struct cell_panel *p); /* the bits of forward */
	void (*backward)(const struct cell_step *s);
};

/* For this process's instruction set; NULL for an unknown name. */
const struct cell_ops *cell_find(const char *name);

/* The i-th cell of the table, NULL past its end: for loops over all. */
const struct cell_ops *cell_at(size_t i);

#endif
