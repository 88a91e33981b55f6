/*
 * What one client (a key's name, or without keys an address) may use in a
 * minute, and how much at once. Two buckets that fill steadily: of requests,
 * and of tokens. Tokens are known at a request's end only, so they may go into
 * debt, and the next request waits till it is paid. Loop thread.
 */
#ifndef HTTP_QUOTA_H
#define HTTP_QUOTA_H

#include "base/error.h"

#include <stdint.h>

struct quota_options { /* 0: no limit */
	uint64_t requests_per_minute;
	uint64_t tokens_per_minute;
	uint64_t generations; /* at once */
};

enum quota_limit { QUOTA_REQUESTS, QUOTA_TOKENS, QUOTA_GENERATIONS };

struct quota;

int quota_open(
	struct quota **q, const struct quota_options *o, struct error *err);
void quota_close(struct quota *q);

/* A request came: 0, or the seconds (>= 1) after which to come again. */
unsigned quota_request(struct quota *q, uint64_t client, uint64_t now);
/* It wants to generate: 0, or those seconds and which limit it was. */
unsigned quota_generation(struct quota *q, uint64_t client, uint64_t now,
	enum quota_limit *limit);
/* One began; it ended, having used so many tokens. */
void quota_begin(struct quota *q, uint64_t client, uint64_t now);
void quota_end(struct quota *q, uint64_t client, uint64_t now);
void quota_spend(
	struct quota *q, uint64_t client, uint64_t now, uint64_t tokens);

#endif
