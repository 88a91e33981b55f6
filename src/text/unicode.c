#include "text/unicode.h"

uint32_t unicode_to_lower(uint32_t code)
{
	size_t low = 0, high = unicode_n_lower, mid;

	if (!(unicode_class(code) & 0x80))
		return code;
	if (code < 128)
		return code + 32;
	while (high - low > 1) {
		mid = (low + high) / 2;
		if (unicode_lower[mid][0] <= code)
			low = mid;
		else
			high = mid;
	}
	return unicode_lower[low][1];
}
