/*
 * A body of any bytes, after a first line that stands for its Content-Type, is
 * taken or refused, and cutting it in pieces changes nothing of what is told.
 */
#include "http/multipart.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool held)
{
	if (!held)
		abort();
}

struct told {
	XXH3_state_t *hash;
	size_t parts, bytes;
	bool in_part;
};

static int on_begin(
	void *arg, const struct multipart_part *part, struct error *err)
{
	struct told *t = arg;

	(void)err;
	expect(!t->in_part && part->name[0]);
	expect(!strpbrk(part->filename, "/\\"));
	t->in_part = true;
	expect(++t->parts <= MULTIPART_PARTS_MAX);
	XXH3_64bits_update(t->hash, part, sizeof(*part));
	return 0;
}

static int on_data(void *arg, const char *bytes, size_t len, struct error *err)
{
	struct told *t = arg;

	(void)err;
	expect(t->in_part && len);
	t->bytes += len;
	XXH3_64bits_update(t->hash, bytes, len);
	return 0;
}

static int on_end(void *arg, struct error *err)
{
	struct told *t = arg;

	(void)err;
	expect(t->in_part);
	t->in_part = false;
	XXH3_64bits_update(t->hash, "\n", 1);
	return 0;
}

static const struct multipart_ops ops = {
	.begin = on_begin, .data = on_data, .end = on_end
};

/* Fed `step` bytes at a time; 0 also for a type that is refused. */
static uint64_t parse(const char *type, const char *body, size_t len,
	size_t step, int *result)
{
	struct told told = { .hash = XXH3_createState() };
	struct error err = { 0 };
	struct multipart m;
	uint64_t hash;
	int rc;

	expect(told.hash != NULL);
	XXH3_64bits_reset(told.hash);
	rc = multipart_init(&m, type, &ops, &told, &err);
	for (size_t at = 0; at < len && !rc; at += step)
		rc = multipart_feed(
			&m, body + at, len - at < step ? len - at : step, &err);
	if (!rc)
		rc = multipart_finish(&m, &err);
	expect(rc ? err.code && err.message[0] : !err.code && !told.in_part);
	expect(told.bytes <= len);
	multipart_release(&m);
	hash = XXH3_64bits_digest(told.hash);
	XXH3_freeState(told.hash);
	*result = rc;
	return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *body = memchr(data, '\n', size);
	int whole, cut;
	uint64_t hash;
	char *type;
	size_t len;

	if (!body)
		return 0;
	len = (size_t)(body - (const char *)data);
	type = strndup((const char *)data, len);
	expect(type != NULL);
	body++;
	len = size - len - 1;
	hash = parse(type, body, len, len ? len : 1, &whole);
	expect(parse(type, body, len, 1, &cut) == hash && cut == whole);
	expect(parse(type, body, len, 7, &cut) == hash && cut == whole);
	free(type);
	return 0;
}
