/* POST /v1/captions: sentences that describe an image, which comes as base64.
 * The CNN runs on a worker. */
#include "http/call.h"
#include "http/api_internal.h"
#include "http/base64.h"
#include "serve/caption.h"

#include <stdlib.h>
#include <string.h>

struct caption_body {
	struct request_text image;
	int64_t n, beam, max_length;
	double temperature, length_power;
	uint64_t seed;
};

#define MEMBER(member_) .offset = offsetof(struct caption_body, member_)

#define CAPTION_IMAGE 0

static const struct field fields[] = {
	[CAPTION_IMAGE] = { .name = "image",
		.type = FIELD_TEXT,
		MEMBER(image),
		.help = "A JPEG or PNG as base64" },
	{ .name = "n",
		.type = FIELD_INT,
		MEMBER(n),
		.min = 1,
		.max = CAPTION_MAX_BEAM,
		.help = "Captions, the best first",
		.preset = "1" },
	{ .name = "beam",
		.type = FIELD_INT,
		MEMBER(beam),
		.min = 0,
		.max = CAPTION_MAX_BEAM,
		.help = "Hypotheses kept, at least n; 0 draws each caption",
		.preset = "3" },
	{ .name = "temperature",
		.type = FIELD_NUMBER,
		MEMBER(temperature),
		.min = 0,
		.max = 100,
		.help = "Of drawn captions",
		.preset = "1" },
	{ .name = "seed",
		.type = FIELD_SEED,
		MEMBER(seed),
		.help = "Of drawn captions: the same seed gives the same",
		.preset = "0" },
	{ .name = "length_power",
		.type = FIELD_NUMBER,
		MEMBER(length_power),
		.min = 0,
		.max = 5,
		.help = "Finished hypotheses compare by log-probability "
			"divided by words to this power",
		.preset = "0" },
	{ .name = "max_length",
		.type = FIELD_INT,
		MEMBER(max_length),
		.min = 1,
		.max = CAPTION_MAX_LENGTH,
		.help = "Words at most",
		.preset = "50" },
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static json_t *answer(const struct caption_model *m,
	const struct caption_text *texts, size_t n)
{
	json_t *choices = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(choices,
			json_pack("{s:I, s:s, s:f, s:I, s:s}", "index",
				(json_int_t)i, "text", texts[i].text, "logprob",
				texts[i].logprob, "tokens",
				(json_int_t)texts[i].tokens, "finish_reason",
				texts[i].ended ? "stop" : "length"));
	return json_pack("{s:s, s:s, s:o}", "object", "captions", "model",
		caption_model_name(m), "choices", choices);
}

static void caption(struct call *c, const struct caption_body *b,
	const void *bytes, size_t len)
{
	struct caption_model *m = c->api->backend.captions;
	const struct caption_options o = { .n = (size_t)b->n,
		.beam = b->beam && b->beam < b->n ? (size_t)b->n
						  : (size_t)b->beam,
		.length_power = b->length_power,
		.max_length = (size_t)b->max_length,
		.temperature = b->temperature,
		.seed = b->seed };
	struct caption_text texts[CAPTION_MAX_BEAM];
	size_t n;

	if (caption_model_image(m, bytes, len, &o, texts, &n, &c->err) < 0)
		return;
	c->answer = answer(m, texts, n);
	for (size_t i = 0; i < n; i++)
		c->tokens += texts[i].tokens;
	caption_texts_release(texts, n);
}

static void caption_base64(struct call *c, const struct caption_body *b)
{
	void *bytes;
	size_t len;

	if (base64_decode(b->image.bytes, b->image.len, &bytes, &len) < 0) {
		error_set_param(&c->err, ERROR_INVALID, "image",
			"image is a string of %zu characters that is not "
			"base64 (RFC 4648, with padding, without spaces)",
			b->image.len);
		return;
	}
	caption(c, b, bytes, len);
	free(bytes);
}

static void read_and_caption(struct call *c)
{
	struct caption_body b = {
		.n = 1, .beam = 3, .temperature = 1, .max_length = 50
	};
	uint64_t given;
	json_t *json;

	if (call_read(c, fields, N_FIELDS, &b, &given, &json) < 0)
		return;
	if (given >> CAPTION_IMAGE & 1)
		caption_base64(c, &b);
	else
		error_set_param(&c->err, ERROR_INVALID, "image",
			"image is missing, expected a JPEG or PNG as base64");
	json_decref(json);
}

static void work(struct call *c)
{
	if (c->api->backend.captions)
		read_and_caption(c);
	else
		error_set(&c->err, ERROR_NOT_FOUND,
			"no captioner is served: see the option "
			"captions.model");
	call_done(c);
}

static void handle(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start_metered(ctx, x, p, work);
}

static const struct route rows[] = {
	{ .method = "POST",
		.path = "/v1/captions",
		.scope = ROUTE_SAMPLE,
		.handle = handle,
		.summary = "Describe an image",
		.fields = fields,
		.n_fields = N_FIELDS,
		.status = 200,
		.answer = "application/json" },
};

const struct route_table routes_captions = { rows,
	sizeof(rows) / sizeof(rows[0]) };
