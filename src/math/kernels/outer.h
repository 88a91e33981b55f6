/* Shared by the outer product's body and its callers' working memory. */
#ifndef MATH_KERNELS_OUTER_H
#define MATH_KERNELS_OUTER_H

#define OUTER_DEPTH 256 /* rows per block: a panel of x stays in L1 */
#define OUTER_PAD 64	/* reals of rounding for any panel and tile */

#endif
