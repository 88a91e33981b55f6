#include "text/tokenizer_ops.h"

#include <stdlib.h>

void token_buf_init(struct token_buf *b, size_t max)
{
	*b = (struct token_buf){ .max = max };
}

void token_buf_release(struct token_buf *b)
{
	free(b->ids);
	*b = (struct token_buf){ .max = b->max };
}

int token_buf_reserve(struct token_buf *b, size_t extra)
{
	size_t room = b->max - b->len, need, cap;
	uint32_t *ids;

	need = b->len + (extra < room ? extra : room);
	if (need <= b->cap)
		return 0;
	cap = b->cap ? b->cap : 64;
	while (cap < need)
		cap = cap <= SIZE_MAX / 8 ? cap * 2 : need;
	if (cap > b->max)
		cap = b->max;
	ids = reallocarray(b->ids, cap, sizeof(*ids));
	if (!ids)
		return -1;
	b->ids = ids;
	b->cap = cap;
	return 0;
}

int token_buf_append(struct token_buf *b, uint32_t id)
{
	if (b->len == b->max)
		return -1;
	if (b->len == b->cap && token_buf_reserve(b, 1) < 0)
		return -1;
	b->ids[b->len++] = id;
	return 0;
}

int token_buf_error(const struct token_buf *b, struct error *err)
{
	if (b->len == b->max)
		return error_set(err, ERROR_TOO_LARGE,
			"text of more than %zu tokens", b->max);
	return error_set_memory(err, "tokens", (b->len + 1) * sizeof(*b->ids));
}
