#include "math/kernels.h"

#include "math/isa.h"
#include "math/kernels/outer.h"
#include "math/pixels.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

ISA_DECLARE(struct kernels, kernel_set);
ISA_DECLARE(struct pixels, pixel_set);

const struct kernels *kernels(void)
{
	static const struct kernels *const sets[] = ISA_ROW(kernel_set);

	return sets[isa_chosen()];
}

const struct pixels *pixels(void)
{
	static const struct pixels *const sets[] = ISA_ROW(pixel_set);

	return sets[isa_chosen()];
}

const char *kernels_name(void)
{
	return kernels()->name;
}

real *kernels_alloc(size_t n)
{
	const size_t huge = 2u << 20;
	size_t bytes, align;
	void *p;

	if (n > (SIZE_MAX - huge) / sizeof(real))
		return NULL;
	bytes = n ? n * sizeof(real) : sizeof(real);
	align = bytes >= 2 * huge ? huge : 64;
	if (posix_memalign(&p, align, (bytes + 63) / 64 * 64))
		return NULL;
	if (align == huge)
		madvise(p, bytes, MADV_HUGEPAGE);
	memset(p, 0, bytes);
	return p;
}

size_t kernels_rounded(enum weight_type type, size_t k)
{
	if (type == WEIGHTS_INT8)
		return (k + 3) / 4 * 4;
	return type == WEIGHTS_BF16 && kernels()->pairs ? (k + 1) / 2 * 4 : 0;
}

float kernels_round(
	enum weight_type type, const real *x, size_t k, float scale, void *out)
{
	if (type == WEIGHTS_INT8)
		return kernels()->round_int8(x, k, scale, out);
	if (kernels_rounded(type, k))
		kernels()->round_bf16(x, k, out);
	return 1;
}

void kernels_product(const struct product *p)
{
	kernels()->product(p, 0, p->w->panels);
}

size_t kernels_outer_work(size_t n)
{
	return OUTER_DEPTH * (n + 2 * OUTER_PAD);
}
