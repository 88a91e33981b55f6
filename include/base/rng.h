/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random
 * Numbers: As Easy as 1, 2, 3", SC11). A draw is a pure function of its key
 * and counter, so any thread may make any draw, in any order.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

/* What a draw is for: part of the counter, so that no two uses share one. */
enum rng_use {
	RNG_SAMPLE,  /* a token's choice: (choice, position) */
	RNG_INIT,    /* initial weights: (tensor, element / 4) */
	RNG_DROPOUT, /* masks: (layer and row, step and t and unit) */
	RNG_SEED,    /* fresh seeds */
	RNG_WORDS,   /* a captioner's word dropout: (row, step and place) */
};

struct philox {
	uint32_t v[4];
};

/* One block of the cipher: counter 128 bits, key 64 bits. */
struct philox philox4x32(struct philox counter, const uint32_t key[2]);

/* Four 32-bit draws at (a, b) of a use under a seed. */
struct philox rng_block(
	uint64_t seed, enum rng_use use, uint32_t a, uint64_t b);

/* Uniform in [0, 1) with 53 bits from two words. */
double rng_double(uint32_t hi, uint32_t lo);

/* Two standard normals from four words (Box-Muller). */
void rng_normal(const struct philox *block, double out[2]);

/* 64 bits from the operating system, for a seed nobody named. */
uint64_t rng_entropy(void);

/* A name that nobody guesses: 128 such bits as base32 digits (a-z, 2-7). */
#define RNG_NAME 26
void rng_name(char name[RNG_NAME + 1]);

#endif
