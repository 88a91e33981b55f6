#include "serve/generate.h"

#include "base/rng.h"
#include "serve/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void generate_defaults(struct generate_options *o)
{
	*o = (struct generate_options){
		.length = 200, .n = 1, .unknown = UNKNOWN_AUTO
	};
	sampler_defaults(&o->sampler);
}

const char *generate_finish_name(enum generate_finish f)
{
	static const char *const names[] = {
		[GENERATE_LENGTH] = "length",
		[GENERATE_STOP] = "stop",
		[GENERATE_DEADLINE] = "deadline",
		[GENERATE_CANCELLED] = "cancelled",
		[GENERATE_FAILED] = "error",
	};

	return names[f];
}

static int check_stops(const struct generate_options *o, struct error *err)
{
	if (o->n_stop > GENERATE_MAX_STOPS)
		return error_set_param(err, ERROR_INVALID, "stop",
			"stop has %zu strings, at most %d may be given",
			o->n_stop, GENERATE_MAX_STOPS);
	for (size_t i = 0; i < o->n_stop; i++) {
		size_t len = strlen(o->stop[i]);

		if (!len || len > GENERATE_MAX_STOP_BYTES)
			return error_set_param(err, ERROR_INVALID, "stop",
				"stop string %zu has %zu bytes, expected 1 to"
				" %d",
				i, len, GENERATE_MAX_STOP_BYTES);
	}
	for (size_t i = 0; i < o->n_stop_tokens; i++)
		if (o->stop_tokens[i] >= o->model->vocab)
			return error_set_param(err, ERROR_INVALID, "stop",
				"stop token %u is not below the vocabulary's"
				" %zu",
				o->stop_tokens[i], o->model->vocab);
	return 0;
}

static int check_bias(const struct generate_options *o, struct error *err)
{
	for (size_t i = 0; i < o->sampler.n_bias; i++)
		if (o->sampler.bias[i].token >= o->model->vocab)
			return error_set_param(err, ERROR_INVALID, "logit_bias",
				"logit_bias token %u is not below the"
				" vocabulary's %zu",
				o->sampler.bias[i].token, o->model->vocab);
	return 0;
}

static int check_numbers(const struct generate_options *o, struct error *err)
{
	if (o->length > GENERATE_MAX_LENGTH)
		return error_set_param(err, ERROR_INVALID, "length",
			"length is %llu, expected 0 to %u",
			(unsigned long long)o->length, GENERATE_MAX_LENGTH);
	if (!o->n || o->n > GENERATE_MAX_CHOICES)
		return error_set_param(err, ERROR_INVALID, "n",
			"n is %u, expected 1 to %d", o->n,
			GENERATE_MAX_CHOICES);
	if (o->n > 1 && o->session)
		return error_set_param(err, ERROR_INVALID, "n",
			"n is %u, but a session has one timeline: expected 1",
			o->n);
	if (o->logprobs > GENERATE_MAX_LOGPROBS)
		return error_set_param(err, ERROR_INVALID, "logprobs",
			"logprobs is %u, expected 0 to %d", o->logprobs,
			GENERATE_MAX_LOGPROBS);
	if (o->queue_ms < 0 || o->run_ms < 0 || o->deadline_ms < 0)
		return error_set_param(err, ERROR_INVALID, "deadline",
			"deadlines must not be negative");
	return 0;
}

static int check_session(const struct generate_options *o, struct error *err)
{
	const struct session *s = o->session;

	if (o->start && o->start->n_hidden != o->model->state_floats)
		return error_set_param(err, ERROR_CONFLICT, "model",
			"the timeline has %zu numbers of state, model %s has "
			"%zu",
			o->start->n_hidden, o->model->name,
			o->model->state_floats);
	if (!s)
		return 0;
	if (s->info.fingerprint != o->model->fingerprint ||
		s->state.n_hidden != o->model->state_floats)
		return error_set_param(err, ERROR_CONFLICT, "model",
			"session %s was made with model %s %016llx, not %s"
			" %016llx",
			s->info.id, s->info.model,
			(unsigned long long)s->info.fingerprint, o->model->name,
			(unsigned long long)o->model->fingerprint);
	return 0;
}

static int check(const struct generate_options *o, struct error *err)
{
	if (check_numbers(o, err) < 0 || check_session(o, err) < 0 ||
		check_stops(o, err) < 0 || check_bias(o, err) < 0)
		return -1;
	return sampler_check(&o->sampler, err);
}

static void *copy(const void *from, size_t bytes)
{
	void *to = malloc(bytes ? bytes : 1);

	if (to && bytes)
		memcpy(to, from, bytes);
	return to;
}

static int copy_options(struct generate_request *r,
	const struct generate_options *o, struct error *err)
{
	size_t bias_bytes = o->sampler.n_bias * sizeof(*r->bias);
	size_t stop_bytes = o->n_stop_tokens * sizeof(*r->stop_tokens);

	r->sampler = o->sampler;
	r->bias = copy(o->sampler.bias, bias_bytes);
	r->sampler.bias = r->bias;
	r->sampler.never = tokenizer_unknown(r->model->tokenizer);
	r->sampler.has_never = r->sampler.never != TOKENIZER_NONE;
	r->stop_tokens = copy(o->stop_tokens, stop_bytes);
	r->n_stop_tokens = o->n_stop_tokens;
	if (!r->bias || !r->stop_tokens ||
		stop_strings_init(&r->stops, o->stop, o->n_stop) < 0)
		return error_set_memory(
			err, "request", bias_bytes + stop_bytes);
	r->length = o->length;
	r->n = o->n;
	r->has_logprobs = o->has_logprobs;
	r->logprobs = o->has_logprobs ? o->logprobs : 0;
	r->queue_ms = o->queue_ms;
	r->run_ms = o->run_ms;
	r->deadline_ms = o->deadline_ms;
	r->client = o->client;
	r->priority = o->priority;
	r->settles = o->settles;
	r->floor = o->floor;
	r->goes_on = o->session || o->start;
	r->user = o->user;
	r->seed = o->has_seed  ? o->seed
		  : o->session ? o->session->info.seed
			       : rng_entropy();
	/* A cut code point's bytes may each become a U+FFFD of three. */
	r->max_text = 3 * (r->model->max_token_bytes + 4) + r->stops.longest;
	return 0;
}

static int copy_prompt(struct generate_request *r,
	const struct generate_options *o, struct error *err)
{
	for (size_t i = 0; i < o->n_tokens; i++) {
		if (o->tokens[i] >= r->model->vocab)
			return error_set_param(err, ERROR_INVALID, "prompt",
				"prompt has the token %u, expected ids below "
				"the vocabulary's %zu",
				o->tokens[i], r->model->vocab);
		if (token_buf_append(&r->prompt, o->tokens[i]) < 0)
			return token_buf_error(&r->prompt, err);
	}
	return 0;
}

static int encode_prompt(struct generate_request *r,
	const struct generate_options *o, struct error *err)
{
	size_t skipped = 0;

	token_buf_init(&r->prompt,
		o->max_prompt ? o->max_prompt : GENERATE_MAX_PROMPT);
	if (o->tokens ? copy_prompt(r, o, err) < 0
		      : o->prompt_len &&
				tokenizer_encode(r->model->tokenizer, o->prompt,
					o->prompt_len, o->unknown, &r->prompt,
					&skipped, err) < 0) {
		if (err && !*err->param)
			snprintf(err->param, sizeof(err->param), "prompt");
		return -1;
	}
	r->skipped = skipped;
	return 0;
}

static int open_scores(struct generate_request *r,
	const struct generate_options *o, struct error *err)
{
	size_t n = r->prompt.len, n_top = r->logprobs;

	if (!o->has_scores)
		return 0;
	if (n_top > r->model->vocab)
		n_top = r->model->vocab;
	r->score_from = o->score_from;
	r->n_score_top = (unsigned)n_top;
	r->scores = calloc(n + 1, sizeof(*r->scores));
	if (n_top)
		r->score_top = calloc(n * n_top + 1, sizeof(*r->score_top));
	if (r->scores && (r->score_top || !n_top))
		return 0;
	return error_set_memory(err, "scores",
		n * (sizeof(*r->scores) + n_top * sizeof(*r->score_top)));
}

static int copy_start(struct generate_request *r,
	const struct generate_options *o, struct error *err)
{
	if (!o->start)
		return 0;
	if (session_state_init(&r->start, r->model, err) < 0)
		return -1;
	session_state_copy(&r->start, o->start);
	r->result.position = r->start.position;
	if (o->timeline)
		snprintf(r->session_id, sizeof(r->session_id), "%s",
			o->timeline);
	return 0;
}

static void describe(struct generate_request *r, struct request_record *record)
{
	if (!record)
		return;
	r->record = record;
	record->seed = r->seed;
	record->start = r->result.position;
	snprintf(record->session, sizeof(record->session), "%s", r->session_id);
	snprintf(record->model, sizeof(record->model), "%s", r->model->name);
	snprintf(record->system, sizeof(record->system), "%s",
		r->model->system_fingerprint);
}

int generate_open(struct generate_request **request,
	const struct generate_options *o, struct error *err)
{
	struct generate_request *r;

	if (check(o, err) < 0)
		return -1;
	r = calloc(1, sizeof(*r));
	if (!r)
		return error_set_memory(err, "request", sizeof(*r));
	atomic_init(&r->refs, 1);
	r->model = registry_ref(o->model);
	if (copy_options(r, o, err) < 0 || encode_prompt(r, o, err) < 0 ||
		open_scores(r, o, err) < 0 || events_open(r, err) < 0 ||
		copy_start(r, o, err) < 0) {
		request_unref(r);
		return -1;
	}
	r->result.seed = r->seed;
	r->result.usage.prompt_tokens = r->prompt.len;
	r->result.usage.skipped = r->skipped;
	if (o->session) {
		r->session = o->session;
		snprintf(r->session_id, sizeof(r->session_id), "%s",
			o->session->info.id);
		r->result.position = o->session->state.position;
		r->result.kernels_changed = o->session->kernels_changed;
		r->result.session_change = o->session->change;
	}
	describe(r, o->record);
	*request = r;
	return 0;
}

void request_ref(struct generate_request *r)
{
	atomic_fetch_add(&r->refs, 1);
}

void request_unref(struct generate_request *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	if (r->session)
		session_abort(r->session);
	session_state_release(&r->start);
	record_free(r->record);
	events_release(r);
	token_buf_release(&r->prompt);
	stop_strings_release(&r->stops);
	free(r->stop_tokens);
	free(r->bias);
	free(r->scores);
	free(r->score_top);
	registry_unref(r->model);
	free(r);
}

void generate_close(struct generate_request *r)
{
	if (!r)
		return;
	r->closed = true;
	request_unref(r);
}

void generate_cancel(struct generate_request *r, uint64_t kept)
{
	generate_cancel_sent(r, kept, kept);
}

void generate_cancel_sent(
	struct generate_request *r, uint64_t kept, uint64_t sent)
{
	if (!r->submitted_ok || atomic_load(&r->cancelled))
		return;
	atomic_store(&r->kept, kept);
	atomic_store(&r->sent, sent);
	atomic_store(&r->cancelled, true);
	if (!atomic_load(&r->finished))
		engine_kick(r);
}

struct request_record *generate_record(struct generate_request *r)
{
	return r->record;
}

void *generate_user(const struct generate_request *r)
{
	return r->user;
}

struct registry_entry *generate_model(const struct generate_request *r)
{
	return r->model;
}

const char *generate_session_id(const struct generate_request *r)
{
	return *r->session_id ? r->session_id : NULL;
}

uint64_t generate_seed(const struct generate_request *r)
{
	return r->seed;
}

uint64_t generate_prompt_tokens(const struct generate_request *r)
{
	return r->prompt.len;
}

const uint32_t *generate_prompt(const struct generate_request *r)
{
	return r->prompt.ids;
}

const float *generate_scores(const struct generate_request *r)
{
	return r->scores;
}

const struct generate_top *generate_score_tops(
	const struct generate_request *r, unsigned *n)
{
	*n = r->n_score_top;
	return r->score_top;
}

const struct generate_result *generate_result(const struct generate_request *r)
{
	return &r->result;
}
