/*
 * A request's events between one producer and one reader: records in a ring,
 * their text in a ring of bytes where each text lies in one piece. A record's
 * text stays until the reader asks for the next event.
 */
#include "serve/request.h"

#include <stdlib.h>
#include <string.h>

#define RING_EVENTS 256
#define TEXT_BYTES 4096

static size_t ring_events(const struct generate_request *r)
{
	uint64_t all = (r->length + 1) * r->n + 2;
	size_t least = 2 * r->n + 2;
	size_t want = all < RING_EVENTS ? (size_t)all : RING_EVENTS;

	return want < least ? least : want;
}

int events_open(struct generate_request *r, struct error *err)
{
	size_t n_top;

	if (ring_open(&r->ring, ring_events(r), sizeof(struct event_record),
		    err) < 0)
		return -1;
	/* A step starts with half of it free (see has_room), which holds its
	 * texts, the gap that one leaves which does not fit before the end,
	 * and what choices still hold back when they are ended early. */
	r->text_size = 8 * r->n * r->max_text;
	if (r->text_size < TEXT_BYTES)
		r->text_size = TEXT_BYTES;
	r->text = malloc(r->text_size);
	if (!r->text)
		return error_set_memory(err, "event texts", r->text_size);
	/* One more than the ring: the reader still looks at a popped one. */
	n_top = (ring_capacity(r->ring) + 1) * r->logprobs;
	r->top = calloc(n_top ? n_top : 1, sizeof(*r->top));
	if (!r->top)
		return error_set_memory(
			err, "logprobs", n_top * sizeof(*r->top));
	return 0;
}

void events_release(struct generate_request *r)
{
	if (r->ring)
		ring_close(r->ring);
	free(r->text);
	free(r->top);
}

/* For a token's event and an end of each choice, SETTLED and ENDED. */
static bool has_room(struct generate_request *r)
{
	size_t used = r->text_written - atomic_load(&r->text_read);
	size_t need = 2 * r->n + 2;

	return ring_capacity(r->ring) - ring_length(r->ring) >= need &&
	       r->text_size - used >= (r->text_size >> 1) + r->max_text;
}

bool events_room(struct generate_request *r)
{
	if (has_room(r))
		return true;
	/* Said before looking again: a reader that makes room in between
	 * sees it and kicks. */
	atomic_store(&r->paused, true);
	if (!has_room(r))
		return false;
	atomic_store(&r->paused, false);
	return true;
}

static void put_text(struct generate_request *r, const char *text, size_t len,
	struct event_record *record)
{
	size_t at = r->text_written % r->text_size;

	if (at + len > r->text_size)
		r->text_written += r->text_size - at;
	record->text_begin = r->text_written;
	if (len)
		memcpy(r->text + r->text_written % r->text_size, text, len);
	r->text_written += len;
	record->text_end = r->text_written;
	record->text_len = (uint32_t)len;
}

static struct generate_top *top_of(
	struct generate_request *r, uint64_t sequence)
{
	return r->top + sequence % (ring_capacity(r->ring) + 1) * r->logprobs;
}

void events_put(struct generate_request *r, const struct generate_event *e)
{
	struct event_record record = {
		.type = e->type,
		.choice = (uint8_t)e->choice,
		.finish = (uint8_t)e->finish,
		.n_top = (uint8_t)e->n_top,
		.token = e->token,
		.logprob = e->logprob,
		.index = e->index,
		.settled = e->settled,
		.position = e->position,
		.sequence = r->n_events++,
	};

	put_text(r, e->text, e->text_len, &record);
	if (e->n_top)
		memcpy(top_of(r, record.sequence), e->top,
			e->n_top * sizeof(*e->top));
	ring_push(r->ring, &record, NULL);
	r->unseen = true;
}

const struct generate_event *generate_next(struct generate_request *r)
{
	struct event_record record;

	atomic_store(&r->text_read, r->event_text_end);
	if (!ring_pop(r->ring, &record)) {
		/* All was read: room enough for whoever waits for it. */
		if (atomic_exchange(&r->paused, false))
			engine_kick(r);
		return NULL;
	}
	if (atomic_exchange(&r->paused, false))
		engine_kick(r);
	r->event_text_end = record.text_end;
	r->event = (struct generate_event){
		.type = record.type,
		.choice = record.choice,
		.finish = record.finish,
		.token = record.token,
		.index = record.index,
		.settled = record.settled,
		.position = record.position,
		.logprob = record.logprob,
		.n_top = record.n_top,
		.top = top_of(r, record.sequence),
		.text = r->text + record.text_begin % r->text_size,
		.text_len = record.text_len,
	};
	return &r->event;
}
