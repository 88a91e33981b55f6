/*
 * Vector code is one body compiled once per instruction set; each compilation
 * defines const tables under a name with the set's suffix. This is where one
 * of them is chosen, once, at first use: the best that the processor has, or
 * the one that UNROLLD_KERNELS names (generic, avx2, avx512, avx512vnni,
 * avx512bf16).
 */
#ifndef MATH_ISA_H
#define MATH_ISA_H

#include "base/error.h"

enum isa {
	ISA_GENERIC,	/* the compiler's baseline: SSE2, NEON, or scalar */
	ISA_AVX2,	/* AVX2 and FMA */
	ISA_AVX512,	/* AVX-512 F, DQ, BW, VL */
	ISA_AVX512VNNI, /* and VNNI: products of bytes */
	ISA_AVX512BF16, /* and BF16: products of pairs of bfloat16 */
	ISA_COUNT,
};

/* Any thread; the same answer for the life of the process. */
enum isa isa_chosen(void);
const char *isa_name(enum isa isa);
/* ERROR_INVALID where UNROLLD_KERNELS is none of the names above. */
int isa_check(struct error *err);

/* In a vector source: this compilation's symbol for `name`. */
#define ISA_PASTE_(name, isa) name##_##isa
#define ISA_PASTE(name, isa) ISA_PASTE_(name, isa)
#define ISA_SYMBOL(name) ISA_PASTE(name, ISA)

/* Outside: declare them all, and list them in the order of enum isa. */
#if defined(__x86_64__) && !defined(REAL_IS_DOUBLE)
#define ISA_DECLARE(type, name)                                       \
	extern const type name##_generic, name##_avx2, name##_avx512, \
		name##_avx512vnni, name##_avx512bf16
#define ISA_ROW(name)                                          \
	{                                                      \
		&name##_generic, &name##_avx2, &name##_avx512, \
			&name##_avx512vnni, &name##_avx512bf16 \
	}
#else
#define ISA_DECLARE(type, name) extern const type name##_generic
#define ISA_ROW(name)                                              \
	{                                                          \
		&name##_generic, &name##_generic, &name##_generic, \
			&name##_generic, &name##_generic           \
	}
#endif

#endif
