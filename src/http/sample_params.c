#include "http/fields.h"
#include "http/sample.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BIASES 4096
/* A buffered answer holds at most this many log-probabilities. */
#define MAX_LOGPROBS (1u << 20)

/* Of POST /sample: up to P_WAIT. Of POST /v1/completions: from P_MODEL on. */
enum {
	P_PROMPT,
	P_LENGTH,
	P_MAX_TOKENS,
	P_MODEL,
	P_SESSION,
	P_TEMPERATURE,
	P_TOP_K,
	P_TOP_P,
	P_MIN_P,
	P_REPETITION,
	P_PRESENCE,
	P_FREQUENCY,
	P_LOGIT_BIAS,
	P_STOP,
	P_SEED,
	P_N,
	P_LOGPROBS,
	P_ECHO,
	P_STREAM,
	P_POSITION,
	P_UNKNOWN,
	P_PRIORITY,
	P_USER,
	P_DEADLINE,
	P_DISCONNECT,
	P_WAIT,
	P_PROMPTS,
	P_MAX_NEW,
	P_BEST_OF,
	P_SUFFIX,
	P_STREAM_OPTIONS,
	P_END,
};
_Static_assert(P_WAIT + 1 == SAMPLE_FIELDS && P_MODEL == COMPLETION_FIRST &&
		       P_END == COMPLETION_FIRST + COMPLETION_FIELDS,
	"sample.h counts the rows");

#define MEMBER(m) .offset = offsetof(struct sample_params, m)

const struct field sample_fields[COMPLETION_FIRST + COMPLETION_FIELDS] = {
	[P_PROMPT] = { .name = "prompt",
		.type = FIELD_TEXT,
		MEMBER(prompt),
		.help = "The text to continue, of any length",
		.preset = "\"\"" },
	[P_LENGTH] = { .name = "length",
		.type = FIELD_INT,
		MEMBER(length),
		.min = 0,
		.max = GENERATE_MAX_LENGTH,
		.help = "Tokens to generate at most; with a session 0 only "
			"feeds the prompt",
		.preset = "200" },
	[P_MAX_TOKENS] = { .name = "max_tokens",
		.type = FIELD_INT,
		MEMBER(max_tokens),
		.min = 0,
		.max = GENERATE_MAX_LENGTH,
		.help = "The same as length" },
	[P_MODEL] = MODEL_FIELD(struct sample_params, model,
		"A name of /v1/models; the session's or the default "
		"one without it"),
	[P_SESSION] = SESSION_FIELD(struct sample_params, session,
		"Continue this session, and store where it gets to"),
	[P_TEMPERATURE] = { .name = "temperature",
		.type = FIELD_NUMBER,
		MEMBER(temperature),
		.min = 0,
		.max = 10,
		.help = "Divides the logits; 0 takes the most probable token",
		.preset = "1" },
	[P_TOP_K] = { .name = "top_k",
		.type = FIELD_INT,
		MEMBER(top_k),
		.min = 0,
		.max = 1 << 24,
		.help = "Draw among the k most probable tokens; 0 is off",
		.preset = "0" },
	[P_TOP_P] = { .name = "top_p",
		.type = FIELD_NUMBER,
		MEMBER(top_p),
		.min = 1e-9,
		.max = 1,
		.help = "Draw among the fewest tokens of this total "
			"probability; 1 is off",
		.preset = "1" },
	[P_MIN_P] = { .name = "min_p",
		.type = FIELD_NUMBER,
		MEMBER(min_p),
		.min = 0,
		.max = 1,
		.help = "Draw among tokens of at least this share of the best "
			"one's probability; 0 is off",
		.preset = "0" },
	[P_REPETITION] = { .name = "repetition_penalty",
		.type = FIELD_NUMBER,
		MEMBER(repetition_penalty),
		.min = 0.01,
		.max = 10,
		.help = "Over 1, makes recent tokens less probable; 1 is off",
		.preset = "1" },
	[P_PRESENCE] = { .name = "presence_penalty",
		.type = FIELD_NUMBER,
		MEMBER(presence_penalty),
		.min = -2,
		.max = 2,
		.help = "Taken from the logits of recent tokens",
		.preset = "0" },
	[P_FREQUENCY] = { .name = "frequency_penalty",
		.type = FIELD_NUMBER,
		MEMBER(frequency_penalty),
		.min = -2,
		.max = 2,
		.help = "The same, times how often each occurred",
		.preset = "0" },
	[P_LOGIT_BIAS] = { .name = "logit_bias",
		.type = FIELD_JSON,
		MEMBER(logit_bias),
		.schema = "{\"type\":\"object\",\"additionalProperties\":"
			  "{\"type\":\"number\",\"minimum\":-100,"
			  "\"maximum\":100}}",
		.help = "Token id to what is added to its logit; -100 bans" },
	[P_STOP] = { .name = "stop",
		.type = FIELD_JSON,
		MEMBER(stop),
		.schema = "{\"oneOf\":[{\"type\":\"string\"},{\"type\":"
			  "\"array\",\"maxItems\":16,\"items\":"
			  "{\"type\":\"string\"}}]}",
		.help = "End before any of these texts" },
	[P_SEED] = { .name = "seed",
		.type = FIELD_SEED,
		MEMBER(seed),
		.help = "The same seed gives the same text; without it the "
			"session's, or a random one" },
	[P_N] = { .name = "n",
		.type = FIELD_INT,
		MEMBER(n),
		.min = 1,
		.max = GENERATE_MAX_CHOICES,
		.help = "Continuations to draw; 1 with a session",
		.preset = "1" },
	[P_LOGPROBS] = LOGPROBS_FIELD(struct sample_params, logprobs,
		"Give each token's log-probability, and those of so "
		"many most probable ones"),
	[P_ECHO] = { .name = "echo",
		.type = FIELD_BOOL,
		MEMBER(echo),
		.help = "Begin the text with the prompt",
		.preset = "false" },
	[P_STREAM] = { .name = "stream",
		.type = FIELD_BOOL,
		MEMBER(stream),
		.help = "Send tokens as they come, as server-sent events",
		.preset = "false" },
	[P_POSITION] = { .name = "expected_position",
		.type = FIELD_INT,
		MEMBER(expected_position),
		.min = 0,
		.max = 9007199254740992,
		.help = "Refuse (409) unless the session is at this token" },
	[P_UNKNOWN] = UNKNOWN_FIELD(struct sample_params, unknown),
	[P_PRIORITY] = PRIORITY_FIELD(struct sample_params, priority),
	[P_USER] = USER_FIELD(struct sample_params, user),
	[P_DEADLINE] = { .name = "deadline_ms",
		.type = FIELD_INT,
		MEMBER(deadline_ms),
		.min = 1,
		.max = SAMPLE_MAX_DEADLINE,
		.help = "Milliseconds after which to end with what there is, "
			"or to give up waiting for a slot; the server's own "
			"limits hold besides" },
	[P_DISCONNECT] = { .name = "on_disconnect",
		.type = FIELD_CHOICE,
		MEMBER(on_disconnect),
		.choices = "cancel|continue",
		.help = "Whether the generation ends when its client leaves, "
			"or goes on to its end; either way a stream can be "
			"resumed at /v1/streams/{id}",
		.preset = "\"cancel\"" },
	[P_WAIT] = { .name = "wait_ms",
		.type = FIELD_INT,
		MEMBER(wait_ms),
		.min = 0,
		.max = SAMPLE_MAX_WAIT,
		.help = "Milliseconds to wait in line for a session, or for an "
			"Idempotency-Key, that another request holds",
		.preset = "0" },
	[P_PROMPTS] = { .name = "prompt",
		.type = FIELD_JSON,
		MEMBER(prompts),
		.schema = "{\"oneOf\":[{\"type\":\"string\"},"
			  "{\"type\":\"array\",\"minItems\":1,\"maxItems\":128,"
			  "\"items\":{\"type\":\"string\"}},"
			  "{\"type\":\"array\",\"minItems\":1,"
			  "\"items\":{\"type\":\"integer\",\"minimum\":0}},"
			  "{\"type\":\"array\",\"minItems\":1,\"maxItems\":128,"
			  "\"items\":{\"type\":\"array\",\"minItems\":1,"
			  "\"items\":{\"type\":\"integer\",\"minimum\":0}}}]}",
		.help = "The text to continue, as text or as token ids, or a "
			"list of such",
		.preset = "\"\"" },
	[P_MAX_NEW] = { .name = "max_tokens",
		.type = FIELD_INT,
		MEMBER(length),
		.min = 0,
		.max = GENERATE_MAX_LENGTH,
		.help = "Tokens to generate at most; 0 with echo and logprobs "
			"scores the prompt",
		.preset = "16" },
	[P_BEST_OF] = { .name = "best_of",
		.type = FIELD_INT,
		MEMBER(best_of),
		.min = 1,
		.max = GENERATE_MAX_CHOICES,
		.help = "Draw so many and return the n of the highest "
			"log-probability per token; not with stream" },
	[P_SUFFIX] = { .name = "suffix",
		.type = FIELD_JSON,
		MEMBER(suffix),
		.schema = "{\"enum\":[\"\",null]}",
		.help = "Not supported: a recurrent model reads from left to "
			"right only" },
	[P_STREAM_OPTIONS] = { .name = "stream_options",
		.type = FIELD_JSON,
		MEMBER(stream_options),
		.schema = "{\"type\":\"object\",\"properties\":"
			  "{\"include_usage\":{\"type\":\"boolean\"}}}",
		.help = "With include_usage a last chunk says what was used" },
};

static int check_length(const struct sample_params *p, uint64_t max,
	const char *name, struct error *err)
{
	bool primes = (p->session || p->may_be_empty) && !p->length;

	if ((uint64_t)p->length <= max && (p->length > 0 || primes))
		return 0;
	return error_set_param(err, ERROR_INVALID, name,
		"%s is the integer %lld, expected an integer from %d to %llu",
		name, (long long)p->length,
		p->session || p->may_be_empty ? 0 : 1, (unsigned long long)max);
}

static int check_stop(const json_t *stop, struct error *err)
{
	size_t n = json_is_array(stop) ? json_array_size(stop) : 1;
	char what[96];

	if (n > GENERATE_MAX_STOPS)
		return error_set_param(err, ERROR_INVALID, "stop",
			"stop has %zu items, expected at most %d", n,
			GENERATE_MAX_STOPS);
	for (size_t i = 0; i < n; i++) {
		const json_t *item =
			json_is_array(stop) ? json_array_get(stop, i) : stop;
		size_t len = json_string_length(item);

		if (json_is_string(item) && len &&
			len <= GENERATE_MAX_STOP_BYTES &&
			strlen(json_string_value(item)) == len)
			continue;
		request_describe(item, what, sizeof(what));
		return error_set_param(err, ERROR_INVALID, "stop",
			"stop has %s, expected a string of 1 to %d bytes, or "
			"an array of such",
			what, GENERATE_MAX_STOP_BYTES);
	}
	return 0;
}

static int check_bias(const json_t *bias, struct error *err)
{
	const char *key;
	char what[96];
	json_t *value;
	uint64_t id;

	request_describe(bias, what, sizeof(what));
	if (!json_is_object(bias) || json_object_size(bias) > MAX_BIASES)
		return error_set_param(err, ERROR_INVALID, "logit_bias",
			"logit_bias is %s, expected an object of at most %d "
			"token ids and numbers",
			what, MAX_BIASES);
	json_object_foreach((json_t *)bias, key, value)
	{
		double v = json_number_value(value);

		request_describe(value, what, sizeof(what));
		if (request_seed(key, strlen(key), &id) < 0 || id > UINT32_MAX)
			return error_set_param(err, ERROR_INVALID, "logit_bias",
				"logit_bias has '%.40s', expected a token id",
				key);
		if (!json_is_number(value) || !(v >= -100 && v <= 100))
			return error_set_param(err, ERROR_INVALID, "logit_bias",
				"logit_bias of token %s is %s, expected a "
				"number from -100 to 100",
				key, what);
	}
	return 0;
}

static int check_together(const struct sample_params *p, struct error *err)
{
	uint64_t logprobs = (uint64_t)(p->length * p->n * (1 + p->logprobs));

	if (p->has_position && !p->session)
		return error_set_param(err, ERROR_INVALID, "expected_position",
			"expected_position is given without a session");
	if (p->session && p->n > 1)
		return error_set_param(err, ERROR_INVALID, "n",
			"n is the integer %lld, expected 1 with a session",
			(long long)p->n);
	if (p->has_logprobs && !p->stream && logprobs > MAX_LOGPROBS)
		return error_set_param(err, ERROR_INVALID, "logprobs",
			"logprobs asks for %llu values in one answer, expected "
			"at most %u; stream them",
			(unsigned long long)logprobs, MAX_LOGPROBS);
	return 0;
}

int sample_check(struct sample_params *p, uint64_t given, uint64_t max_length,
	const char *length, struct error *err)
{
	p->has_seed = given >> P_SEED & 1;
	p->has_logprobs = given >> P_LOGPROBS & 1;
	p->has_position = given >> P_POSITION & 1;
	if (check_length(p, max_length, length, err) < 0 ||
		(p->stop && check_stop(p->stop, err) < 0) ||
		(p->logit_bias && check_bias(p->logit_bias, err) < 0))
		return -1;
	return check_together(p, err);
}

const struct sample_params sample_defaults = {
	.length = 200,
	.temperature = 1,
	.unknown = UNKNOWN_AUTO,
	.top_p = 1,
	.repetition_penalty = 1,
	.n = 1,
	.prompt = { "", 0 },
};

int sample_read(const json_t *json, uint64_t max_length,
	struct sample_params *p, struct error *err)
{
	uint64_t given;

	*p = sample_defaults;
	if (request_read(json, sample_fields, SAMPLE_FIELDS, p, &given, err) <
		0)
		return -1;
	if (given >> P_MAX_TOKENS & 1) {
		if (given >> P_LENGTH & 1 && p->length != p->max_tokens)
			return error_set_param(err, ERROR_INVALID, "max_tokens",
				"max_tokens is %lld and length is %lld, which "
				"mean the same: give one",
				(long long)p->max_tokens, (long long)p->length);
		p->length = p->max_tokens;
	}
	p->shown = p->n;
	return sample_check(p, given, max_length,
		given >> P_MAX_TOKENS & 1 ? "max_tokens" : "length", err);
}
