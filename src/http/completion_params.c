/* The body of POST /v1/completions: OpenAI's fields, and ours. Any thread. */
#include "http/sample.h"

static int wrong_prompt(const json_t *value, struct error *err)
{
	char what[96];

	request_describe(value, what, sizeof(what));
	return error_set_param(err, ERROR_INVALID, "prompt",
		"prompt is or has %s, expected a string, token ids, or a list "
		"of 1 to %d of either",
		what, COMPLETION_MAX_PROMPTS);
}

static bool are_ids(const json_t *list)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n; i++) {
		json_t *v = json_array_get(list, i);

		if (!json_is_integer(v) || json_integer_value(v) < 0 ||
			json_integer_value(v) > UINT32_MAX)
			return false;
	}
	return n > 0;
}

int completion_prompt(
	struct sample_params *p, const json_t *prompt, struct error *err)
{
	p->prompt_ids = NULL;
	p->prompt = (struct request_text){ "", 0 };
	if (json_is_array(prompt) && are_ids(prompt)) {
		p->prompt_ids = prompt;
		return 0;
	}
	if (!json_is_string(prompt))
		return wrong_prompt(prompt, err);
	p->prompt.bytes = json_string_value(prompt);
	p->prompt.len = json_string_length(prompt);
	return 0;
}

/* One prompt, or p->n_prompts of them that completion_prompt takes. */
static int read_prompts(struct sample_params *p, struct error *err)
{
	const json_t *list = p->prompts;
	size_t n = json_array_size(list);

	p->n_prompts = 1;
	if (!list)
		return 0;
	if (!json_is_array(list) || are_ids(list))
		return completion_prompt(p, list, err);
	if (!n || n > COMPLETION_MAX_PROMPTS)
		return error_set_param(err, ERROR_INVALID, "prompt",
			"prompt has %zu items, expected 1 to %d", n,
			COMPLETION_MAX_PROMPTS);
	for (size_t i = n; i--;) {
		const json_t *item = json_array_get(list, i);

		if (json_typeof(item) != json_typeof(json_array_get(list, 0)))
			return wrong_prompt(item, err);
		if (completion_prompt(p, item, err) < 0)
			return -1;
	}
	p->n_prompts = n;
	return 0;
}

static int read_stream_options(struct sample_params *p, struct error *err)
{
	const json_t *o = p->stream_options;
	const json_t *usage = json_object_get(o, "include_usage");
	char what[96];

	if (!o)
		return 0;
	request_describe(usage ? usage : o, what, sizeof(what));
	if (!json_is_object(o) ||
		(usage && !json_is_boolean(usage) && !json_is_null(usage)))
		return error_set_param(err, ERROR_INVALID, "stream_options",
			"stream_options%s is %s, expected %s",
			usage ? ".include_usage" : "", what,
			usage ? "true or false" : "an object");
	if (!p->stream)
		return error_set_param(err, ERROR_INVALID, "stream_options",
			"stream_options is given without stream");
	p->include_usage = json_is_true(usage);
	return 0;
}

static int check_best_of(struct sample_params *p, struct error *err)
{
	if (p->best_of < p->n)
		return error_set_param(err, ERROR_INVALID, "best_of",
			"best_of is the integer %lld, expected at least n, "
			"which is %lld",
			(long long)p->best_of, (long long)p->n);
	if (p->best_of > p->n && p->stream)
		return error_set_param(err, ERROR_INVALID, "best_of",
			"best_of is the integer %lld: which is best is known "
			"at the end, so it can't be streamed",
			(long long)p->best_of);
	p->shown = p->n;
	p->n = p->best_of;
	return 0;
}

static int check_completion(const struct sample_params *p, struct error *err)
{
	if (p->suffix &&
		(!json_is_string(p->suffix) || json_string_length(p->suffix)))
		return error_set_param(err, ERROR_INVALID, "suffix",
			"suffix is not supported: a recurrent model reads "
			"from left to right only");
	if (p->n_prompts > 1 && p->session)
		return error_set_param(err, ERROR_INVALID, "prompt",
			"prompt has %zu texts, but a session has one timeline: "
			"expected one",
			p->n_prompts);
	return 0;
}

int completion_read(const json_t *json, uint64_t max_length,
	struct sample_params *p, struct error *err)
{
	const struct field *fields = sample_fields + COMPLETION_FIRST;
	uint64_t given;

	*p = sample_defaults;
	p->length = 16;
	if (request_read_known(
		    json, fields, COMPLETION_FIELDS, p, &given, err) < 0)
		return -1;
	given <<= COMPLETION_FIRST;
	p->may_be_empty = true;
	if (!p->best_of)
		p->best_of = p->n;
	if (read_prompts(p, err) < 0 || check_best_of(p, err) < 0 ||
		read_stream_options(p, err) < 0 ||
		sample_check(p, given, max_length, "max_tokens", err) < 0)
		return -1;
	return check_completion(p, err);
}
