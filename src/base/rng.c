#include "base/rng.h"

#include <math.h>
#include <sys/random.h>
#include <time.h>

#define M0 0xD2511F53u
#define M1 0xCD9E8D57u
#define W0 0x9E3779B9u
#define W1 0xBB67AE85u

struct philox philox4x32(struct philox c, const uint32_t key[2])
{
	uint32_t k0 = key[0], k1 = key[1];

	for (int round = 0; round < 10; round++) {
		uint64_t p0 = (uint64_t)M0 * c.v[0];
		uint64_t p1 = (uint64_t)M1 * c.v[2];

		c = (struct philox){ {
			(uint32_t)(p1 >> 32) ^ c.v[1] ^ k0,
			(uint32_t)p1,
			(uint32_t)(p0 >> 32) ^ c.v[3] ^ k1,
			(uint32_t)p0,
		} };
		k0 += W0;
		k1 += W1;
	}
	return c;
}

struct philox rng_block(uint64_t seed, enum rng_use use, uint32_t a, uint64_t b)
{
	const uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
	const struct philox counter = { { (uint32_t)b, (uint32_t)(b >> 32), a,
		(uint32_t)use } };

	return philox4x32(counter, key);
}

double rng_double(uint32_t hi, uint32_t lo)
{
	uint64_t bits = ((uint64_t)hi << 32 | lo) >> 11;

	return (double)bits * 0x1p-53;
}

void rng_normal(const struct philox *block, double out[2])
{
	/* 1 - u is in (0, 1]: the logarithm is finite. */
	double u = 1.0 - rng_double(block->v[0], block->v[1]);
	double v = rng_double(block->v[2], block->v[3]);
	double r = sqrt(-2.0 * log(u));

	out[0] = r * cos(2.0 * M_PI * v);
	out[1] = r * sin(2.0 * M_PI * v);
}

uint64_t rng_entropy(void)
{
	uint64_t bits = 0;
	struct timespec now;

	if (getrandom(&bits, sizeof(bits), 0) == (ssize_t)sizeof(bits))
		return bits;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec;
}

void rng_name(char name[RNG_NAME + 1])
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned __int128 bits =
		(unsigned __int128)rng_entropy() << 64 | rng_entropy();

	for (int i = 0; i < RNG_NAME; i++, bits >>= 5)
		name[i] = digits[bits & 31];
	name[RNG_NAME] = '\0';
}
