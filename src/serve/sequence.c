#include "serve/sequence.h"

#include "math/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int open_marks(struct sequence *s, struct error *err)
{
	const struct registry_entry *m = s->request->model;

	token_buf_init(&s->tokens, GENERATE_MAX_LENGTH);
	if (!s->request->session)
		return 0;
	for (size_t i = 0; i < SEQUENCE_MARKS; i++)
		if (session_state_init(&s->marks[i].state, m, err) < 0)
			return -1;
	return 0;
}

int sequence_open(struct sequence **sequence, struct generate_request *r,
	unsigned choice, size_t lane, struct error *err)
{
	struct sequence *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set_memory(err, "sequence", sizeof(*s));
	s->request = r;
	s->choice = choice;
	s->lane = lane;
	s->forked = choice == 0;
	s->goal = r->prompt.len;
	buf_init(&s->held, r->max_text);
	buf_init(&s->owed, SIZE_MAX);
	if (session_state_init(&s->state, r->model, err) < 0 ||
		open_marks(s, err) < 0) {
		sequence_close(s);
		return -1;
	}
	if (buf_reserve(&s->held, r->max_text) < 0) {
		sequence_close(s);
		return error_set_memory(err, "sequence", r->max_text);
	}
	if (r->session)
		session_state_copy(&s->state, &r->session->state);
	else if (r->start.hidden)
		session_state_copy(&s->state, &r->start);
	*sequence = s;
	return 0;
}

void sequence_close(struct sequence *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SEQUENCE_MARKS; i++)
		session_state_release(&s->marks[i].state);
	session_state_release(&s->state);
	token_buf_release(&s->tokens);
	buf_release(&s->held);
	buf_release(&s->owed);
	free(s);
}

void sequence_fork(struct sequence *to, const struct sequence *from)
{
	session_state_copy(&to->state, &from->state);
	to->fed = from->fed;
	to->forked = true;
}

static void append(struct session_state *state, uint32_t token)
{
	state->pending = token;
	state->window[state->position % SESSION_WINDOW] = token;
	state->position++;
}

/* Decode a drawn token; what becomes whole is appended to out. */
static void decode(struct sequence *s, uint32_t token, struct buf *out)
{
	size_t len;
	const char *bytes =
		tokenizer_bytes(s->request->model->tokenizer, token, &len);

	decoder_feed(&s->state.decoder, bytes, len, out);
}

void sequence_advance(struct sequence *s)
{
	const struct token_buf *prompt = &s->request->prompt;

	if (s->fed < prompt->len) {
		/* A code point cut before a prompt never becomes whole. */
		s->state.decoder.n_held = 0;
		append(&s->state, prompt->ids[s->fed++]);
		return;
	}
	buf_clear(&s->held);
	append(&s->state, s->tokens.ids[s->fed++ - prompt->len]);
	decode(s, s->state.pending, &s->held);
	buf_clear(&s->held);
	if (s->fed == s->goal)
		s->done = true;
}

void sequence_top(
	const real *logits, size_t vocab, struct generate_top *top, unsigned n)
{
	double sum = 0;
	real max = logits[0];
	unsigned have = 0;

	for (size_t i = 0; i < vocab; i++) {
		unsigned at;

		if (logits[i] > max)
			max = logits[i];
		if (have == n && !(logits[i] > top[n - 1].logprob))
			continue;
		at = have < n ? have++ : n - 1;
		for (; at && top[at - 1].logprob < logits[i]; at--)
			top[at] = top[at - 1];
		top[at] = (struct generate_top){ (uint32_t)i, logits[i] };
	}
	for (size_t i = 0; i < vocab; i++)
		sum += exp((double)logits[i] - max);
	for (unsigned i = 0; i < have; i++)
		top[i].logprob =
			(float)((double)top[i].logprob - max - log(sum));
}

void sequence_score(struct sequence *s, real *logits)
{
	struct generate_request *r = s->request;
	size_t vocab = r->model->vocab, n = r->n_score_top;

	if (n)
		sequence_top(
			logits, vocab, r->score_top + s->fed * n, (unsigned)n);
	r->scores[s->fed] = (float)-kernels()->cross_entropy(
		logits, vocab, r->prompt.ids[s->fed], 1);
}

static bool is_stop_token(const struct generate_request *r, uint32_t token)
{
	for (size_t i = 0; i < r->n_stop_tokens; i++)
		if (r->stop_tokens[i] == token)
			return true;
	return false;
}

void sequence_finish(struct sequence *s, enum generate_finish finish)
{
	struct generate_request *r = s->request;
	struct generate_event e = {
		.type = GENERATE_CHOICE_END,
		.choice = s->choice,
		.finish = finish,
		.index = s->drawn,
		.settled = s->drawn,
		.position = s->state.position,
	};

	/* A session goes on: its cut code point may yet become whole. */
	if (!r->goes_on)
		decoder_finish(&s->state.decoder, &s->held);
	e.text = s->held.data;
	e.text_len = s->held.len;
	events_put(r, &e);
	if (!s->choice)
		r->finish = finish;
	buf_clear(&s->held);
	s->done = true;
}

void sequence_settle(struct sequence *s)
{
	if (s->forked && !s->done && s->fed == s->goal && !s->request->length)
		sequence_finish(s, GENERATE_LENGTH);
}

/* The state must be one to go on from: the last token pending, not fed. */
static void mark(struct sequence *s)
{
	struct sequence_mark *m;

	if (!s->request->session || s->fed - s->last_mark < SEQUENCE_MARK)
		return;
	m = &s->marks[0];
	if (s->marks[0].set &&
		(!s->marks[1].set || s->marks[1].fed < s->marks[0].fed))
		m = &s->marks[1];
	session_state_copy(&m->state, &s->state);
	m->fed = s->fed;
	m->set = true;
	s->last_mark = s->fed;
}

/* A token added bytes to what is held, and `out` of that are let go. Without
 * memory less is settled than could be: its text would come twice. */
static void settle(struct sequence *s, size_t bytes, size_t out, bool all)
{
	uint32_t first = (uint32_t)bytes;

	if (all || out == s->held.len) {
		buf_clear(&s->owed);
		s->owed_out = 0;
		s->settled = s->drawn;
		return;
	}
	if (buf_append(&s->owed, &first, sizeof(first)) < 0)
		return;
	s->owed_out += out;
	while (s->owed.len) {
		memcpy(&first, s->owed.data, sizeof(first));
		if (first > s->owed_out)
			break;
		s->owed_out -= first;
		buf_consume(&s->owed, sizeof(first));
		s->settled++;
	}
}

/* Put the token's event with what text it lets go; true: a stop was found. */
static bool emit(struct sequence *s, struct generate_event *e)
{
	struct generate_request *r = s->request;
	bool found = false;
	size_t ready, before;

	if (is_stop_token(r, e->token)) {
		e->settled = s->settled; /* what is held comes with the end */
		events_put(r, e);
		return true;
	}
	before = s->held.len;
	decode(s, e->token, &s->held);
	ready = r->stops.n ? stop_scan(&r->stops, &s->held, &found)
			   : s->held.len;
	settle(s, s->held.len - before, ready, found);
	e->settled = s->settled;
	e->text = s->held.data;
	e->text_len = ready;
	events_put(r, e);
	if (!found) {
		buf_consume(&s->held, ready);
		return false;
	}
	buf_clear(&s->held); /* the stop, and what follows it */
	if (!r->goes_on)
		s->state.decoder.n_held = 0;
	return true;
}

int sequence_draw(struct sequence *s, struct sampler *sampler, real *logits,
	struct error *err)
{
	struct generate_request *r = s->request;
	uint64_t position = s->state.position;
	size_t n_window = position < SESSION_WINDOW ? position : SESSION_WINDOW;
	struct generate_top top[GENERATE_MAX_LOGPROBS];
	struct generate_event e = { .type = GENERATE_TOKEN,
		.choice = s->choice,
		.n_top = r->logprobs,
		.top = top };
	struct sampler_draw draw;

	if (e.n_top > r->model->vocab)
		e.n_top = (unsigned)r->model->vocab;
	if (e.n_top)
		sequence_top(logits, r->model->vocab, top, e.n_top);
	draw = sampler_draw(sampler, &r->sampler, logits, s->state.window,
		n_window, r->seed, s->choice, position);
	if (r->session && token_buf_append(&s->tokens, draw.token) < 0)
		return error_set_memory(err, "drawn tokens", s->tokens.len * 4);
	append(&s->state, draw.token);
	s->goal = ++s->fed;
	e.token = draw.token;
	e.logprob = (float)draw.logprob;
	e.index = ++s->drawn;
	e.position = s->state.position;
	if (emit(s, &e))
		sequence_finish(s, GENERATE_STOP);
	else if (s->drawn >= r->length)
		sequence_finish(s, GENERATE_LENGTH);
	else
		mark(s);
	return 0;
}

void sequence_rewind(struct sequence *s, uint64_t kept)
{
	uint64_t goal =
		s->request->prompt.len + (kept < s->drawn ? kept : s->drawn);
	struct sequence_mark *best = NULL;

	s->goal = goal;
	if (s->fed > goal) {
		for (size_t i = 0; i < SEQUENCE_MARKS; i++) {
			struct sequence_mark *m = &s->marks[i];

			if (m->set && m->fed <= goal &&
				(!best || m->fed > best->fed))
				best = m;
		}
		session_state_copy(&s->state,
			best ? &best->state : &s->request->session->state);
		s->fed = best ? best->fed : 0;
	}
	s->done = s->fed == goal;
}
