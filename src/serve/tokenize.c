#include "serve/tokenize.h"

#include "text/decoder.h"

#include <stdio.h>
#include <string.h>

static int name_field(struct error *err)
{
	if (err && !*err->param)
		snprintf(err->param, sizeof(err->param), "text");
	return -1;
}

/* In UTF-8, into `text`. */
static int decode_charset(struct tokenize_result *r,
	const struct tokenize_options *o, struct buf *text, struct error *err)
{
	struct encoding_guess guess = { 0 };
	struct encoding *e;
	int failed;

	r->charset = o->charset ? o->charset : "utf-8";
	if (!strcmp(r->charset, ENCODING_AUTO)) {
		encoding_guess_feed(&guess, o->text, o->len);
		r->charset = encoding_guess_charset(&guess);
	}
	if (encoding_open(&e, r->charset, false, o->faults, err) < 0)
		return -1;
	failed = encoding_feed(e, o->text, o->len, text, err);
	if (!failed)
		failed = encoding_finish(e, text, err);
	r->faults = encoding_faults(e);
	encoding_close(e);
	return failed;
}

int tokenize_text(struct tokenize_result *r, const struct tokenizer *t,
	const struct tokenize_options *o, struct error *err)
{
	struct buf text;
	int failed;

	*r = (struct tokenize_result){ 0 };
	/* No charset grows more when it becomes UTF-8. */
	buf_init(&text, 16 * o->len + 16);
	token_buf_init(&r->tokens, 16 * o->len + 16);
	failed = decode_charset(r, o, &text, err);
	if (!failed)
		failed = tokenizer_encode_part(t, text.data ? text.data : "",
			text.len, o->unknown, &r->count, &r->tokens, err);
	buf_release(&text);
	if (!failed)
		return 0;
	tokenize_release(r);
	return name_field(err);
}

void tokenize_release(struct tokenize_result *r)
{
	token_buf_release(&r->tokens);
}

int tokenize_decode(const struct tokenizer *t, const uint32_t *ids, size_t n,
	struct buf *out, struct error *err)
{
	struct decoder d = { 0 };
	const char *bytes;
	size_t len;

	for (size_t i = 0; i < n; i++) {
		bytes = tokenizer_bytes(t, ids[i], &len);
		if (!bytes)
			return error_set_param(err, ERROR_INVALID, "tokens",
				"tokens[%zu] is %u, expected 0 to %zu", i,
				ids[i], tokenizer_vocab(t) - 1);
		if (decoder_feed(&d, bytes, len, out) < 0)
			return error_set_memory(err, "text", out->len + len);
	}
	if (decoder_finish(&d, out) < 0)
		return error_set_memory(err, "text", out->len);
	return 0;
}

json_t *tokenize_token(const struct tokenizer *t, uint32_t id)
{
	json_t *json = NULL;
	struct buf text;

	buf_init(&text, SIZE_MAX);
	if (tokenize_decode(t, &id, 1, &text, NULL) == 0)
		json = json_stringn(text.data ? text.data : "", text.len);
	buf_release(&text);
	return json;
}
