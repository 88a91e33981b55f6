/* A sample's parameters as the options of its generation. Any thread, one at a
 * time. */
#include "http/client.h"
#include "http/sample.h"

#include <stdlib.h>

static size_t fill_stops(const struct sample_params *p, const char **stops)
{
	size_t n = json_is_array(p->stop) ? json_array_size(p->stop) : 1;

	if (!p->stop)
		return 0;
	for (size_t i = 0; i < n; i++)
		stops[i] = json_string_value(
			json_is_array(p->stop) ? json_array_get(p->stop, i)
					       : p->stop);
	return n;
}

static size_t fill_biases(
	const struct sample_params *p, struct sampler_bias *biases)
{
	const char *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach((json_t *)p->logit_bias, key, value)
	{
		biases[n].token = (uint32_t)strtoul(key, NULL, 10);
		biases[n++].bias = (float)json_number_value(value);
	}
	return n;
}

void sample_options(const struct sample *s, struct generate_options *o)
{
	const struct sample_params *p = &s->params;

	generate_defaults(o);
	o->prompt = p->prompt.bytes;
	o->prompt_len = p->prompt.len;
	o->max_prompt = s->api->o.max_prompt;
	o->unknown = (enum unknown_policy)p->unknown;
	o->sampler.temperature = p->temperature;
	o->sampler.top_k = (uint32_t)p->top_k;
	o->sampler.top_p = p->top_p;
	o->sampler.min_p = p->min_p;
	o->sampler.repetition_penalty = p->repetition_penalty;
	o->sampler.presence_penalty = p->presence_penalty;
	o->sampler.frequency_penalty = p->frequency_penalty;
	o->length = (uint64_t)p->length;
	o->seed = p->seed;
	o->has_seed = p->has_seed;
	o->n = (unsigned)p->n;
	o->has_logprobs = p->has_logprobs || p->n > p->shown;
	o->has_scores = s->shape->text_offsets && p->echo && p->has_logprobs;
	o->logprobs = (unsigned)p->logprobs;
	o->queue_ms = (int64_t)s->api->o.queue_timeout;
	o->run_ms = (int64_t)s->api->o.run_timeout;
	o->deadline_ms = p->deadline_ms;
	o->priority = (enum scheduler_priority)p->priority;
	o->client = client_identity(s->client, p->user);
	o->user = (void *)&s->reader;
}

/* The prompt's ids for the request, and its text for an echo. */
static int take_ids(struct sample *s, struct generate_options *o,
	uint32_t **ids, struct error *err)
{
	struct sample_params *p = &s->params;
	size_t n = json_array_size(p->prompt_ids), len;
	const char *bytes;

	*ids = calloc(n, sizeof(**ids));
	if (!*ids)
		return error_set_memory(err, "prompt", n * sizeof(**ids));
	buf_init(&s->prompt_text, n * (o->model->max_token_bytes + 1));
	for (size_t i = 0; i < n; i++) {
		(*ids)[i] = (uint32_t)json_integer_value(
			json_array_get(p->prompt_ids, i));
		bytes = tokenizer_bytes(o->model->tokenizer, (*ids)[i], &len);
		if (p->echo && len &&
			buf_append(&s->prompt_text, bytes, len) < 0) {
			free(*ids);
			return error_set_memory(err, "prompt", n);
		}
	}
	o->tokens = *ids;
	o->n_tokens = n;
	p->prompt.bytes = s->prompt_text.data ? s->prompt_text.data : "";
	p->prompt.len = s->prompt_text.len;
	return 0;
}

int sample_generate(struct sample *s, const struct generate_options *base,
	struct error *err)
{
	struct generate_options o = *base;
	const struct sample_params *p = &s->params;
	const char *stops[GENERATE_MAX_STOPS];
	struct sampler_bias *biases = NULL;
	uint32_t *ids = NULL;
	size_t n = p->logit_bias ? json_object_size(p->logit_bias) : 0;
	int opened;

	if (p->prompt_ids && take_ids(s, &o, &ids, err) < 0)
		return -1;
	if (n) {
		biases = calloc(n, sizeof(*biases));
		if (!biases) {
			free(ids);
			return error_set_memory(err, "logit_bias", n);
		}
		o.sampler.n_bias = fill_biases(p, biases);
		o.sampler.bias = biases;
	}
	o.n_stop = fill_stops(p, stops);
	o.stop = stops;
	opened = generate_open(&s->request, &o, err);
	free(biases);
	free(ids);
	return opened;
}
