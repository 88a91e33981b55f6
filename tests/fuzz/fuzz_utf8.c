/* utf8_next, utf8_valid_prefix, utf8_check and utf8_encode agree, on any
 * bytes, and walking with utf8_bad_length comes to the end. */
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	size_t codes, valid = utf8_valid_prefix(text, size, &codes), at = 0;
	size_t seen = 0, first_bad = size;
	char back[UTF8_MAX];
	uint32_t code;

	while (at < size) {
		int n = utf8_next(text + at, size - at, &code);

		if (n > 0) {
			if (utf8_encode(code, back) != (size_t)n ||
				memcmp(back, text + at, (size_t)n) != 0)
				abort();
			seen += first_bad == size;
			at += (size_t)n;
			continue;
		}
		if (first_bad == size)
			first_bad = at;
		at += utf8_bad_length(text + at, size - at);
	}
	if (at != size || first_bad != valid || seen != codes ||
		utf8_count(text, valid) != codes)
		abort();
	if ((utf8_check(text, size, NULL) == 0) != (valid == size))
		abort();
	return 0;
}
