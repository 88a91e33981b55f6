/* A request to /v1/score: what of it a worker does. */
#ifndef HTTP_SCORE_RUN_H
#define HTTP_SCORE_RUN_H

#include "http/call.h"
#include "serve/session_branch.h"

#define SCORE_BATCH 128 /* texts */

struct score_params {
	const json_t *text;
	struct request_text prefix;
	const char *model, *session, *user;
	int64_t logprobs;
	int unknown, priority;
};

struct score_member {
	struct api_reader reader;
	struct score_run *run;
	struct generate_request *request;
	bool submitted, late;
};

struct score_run {
	struct score_run *next, *prev;
	struct call *call;
	json_t *json; /* what params borrow from */
	struct score_params params;
	bool has_logprobs;
	struct registry_entry *model; /* a reference */
	struct session_info info;
	struct session_state start; /* with a session */
	size_t n_texts, next_text;
	json_t *results;
	uint64_t tokens, skipped, values;
	struct score_member members[SCORE_BATCH];
	size_t n, submitted, running;
	struct error err; /* of a worker */
	char id[40];
	/* The loop's: a worker has the members; and all is to stop. */
	bool listed, at_worker, stopped;
};

/* The texts are such, and few enough: 0, or -1. */
int score_run_check(struct score_run *r, struct error *err);
/* The model, or that of the session, which gives the start. */
int score_run_find_model(struct score_run *r, struct error *err);
/* Tokenise the next texts; what goes wrong is in r->err. */
void score_run_open_batch(struct score_run *r);
/* Add what was scored to the results, and close it. */
void score_run_describe_batch(struct score_run *r);
/* All results, as the call's answer. */
void score_run_answer(struct score_run *r);

#endif
