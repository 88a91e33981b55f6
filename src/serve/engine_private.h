/* What the engine's files share; see engine.c for who owns what. */
#ifndef SERVE_ENGINE_PRIVATE_H
#define SERVE_ENGINE_PRIVATE_H

#include "base/metrics.h"
#include "math/crew.h"
#include "serve/admission.h"
#include "serve/clients.h"
#include "serve/engine.h"
#include "serve/request.h"
#include "serve/scheduler.h"
#include "serve/sequence.h"

#include <pthread.h>
#include <stdatomic.h>

/* A model that a thread steps: its working memory there. */
struct lane {
	struct registry_entry *model; /* a reference, or NULL: free */
	struct model_scratch *scratch;
	struct sampler *sampler;
	real *logits; /* [batch, vocab] */
	size_t sequences;
};

struct engine_thread {
	struct engine *engine;
	pthread_t thread;
	bool started;
	struct queue *inbox;
	atomic_size_t load; /* weights of what it has, waiting or active */

	pthread_mutex_t lock; /* kicked is set under it, and waited for */
	pthread_cond_t cond;
	atomic_bool kicked;

	/* The thread's own from here on. */
	struct clients clients; /* of requests that wait or run here */
	struct scheduler_door door;
	struct scheduler_head *heads; /* [2 * clients.room] */
	size_t heads_room;
	size_t n_waiting;
	uint64_t arrivals;
	int64_t soonest;	  /* deadline of those that wait, or earlier */
	struct sequence **active; /* [n_active] of limits.slots */
	size_t n_active;
	size_t held[SCHEDULER_PRIORITIES]; /* n_active, by priority */
	struct sequence **aside;	   /* [limits.slots] to reorder with */
	struct scheduler_slot *slots;	   /* [limits.slots] as planned on */
	struct scheduler_share *shares;	   /* [clients.room] to plan with */
	struct scheduler_turn *turns;	   /* [limits.batch] */
	struct scheduler_lane *plans;	   /* [n_lanes] */
	struct lane *lanes;		   /* [n_lanes] */
	size_t n_lanes;
	uint32_t *tokens;	/* [limits.batch] rows of one model step */
	real **states;		/* [limits.batch] */
	real **logits;		/* [limits.batch] */
	struct sequence **rows; /* [limits.batch] */
	uint64_t round;
	int64_t now;			 /* monotonic ns, of this round */
	bool looks;			 /* kicked: flags may have been set */
	bool published;			 /* events since the last wake */
	size_t told_active, told_paused; /* in the engine's sums */
};

enum engine_metric { BATCH_SIZE, QUEUE_SECONDS, COMMIT_SECONDS };

struct engine {
	struct scheduler_limits limits;
	void (*wake)(void *arg);
	void *wake_arg;
	struct metrics *metrics;
	size_t n_threads;
	struct engine_thread *threads; /* [n_threads] */
	struct crew *crew; /* of the threads, or NULL: one, or too many */

	_Atomic(struct generate_request *) ready; /* a stack, newest first */
	atomic_bool draining, cancelling, stopping;
	struct admission admission;

	pthread_mutex_t lock; /* with idle: for the last end */
	pthread_cond_t idle;
	atomic_size_t active;

	atomic_ullong steps, n_rows, prompt_tokens, generated_tokens;
	atomic_ullong requests, cancelled, failed;
	atomic_size_t slots_active, slots_paused;
};

/* engine.c */
void engine_kick_thread(struct engine_thread *t);
/* The thread's number: 0 .. n_threads - 1. */
unsigned engine_member(const struct engine_thread *t);

/* engine_queue.c: what came in begins to wait. */
void engine_take_inbox(struct engine_thread *t);
/* Those that wait in vain end. */
void engine_sort_out(struct engine_thread *t);
/* Who joins: line up gives the number of heads, next takes the one that is to
 * join off the queue, or NULL. Its client holds its slots from now on. */
size_t engine_line_up(struct engine_thread *t);
struct generate_request *engine_next(struct engine_thread *t, size_t *n_heads);
/* A request's slots, or some, are free again. */
void engine_let_go(
	struct engine_thread *t, struct generate_request *r, size_t slots);
int64_t engine_queue_deadline(const struct generate_request *r);

/* engine_end.c: put a request into the ready list, if it has got events since
 * it was last put there; who woke the reader for those before need not know. */
void engine_publish_new(struct engine_thread *t, struct generate_request *r);
extern const struct error engine_shutting_down, engine_cancelled;
/* The request has left its slots: commit or let go of its session, then put
 * ENDED. error NULL leaves what result.error says. `state` is what the session
 * advances to, NULL to leave it. The thread touches the request no more. */
void engine_end(struct engine_thread *t, struct generate_request *r,
	const struct error *error, const struct session_state *state);

/* lane.c */
int lane_find(struct engine_thread *t, struct registry_entry *model,
	size_t *index, struct error *err);
/* Close lanes that nobody uses and whose model was retired; or all. */
void lanes_trim(struct engine_thread *t, bool all);
/* One step of a lane: `turns` of the scheduler. */
void lane_step(struct engine_thread *t, struct lane *lane, size_t n_turns);

/* engine_thread.c */
void *engine_thread_main(void *arg);

#endif
