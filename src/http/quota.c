#include "http/quota.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define SETS 2048
#define WAYS 4
#define MINUTE 60000.0 /* ms */

struct usage {
	uint64_t client;
	uint64_t seen;		 /* ms; 0: free */
	double requests, tokens; /* left; of tokens perhaps a debt */
	uint64_t generations;	 /* under way */
};

struct quota {
	struct quota_options o;
	struct usage all[SETS][WAYS];
};

int quota_open(
	struct quota **out, const struct quota_options *o, struct error *err)
{
	struct quota *q = calloc(1, sizeof(*q));

	if (!q)
		return error_set_memory(err, "quotas", sizeof(*q));
	q->o = *o;
	*out = q;
	return 0;
}

void quota_close(struct quota *q)
{
	free(q);
}

static double refill(double left, uint64_t per_minute, double ms)
{
	return fmin(
		(double)per_minute, left + (double)per_minute * ms / MINUTE);
}

/* Who makes room for another: nobody who has something under way if that can
 * be helped, and who was not seen for longest. */
static bool goes_first(const struct usage *a, const struct usage *b)
{
	if (!a->generations != !b->generations)
		return !a->generations;
	return a->seen < b->seen;
}

static struct usage *find(struct quota *q, uint64_t client, uint64_t now)
{
	struct usage *set = q->all[client % SETS], *u = NULL, *oldest = set;

	now += !now; /* 0 is free */
	for (struct usage *at = set; at < set + WAYS; at++) {
		if (at->seen && at->client == client)
			u = at;
		if (goes_first(at, oldest))
			oldest = at;
	}
	if (!u) {
		u = oldest;
		*u = (struct usage){ .client = client,
			.requests = (double)q->o.requests_per_minute,
			.tokens = (double)q->o.tokens_per_minute };
	} else if (now > u->seen) {
		double ms = (double)(now - u->seen);

		u->requests = refill(u->requests, q->o.requests_per_minute, ms);
		u->tokens = refill(u->tokens, q->o.tokens_per_minute, ms);
	}
	u->seen = now;
	return u;
}

/* Until there is `want` in a bucket. */
static unsigned seconds(double left, double want, uint64_t per_minute)
{
	double s = ceil((want - left) * 60 / (double)per_minute);

	return s < 1 ? 1 : s > 86400 ? 86400 : (unsigned)s;
}

unsigned quota_request(struct quota *q, uint64_t client, uint64_t now)
{
	struct usage *u;

	if (!q->o.requests_per_minute)
		return 0;
	u = find(q, client, now);
	if (u->requests < 1)
		return seconds(u->requests, 1, q->o.requests_per_minute);
	u->requests--;
	return 0;
}

unsigned quota_generation(
	struct quota *q, uint64_t client, uint64_t now, enum quota_limit *limit)
{
	struct usage *u;

	if (!q->o.tokens_per_minute && !q->o.generations)
		return 0;
	u = find(q, client, now);
	*limit = QUOTA_GENERATIONS;
	if (q->o.generations && u->generations >= q->o.generations)
		return 1;
	*limit = QUOTA_TOKENS;
	if (q->o.tokens_per_minute && u->tokens < 1)
		return seconds(u->tokens, 1, q->o.tokens_per_minute);
	return 0;
}

void quota_begin(struct quota *q, uint64_t client, uint64_t now)
{
	if (q->o.generations)
		find(q, client, now)->generations++;
}

void quota_end(struct quota *q, uint64_t client, uint64_t now)
{
	struct usage *u;

	if (!q->o.generations)
		return;
	u = find(q, client, now);
	u->generations -= u->generations > 0;
}

void quota_spend(
	struct quota *q, uint64_t client, uint64_t now, uint64_t tokens)
{
	if (q->o.tokens_per_minute)
		find(q, client, now)->tokens -= (double)tokens;
}
