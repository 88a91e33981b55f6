/*
 * A token is a word as python-jieba cuts it; see text/jieba.h. The checkpoint
 * names the dictionary by its hash and holds the words that a user added to
 * it, so that the same text is cut the same wherever it is served.
 */
#include "text/jieba.h"
#include "text/string_tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_MAX 1024u /* bytes; a longer run of ASCII is several tokens */

struct jieba_cutter {
	struct cutter base;
	struct jieba *jieba; /* owned */
	bool hmm;
};

struct cut {
	const char *text;
	piece_sink *sink;
	void *arg;
};

static int give(void *arg, const char *word, size_t len, struct error *err)
{
	const struct cut *c = arg;
	size_t n;

	for (; len; word += n, len -= n) {
		n = len;
		if (n > PIECE_MAX)
			for (n = PIECE_MAX; (word[n] & 0xc0) == 0x80; n--)
				;
		if (c->sink(c->arg, word, n, (size_t)(word - c->text)) < 0)
			return -1;
	}
	return 0;
}

static int cut(const struct cutter *cutter, const char *text, size_t len,
	piece_sink *sink, void *arg, struct error *err)
{
	const struct jieba_cutter *c = (const struct jieba_cutter *)cutter;
	struct cut run = { text, sink, arg };

	return jieba_cut(c->jieba, text, len, c->hmm, give, &run, err);
}

static size_t boundary(const struct cutter *c, const char *text, size_t len)
{
	return jieba_boundary(text, len);
}

static void cutter_free(struct cutter *cutter)
{
	jieba_close(((struct jieba_cutter *)cutter)->jieba);
	free(cutter);
}

static struct jieba_cutter *cutter_new(bool hmm, struct error *err)
{
	struct jieba_cutter *c = calloc(1, sizeof(*c));

	if (!c) {
		error_set_memory(err, "tokenizer", sizeof(*c));
		return NULL;
	}
	c->base = (struct cutter){
		.cut = cut, .boundary = boundary, .release = cutter_free
	};
	c->hmm = hmm;
	if (jieba_open_default(&c->jieba, err) == 0)
		return c;
	free(c);
	return NULL;
}

static int builder_open(struct tokenizer_builder *b, struct error *err)
{
	const struct tokenizer_options *o = &b->options;
	struct jieba_cutter *c = cutter_new(!o->jieba_no_hmm, err);

	if (!c)
		return -1;
	((struct string_builder *)b)->cutter = &c->base;
	return o->jieba_user_dict ? jieba_load_user_dictionary(
					    c->jieba, o->jieba_user_dict, err)
				  : 0;
}

static int check_dictionary(
	const struct jieba *j, const json_t *json, struct error *err)
{
	const json_t *expected = json_object_get(json, "dictionary");
	char hash[17];

	if (!json_is_string(expected))
		return error_set_param(err, ERROR_INVALID, "dictionary",
			"tokenizer: dictionary is missing or not a string");
	snprintf(hash, sizeof(hash), "%016" PRIx64, jieba_hash(j));
	if (!strcmp(hash, json_string_value(expected)))
		return 0;
	return error_set_param(err, ERROR_CONFLICT, "dictionary",
		"tokenizer: the model was trained with the jieba dictionary of "
		"hash %.32s, but %s has %s",
		json_string_value(expected), jieba_path(j), hash);
}

static int load_word(
	struct jieba *j, const json_t *entry, size_t i, struct error *err)
{
	const json_t *word = json_array_get(entry, 0);
	const json_t *frequency = json_array_get(entry, 1);

	if (json_array_size(entry) != 2 || !json_is_string(word) ||
		!json_is_integer(frequency) ||
		json_integer_value(frequency) < 0)
		return error_set_param(err, ERROR_INVALID, "user_words",
			"tokenizer: user_words[%zu] is not a word with its "
			"frequency",
			i);
	if (jieba_add_word(j, json_string_value(word), json_string_length(word),
		    (uint64_t)json_integer_value(frequency), err) < 0)
		return error_prefix(err, "tokenizer: user_words[%zu]", i);
	return 0;
}

static int load_words(struct jieba *j, const json_t *json, struct error *err)
{
	const json_t *list = json_object_get(json, "user_words");

	if (list && !json_is_array(list))
		return error_set_param(err, ERROR_INVALID, "user_words",
			"tokenizer: user_words is not an array");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (load_word(j, json_array_get(list, i), i, err) < 0)
			return -1;
	return 0;
}

static int load(struct tokenizer **t, const json_t *json, struct error *err)
{
	const json_t *hmm = json_object_get(json, "hmm");
	struct jieba_cutter *c;

	if (!json_is_boolean(hmm))
		return error_set_param(err, ERROR_INVALID, "hmm",
			"tokenizer: hmm is missing or not true or false");
	c = cutter_new(json_is_true(hmm), err);
	if (!c)
		return -1;
	if (check_dictionary(c->jieba, json, err) < 0 ||
		load_words(c->jieba, json, err) < 0) {
		cutter_free(&c->base);
		return -1;
	}
	return string_tokenizer_load(t, &c->base, json, err);
}

/* New reference. */
static json_t *save_words(const struct jieba *j)
{
	json_t *list = json_array();

	for (size_t i = 0; i < jieba_n_added(j); i++) {
		struct jieba_added a = jieba_added(j, i);

		if (json_array_append_new(
			    list, json_pack("[s%, I]", a.word, a.len,
					  (json_int_t)a.frequency)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static int save(const struct tokenizer *t, json_t *json)
{
	const struct jieba_cutter *c =
		(const struct jieba_cutter *)((const struct string_tokenizer *)
						      t)
			->cutter;

	if (json_object_set_new(json, "dictionary",
		    json_sprintf("%016" PRIx64, jieba_hash(c->jieba))) < 0 ||
		json_object_set_new(json, "hmm", json_boolean(c->hmm)) < 0 ||
		json_object_set_new(json, "user_words", save_words(c->jieba)) <
			0)
		return -1;
	return string_tokenizer_save(t, json);
}

static const char *const fields[] = { "vocabulary", "dictionary", "hmm",
	"user_words", NULL };

const struct tokenizer_ops tokenizer_jieba = {
	.name = "jieba",
	.learns = true,
	.takes = TAKES_MIN_COUNT | TAKES_MAX_VOCAB | TAKES_JIEBA,
	.builder_size = sizeof(struct string_builder),
	.builder_open = builder_open,
	.feed = string_builder_feed,
	.finish = string_builder_finish,
	.builder_release = string_builder_release,
	.follow = string_builder_follow,
	.fields = fields,
	.load = load,
	.save = save,
	.extend = string_tokenizer_extend,
	.knows = string_tokenizer_knows,
	.encode = string_tokenizer_encode,
	.boundary = string_tokenizer_boundary,
	.bytes = string_tokenizer_bytes,
	.release = string_tokenizer_release,
};
