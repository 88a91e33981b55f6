/* Every byte is a token, always 256 of them: any text, any file, no unknowns.
 */
#include "text/tokenizer_ops.h"

#include <stdlib.h>

struct byte_tokenizer {
	struct tokenizer base;
	char bytes[256];
};

static int feed(struct tokenizer_builder *b, const char *text, size_t len,
	struct error *err)
{
	return 0;
}

static int new (struct tokenizer **t, struct error *err)
{
	struct byte_tokenizer *byte = calloc(1, sizeof(*byte));

	if (!byte)
		return error_set_memory(err, "tokenizer", sizeof(*byte));
	for (int i = 0; i < 256; i++)
		byte->bytes[i] = (char)i;
	byte->base.vocab = 256;
	*t = &byte->base;
	return 0;
}

static int finish(
	struct tokenizer_builder *b, struct tokenizer **t, struct error *err)
{
	return new (t, err);
}

static void builder_release(struct tokenizer_builder *b)
{
}

static int load(struct tokenizer **t, const json_t *json, struct error *err)
{
	return new (t, err);
}

static int save(const struct tokenizer *t, json_t *json)
{
	return 0;
}

static int encode(const struct tokenizer *t, const char *text, size_t len,
	enum unknown_policy policy, struct tokenizer_count *count,
	struct token_buf *out, struct error *err)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = out->max - out->len;

	if (token_buf_reserve(out, len) < 0)
		return token_buf_error(out, err);
	if (n > len)
		n = len;
	for (size_t i = 0; i < n; i++)
		out->ids[out->len + i] = s[i];
	out->len += n;
	count->characters += n;
	return n < len ? token_buf_error(out, err) : 0;
}

static size_t boundary(const struct tokenizer *t, const char *text, size_t len)
{
	return len;
}

static const char *bytes(const struct tokenizer *t, uint32_t id, size_t *len)
{
	*len = 1;
	return &((const struct byte_tokenizer *)t)->bytes[id];
}

static void release(struct tokenizer *t)
{
	free(t);
}

static const char *const fields[] = { NULL };

const struct tokenizer_ops tokenizer_byte = {
	.name = "byte",
	.learns = false,
	.builder_size = sizeof(struct tokenizer_builder),
	.builder_open = tokenizer_builder_nothing,
	.feed = feed,
	.finish = finish,
	.builder_release = builder_release,
	.fields = fields,
	.load = load,
	.save = save,
	.encode = encode,
	.boundary = boundary,
	.bytes = bytes,
	.release = release,
};
