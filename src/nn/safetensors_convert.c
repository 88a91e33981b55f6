/* By integers, so that a thread that flushes denormals gets the same bits. */
#include "nn/safetensors.h"

#include <math.h>
#include <string.h>

#define EXPONENT 0x7f800000u /* of a float; all ones: NaN or infinite */

static float from_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint32_t to_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static uint32_t half_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t exponent = h >> 10 & 31, mantissa = h & 0x3ff;
	int shift;

	if (exponent == 31)
		return sign | EXPONENT | mantissa << 13;
	if (exponent)
		return sign | (exponent + 112) << 23 | mantissa << 13;
	if (!mantissa)
		return sign;
	/* Denormal: the leading one becomes the hidden bit. */
	shift = __builtin_clz(mantissa) - 21;
	return sign | (uint32_t)(113 - shift) << 23 |
	       (mantissa << shift & 0x3ff) << 13;
}

static uint16_t float_to_half(uint32_t bits)
{
	uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
	uint32_t x = bits & 0x7fffffff, kept, rest, half;
	int shift;

	if (x >= 0x477ff000) /* 65520 rounds to infinity */
		return sign | 0x7c00;
	if (x >= 0x38800000) { /* 2^-14, the least normal */
		x -= 112u << 23;
		return sign | (uint16_t)((x + 0xfff + (x >> 13 & 1)) >> 13);
	}
	if (x < 0x33000000) /* 2^-25, half the least denormal */
		return sign;
	shift = 126 - (int)(x >> 23);
	x = (x & 0x7fffff) | 0x800000;
	kept = x >> shift;
	rest = x & ((1u << shift) - 1);
	half = 1u << (shift - 1);
	kept += rest > half || (rest == half && (kept & 1));
	return sign | (uint16_t)kept;
}

static uint16_t float_to_bfloat(uint32_t bits)
{
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static int not_finite(
	const char *name, size_t i, double value, struct error *err)
{
	return error_set_param(err, ERROR_CORRUPT, name,
		"tensor %s: value %zu is %s", name, i,
		isnan(value) ? "NaN"
		: value > 0  ? "infinite"
			     : "minus infinite");
}

static uint32_t load(const struct safetensors_entry *e, size_t i)
{
	const char *at =
		(const char *)e->data +
		i * (e->bytes ? 1 : 0) * safetensors_dtype_size(e->dtype);
	uint16_t half;
	uint32_t word;
	double wide;

	switch (e->dtype) {
	case SAFETENSORS_F32:
		memcpy(&word, at, sizeof(word));
		return word;
	case SAFETENSORS_F64:
		memcpy(&wide, at, sizeof(wide));
		return to_bits((float)wide);
	case SAFETENSORS_F16:
		memcpy(&half, at, sizeof(half));
		return half_to_float(half);
	default:
		memcpy(&half, at, sizeof(half));
		return (uint32_t)half << 16;
	}
}

int safetensors_floats(
	const struct safetensors_entry *e, float *out, struct error *err)
{
	size_t n = safetensors_count(e);
	uint32_t bits;

	if (e->dtype > SAFETENSORS_BF16)
		return error_set_param(err, ERROR_UNSUPPORTED, e->name,
			"tensor %s: dtype %s, expected F32, BF16, F16 or F64",
			e->name, safetensors_dtype_name(e->dtype));
	for (size_t i = 0; i < n; i++) {
		bits = load(e, i);
		out[i] = from_bits(bits);
		if ((bits & EXPONENT) == EXPONENT)
			return not_finite(e->name, i, (double)out[i], err);
	}
	return 0;
}

static int too_large(const char *name, enum safetensors_dtype dtype, size_t i,
	float value, struct error *err)
{
	return error_set_param(err, ERROR_INVALID, name,
		"tensor %s: value %zu is %g, too large for %s", name, i,
		(double)value, safetensors_dtype_name(dtype));
}

int safetensors_from_floats(const char *name, enum safetensors_dtype dtype,
	const float *in, size_t n, void *out, struct error *err)
{
	uint16_t *narrow = out;
	uint32_t bits;

	for (size_t i = 0; i < n; i++) {
		bits = to_bits(in[i]);
		if ((bits & EXPONENT) == EXPONENT)
			return not_finite(name, i, (double)in[i], err);
		if (dtype == SAFETENSORS_F32) {
			memcpy((char *)out + 4 * i, &bits, sizeof(bits));
			continue;
		}
		narrow[i] = dtype == SAFETENSORS_F16 ? float_to_half(bits)
						     : float_to_bfloat(bits);
		bits = dtype == SAFETENSORS_F16 ? half_to_float(narrow[i])
						: (uint32_t)narrow[i] << 16;
		if ((bits & EXPONENT) == EXPONENT)
			return too_large(name, dtype, i, in[i], err);
	}
	return 0;
}
