/* The first byte chooses the charset, the second how the rest is cut and what
 * becomes of faults. What comes out must be UTF-8, and the same however it was
 * cut; where faults are passed over nothing fails. */
#include "base/utf8.h"
#include "text/decoder.h"
#include "text/encoding.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const charsets[] = { "utf-8", "latin1", "gbk", "gb18030",
	"shift_jis", "utf-16", "utf-16le", "utf-32", "iso-2022-jp", "utf-7",
	"big5-hkscs", "euc-kr" };

static int convert(const char *charset, enum encoding_faults faults,
	const char *text, size_t len, size_t part, struct buf *out)
{
	struct encoding *e;
	int failed = 0;
	size_t n;

	buf_init(out, 1 << 22);
	if (encoding_open(&e, charset, true, faults, NULL))
		abort();
	for (size_t i = 0; i < len && !failed; i += n) {
		n = part < len - i ? part : len - i;
		failed = encoding_feed(e, text + i, n, out, NULL);
	}
	if (!failed)
		failed = encoding_finish(e, out, NULL);
	if (failed && faults != FAULTS_STRICT)
		abort();
	encoding_close(e);
	return failed;
}

static void check_decoder(const char *text, size_t len, size_t part)
{
	struct decoder d = { 0 };
	struct buf out;
	size_t n;

	buf_init(&out, 4 * len + 16);
	for (size_t i = 0; i < len; i += n) {
		n = part < len - i ? part : len - i;
		if (decoder_feed(&d, text + i, n, &out) || !decoder_valid(&d))
			abort();
	}
	if (decoder_finish(&d, &out) ||
		(out.len && utf8_check(out.data, out.len, NULL)))
		abort();
	buf_release(&out);
}

/* As utf-8 what is guessed to be that is valid. */
static void check_guess(const char *text, size_t len, size_t part)
{
	struct encoding_guess whole = { 0 }, parts = { 0 };
	const char *charset;

	encoding_guess_feed(&whole, text, len);
	for (size_t i = 0; i < len; i += part)
		encoding_guess_feed(
			&parts, text + i, part < len - i ? part : len - i);
	charset = encoding_guess_charset(&whole);
	if (charset != encoding_guess_charset(&parts))
		abort();
	if (!strcmp(charset, "utf-8") && utf8_check(text, len, NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, parts;
	const char *charset, *text;
	enum encoding_faults faults;
	size_t part;

	if (size < 2)
		return 0;
	charset = charsets[data[0] % (sizeof(charsets) / sizeof(*charsets))];
	part = data[1] % 16 + 1;
	faults = (enum encoding_faults)(data[1] / 16 % 3);
	text = (const char *)data + 2;
	if (convert(charset, faults, text, size - 2, SIZE_MAX, &whole) !=
		convert(charset, faults, text, size - 2, part, &parts))
		abort();
	if (whole.len != parts.len ||
		(whole.len && memcmp(whole.data, parts.data, whole.len)))
		abort();
	if (whole.len && utf8_check(whole.data, whole.len, NULL))
		abort();
	check_decoder(text, size - 2, part);
	check_guess(text, size - 2, part);
	buf_release(&whole);
	buf_release(&parts);
	return 0;
}
