/* The first line is a tokenizer's JSON, the rest a text for it. What loads
 * must save to the same again, and decode what it encodes. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether the rules say that the text is changed. */
static bool is_lossy(const json_t *json)
{
	return json_is_true(json_object_get(json, "lower_case")) ||
	       json_is_true(json_object_get(json, "add_prefix_space"));
}

static void check_text(
	const struct tokenizer *t, bool lossy, const char *text, size_t len)
{
	struct token_buf ids;
	size_t at = 0, n;
	const char *bytes;

	token_buf_init(&ids, len + 2);
	if (tokenizer_encode(t, text, len, UNKNOWN_ERROR, &ids, NULL, NULL)) {
		token_buf_release(&ids);
		return;
	}
	for (size_t i = 0; i < ids.len && !lossy; i++) {
		bytes = tokenizer_bytes(t, ids.ids[i], &n);
		if (!bytes || n > len - at || memcmp(bytes, text + at, n))
			abort();
		at += n;
	}
	if (!lossy && at != len)
		abort();
	token_buf_release(&ids);
}

static void check_json(const struct tokenizer *t)
{
	json_t *saved = tokenizer_save(t), *again;
	struct tokenizer *loaded;

	if (tokenizer_load(&loaded, saved, NULL))
		abort();
	again = tokenizer_save(loaded);
	if (!json_equal(saved, again) ||
		tokenizer_start(t) != tokenizer_start(loaded))
		abort();
	json_decref(again);
	json_decref(saved);
	tokenizer_unref(loaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size ? memchr(data, '\n', size) : NULL;
	size_t len = text ? (size_t)(text - (const char *)data) : size;
	struct tokenizer *t;
	struct error err;
	json_t *json = json_loadb((const char *)data, len,
		JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

	if (json && tokenizer_load(&t, json, &err) == 0) {
		check_json(t);
		if (text)
			check_text(t, is_lossy(json), text + 1, size - len - 1);
		tokenizer_unref(t);
	}
	json_decref(json);
	return 0;
}
