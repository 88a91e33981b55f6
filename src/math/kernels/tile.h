/*
 * The register tile of this instruction set: TILE_ROWS rows by one panel of
 * two vectors, and for few rows several panels side by side, so that enough
 * independent sums hide the latency of the multiply-add.
 */
#ifndef MATH_KERNELS_TILE_H
#define MATH_KERNELS_TILE_H

#include "math/vector.h"

#if defined(ISA_avx512)
#define TILE_ROWS 12
#define WIDE_PANELS 4 /* panels at once for one or two rows */
#elif defined(ISA_avx2)
#define TILE_ROWS 6
#define WIDE_PANELS 4
#else
#define TILE_ROWS 4
#define WIDE_PANELS 4
#endif

#define UNROLL _Pragma("GCC unroll 16")

/* Expand `call(R)` for the one R in 1..TILE_ROWS that rows equals, so that
 * the body sees a constant. */
#if TILE_ROWS == 12
#define TILE_SWITCH(rows, call) \
	switch (rows) {         \
	case 1:                 \
		call(1);        \
		break;          \
	case 2:                 \
		call(2);        \
		break;          \
	case 3:                 \
		call(3);        \
		break;          \
	case 4:                 \
		call(4);        \
		break;          \
	case 5:                 \
		call(5);        \
		break;          \
	case 6:                 \
		call(6);        \
		break;          \
	case 7:                 \
		call(7);        \
		break;          \
	case 8:                 \
		call(8);        \
		break;          \
	case 9:                 \
		call(9);        \
		break;          \
	case 10:                \
		call(10);       \
		break;          \
	case 11:                \
		call(11);       \
		break;          \
	default:                \
		call(12);       \
		break;          \
	}
#elif TILE_ROWS == 6
#define TILE_SWITCH(rows, call) \
	switch (rows) {         \
	case 1:                 \
		call(1);        \
		break;          \
	case 2:                 \
		call(2);        \
		break;          \
	case 3:                 \
		call(3);        \
		break;          \
	case 4:                 \
		call(4);        \
		break;          \
	case 5:                 \
		call(5);        \
		break;          \
	default:                \
		call(6);        \
		break;          \
	}
#else
#define TILE_SWITCH(rows, call) \
	switch (rows) {         \
	case 1:                 \
		call(1);        \
		break;          \
	case 2:                 \
		call(2);        \
		break;          \
	case 3:                 \
		call(3);        \
		break;          \
	default:                \
		call(4);        \
		break;          \
	}
#endif

/* Rows of the next tile when `left` remain: as even as TILE_ROWS allows, since
 * a last tile of one row costs nearly as much as a full one. */
VECTOR_INLINE size_t tile_rows(size_t left)
{
	size_t tiles = (left + TILE_ROWS - 1) / TILE_ROWS;

	return (left + tiles - 1) / tiles;
}

#endif
