#include "text/jieba_file.h"

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <xxhash.h>

#define CHECKED_FROM offsetof(struct jieba_header, bytes)

uint64_t jieba_file_bytes(const struct jieba_header *h)
{
	return sizeof(*h) + 8ull * h->n_units + 8ull * h->n_frequencies +
	       8ull * JIEBA_STATES * (1 + JIEBA_STATES) +
	       8ull * JIEBA_STATES * (h->n_letters + 1ull) +
	       4ull * h->n_letters;
}

uint64_t jieba_file_checksum(const void *file, size_t len)
{
	return XXH3_64bits(
		(const uint8_t *)file + CHECKED_FROM, len - CHECKED_FROM);
}

static int check_kind(
	const struct jieba_header *h, size_t len, struct error *err)
{
	if (len < sizeof(*h) ||
		memcmp(h->magic, JIEBA_MAGIC, sizeof(h->magic)) != 0)
		return error_set(
			err, ERROR_CORRUPT, "not a compiled jieba dictionary");
	if (h->byte_order != JIEBA_BYTE_ORDER)
		return error_set(err, ERROR_UNSUPPORTED,
			"made on a machine of another byte order");
	if (h->version != JIEBA_VERSION)
		return error_set(err, ERROR_UNSUPPORTED,
			"format version %u, expected %u: build it again",
			h->version, JIEBA_VERSION);
	return 0;
}

static int check_header(
	const struct jieba_header *h, size_t len, struct error *err)
{
	uint64_t sum;

	if (h->bytes != len)
		return error_set(err, ERROR_CORRUPT,
			"%zu bytes, but its header says %llu", len,
			(unsigned long long)h->bytes);
	sum = jieba_file_checksum(h, len);
	if (sum != h->checksum)
		return error_set(err, ERROR_CORRUPT,
			"its checksum is %016llx, but its header says %016llx",
			(unsigned long long)sum,
			(unsigned long long)h->checksum);
	if (!h->n_letters || h->n_letters > JIEBA_LETTERS_MAX || !h->n_units ||
		h->n_units > JIEBA_UNITS_MAX || !h->n_frequencies ||
		h->n_frequencies > JIEBA_FREQUENCIES_MAX || !h->total ||
		h->total > JIEBA_TOTAL_MAX || h->zero)
		return error_set(err, ERROR_CORRUPT,
			"%u letters, %u units, %u frequencies and a total of "
			"%llu can't be",
			h->n_letters, h->n_units, h->n_frequencies,
			(unsigned long long)h->total);
	if (jieba_file_bytes(h) != len)
		return error_set(err, ERROR_CORRUPT,
			"%zu bytes, but its counts make %llu", len,
			(unsigned long long)jieba_file_bytes(h));
	return 0;
}

static const void *take(const uint8_t **at, size_t bytes)
{
	const void *section = *at;

	*at += bytes;
	return section;
}

static void lay_out(struct jieba_file *f)
{
	const uint8_t *at = f->map.data;
	const struct jieba_header *h = take(&at, sizeof(*h));

	f->header = h;
	f->units = take(&at, sizeof(*f->units) * h->n_units);
	f->frequencies = take(&at, sizeof(*f->frequencies) * h->n_frequencies);
	f->start = take(&at, sizeof(*f->start) * JIEBA_STATES);
	f->transitions = take(&at, sizeof(*f->transitions) * JIEBA_STATES);
	f->emissions = take(&at, sizeof(*f->emissions) * (h->n_letters + 1));
	f->letters = take(&at, sizeof(*f->letters) * h->n_letters);
}

/* No letter may lead out of the units, whatever the unit. */
static int check_units(const struct jieba_file *f, struct error *err)
{
	const struct jieba_header *h = f->header;

	for (uint32_t i = 0; i < h->n_units; i++) {
		uint32_t base = jieba_unit_base(f->units[i]);
		uint32_t frequency = jieba_unit_frequency(f->units[i]);

		if (base + h->n_letters >= h->n_units)
			return error_set(err, ERROR_CORRUPT,
				"unit %u: base %u, expected less than %lld", i,
				base, (long long)h->n_units - h->n_letters);
		if (frequency >= h->n_frequencies)
			return error_set(err, ERROR_CORRUPT,
				"unit %u: frequency %u, expected less than %u",
				i, frequency, h->n_frequencies);
	}
	return 0;
}

static int check_frequencies(const struct jieba_file *f, struct error *err)
{
	for (uint32_t i = 0; i < f->header->n_frequencies; i++)
		if (i ? !f->frequencies[i] ||
					f->frequencies[i] > f->header->total
		      : f->frequencies[i] != 0)
			return error_set(err, ERROR_CORRUPT,
				"frequency %u is %llu, expected %s", i,
				(unsigned long long)f->frequencies[i],
				i ? "1 to the total" : "0");
	return 0;
}

static int check_model(const struct jieba_file *f, struct error *err)
{
	size_t n = JIEBA_STATES *
		   (1 + JIEBA_STATES + (size_t)f->header->n_letters + 1);

	for (size_t i = 0; i < n; i++)
		if (!isfinite(f->start[i]))
			return error_set(err, ERROR_CORRUPT,
				"log-probability %zu is not finite", i);
	return 0;
}

static int check(const struct jieba_file *f, struct error *err)
{
	const struct jieba_header *h = f->header;

	if (check_units(f, err) < 0 || check_frequencies(f, err) < 0 ||
		check_model(f, err) < 0)
		return -1;
	for (uint32_t i = 0; i < h->n_letters; i++)
		if (f->letters[i] > 0x10ffff)
			return error_set(err, ERROR_CORRUPT,
				"letter %u is U+%X, expected a code point", i,
				f->letters[i]);
	return 0;
}

int jieba_file_open(struct jieba_file *f, const char *path, struct error *err)
{
	const struct jieba_header *h;

	*f = (struct jieba_file){ 0 };
	if (file_map_open(&f->map, path, err) < 0)
		return -1;
	h = (const void *)f->map.data;
	if (check_kind(h, f->map.len, err) == 0 &&
		check_header(h, f->map.len, err) == 0) {
		lay_out(f);
		if (check(f, err) == 0)
			return 0;
	}
	jieba_file_close(f);
	return error_prefix(err, "%s", path);
}

void jieba_file_close(struct jieba_file *f)
{
	file_map_close(&f->map);
	*f = (struct jieba_file){ 0 };
}
