/* Steps: which models take their turn, and which of their slots are fed. */
#include "serve/scheduler.h"

#define ONE_ROW ((uint64_t)1 << 20) /* of credit */

static bool is_hurried(const struct scheduler_slot *s)
{
	return s->priority == SCHEDULER_INTERACTIVE && s->waits_first &&
	       s->prompt <= SCHEDULER_SHORT_PROMPT;
}

static bool is_long_prompt(const struct scheduler_slot *s)
{
	return s->priority == SCHEDULER_INTERACTIVE &&
	       s->prompt > SCHEDULER_SHORT_PROMPT;
}

void scheduler_survey(const struct scheduler_slot *slots, size_t n,
	struct scheduler_lane *lanes, size_t n_lanes)
{
	for (size_t i = 0; i < n_lanes; i++) {
		struct scheduler_lane *l = &lanes[i];

		l->runnable = l->bulk = l->generating = 0;
		l->hurried = l->long_prompts = 0;
		l->prompt_left = UINT64_MAX;
	}
	for (size_t i = 0; i < n; i++) {
		const struct scheduler_slot *s = &slots[i];
		struct scheduler_lane *l = &lanes[s->model];

		if (!s->runnable)
			continue;
		l->runnable++;
		l->bulk += s->priority == SCHEDULER_BULK;
		l->generating += !s->prompt;
		l->hurried += is_hurried(s);
		l->long_prompts += is_long_prompt(s);
		if (s->prompt && s->prompt < l->prompt_left)
			l->prompt_left = s->prompt;
	}
}

bool scheduler_takes_turn(
	struct scheduler_lane *lanes, size_t n_lanes, size_t i)
{
	struct scheduler_lane *l = &lanes[i];
	bool bulk_only = l->bulk == l->runnable;
	bool yields = false;

	for (size_t j = 0; j < n_lanes && !yields; j++) {
		const struct scheduler_lane *other = &lanes[j];

		if (j == i || other->bulk == other->runnable)
			continue;
		yields = bulk_only ||
			 (other->hurried &&
				 l->bulk + l->long_prompts == l->runnable);
	}
	if (yields && l->skipped < SCHEDULER_PART - 1) {
		l->skipped += l->runnable > 0;
		return false;
	}
	l->skipped = 0;
	return l->runnable > 0;
}

size_t scheduler_chunk(const struct scheduler_limits *l,
	const struct scheduler_lane *lanes, size_t n_lanes, size_t i,
	bool others_wait)
{
	size_t chunk = l->chunk;

	if (others_wait || chunk < 1)
		return 1;
	for (size_t j = 0; j < n_lanes; j++)
		if (lanes[j].generating || (j != i && lanes[j].hurried))
			return 1;
	if (lanes[i].prompt_left < chunk)
		chunk = (size_t)lanes[i].prompt_left;
	return chunk;
}

/* Rows of the step that are bulk's, when not all slots fit in. */
static size_t rows_of_bulk(const struct scheduler_limits *l,
	struct scheduler_lane *lane, size_t bulk, size_t interactive)
{
	uint64_t part = ONE_ROW * l->batch / SCHEDULER_PART, even;
	size_t rows;

	if (!bulk)
		return 0;
	if (!interactive)
		return bulk < l->batch ? bulk : l->batch;
	even = ONE_ROW * l->batch * bulk / (bulk + interactive);
	lane->credit += even < part ? even : part;
	rows = (size_t)(lane->credit / ONE_ROW);
	lane->credit %= ONE_ROW;
	if (rows > bulk)
		rows = bulk;
	if (l->batch - rows > interactive)
		rows = l->batch - interactive;
	return rows;
}

/* As many to each client as it wants or its even part, whichever is less. */
static size_t share_evenly(struct scheduler_share *shares, size_t n,
	enum scheduler_priority p, size_t rows)
{
	size_t open = 0, each;

	for (size_t c = 0; c < n; c++)
		open += shares[c].want[p] > 0;
	while (open && (each = rows / open) > 0) {
		open = 0;
		for (size_t c = 0; c < n; c++) {
			struct scheduler_share *s = &shares[c];
			size_t more = s->want[p] - s->get[p];

			if (more > each)
				more = each;
			s->get[p] += more;
			rows -= more;
			open += s->want[p] > s->get[p];
		}
	}
	return rows;
}

/* Fewer rows than clients are left: they go round. */
static void share_rest(struct scheduler_share *shares, size_t n,
	enum scheduler_priority p, size_t rows, size_t *cursor)
{
	size_t start = *cursor;

	for (size_t i = 0; i < n && rows; i++) {
		size_t c = (start + i) % n;

		if (shares[c].want[p] == shares[c].get[p])
			continue;
		shares[c].get[p]++;
		rows--;
		*cursor = (c + 1) % n;
	}
}

static void share_out(const struct scheduler_limits *l,
	struct scheduler_lane *lane, const size_t count[SCHEDULER_PRIORITIES],
	struct scheduler_share *shares, size_t n_clients)
{
	size_t bulk = rows_of_bulk(
		l, lane, count[SCHEDULER_BULK], count[SCHEDULER_INTERACTIVE]);
	const size_t rows[SCHEDULER_PRIORITIES] = {
		[SCHEDULER_INTERACTIVE] = l->batch - bulk,
		[SCHEDULER_BULK] = bulk,
	};

	for (int i = 0; i < SCHEDULER_PRIORITIES; i++) {
		enum scheduler_priority p = (enum scheduler_priority)i;
		size_t rest = share_evenly(shares, n_clients, p, rows[p]);

		share_rest(shares, n_clients, p, rest, &lane->cursor[p]);
	}
}

static struct scheduler_turn turn_of(
	const struct scheduler_slot *slots, size_t i, size_t chunk)
{
	uint64_t prompt = slots[i].prompt;
	size_t tokens = prompt < chunk ? (size_t)prompt : chunk;

	return (struct scheduler_turn){ i, tokens ? tokens : 1 };
}

/* More can run than the batch takes. */
static size_t plan_crowd(const struct scheduler_limits *l,
	const struct scheduler_slot *slots, size_t n, size_t model,
	size_t chunk, struct scheduler_lane *lane,
	struct scheduler_share *shares, size_t n_clients,
	struct scheduler_turn *turns)
{
	size_t count[SCHEDULER_PRIORITIES] = { 0 };
	size_t planned = 0;

	for (size_t c = 0; c < n_clients; c++)
		shares[c] = (struct scheduler_share){ 0 };
	for (size_t i = 0; i < n; i++)
		if (slots[i].runnable && slots[i].model == model) {
			count[slots[i].priority]++;
			shares[slots[i].client].want[slots[i].priority]++;
		}
	share_out(l, lane, count, shares, n_clients);
	for (size_t i = 0; i < n && planned < l->batch; i++) {
		size_t *get = &shares[slots[i].client].get[slots[i].priority];

		if (!slots[i].runnable || slots[i].model != model || !*get)
			continue;
		--*get;
		turns[planned++] = turn_of(slots, i, chunk);
	}
	return planned;
}

size_t scheduler_plan(const struct scheduler_limits *l,
	const struct scheduler_slot *slots, size_t n, size_t model,
	size_t chunk, struct scheduler_lane *lane,
	struct scheduler_share *shares, size_t n_clients,
	struct scheduler_turn *turns)
{
	size_t planned = 0;

	if (lane->runnable > l->batch)
		return plan_crowd(l, slots, n, model, chunk, lane, shares,
			n_clients, turns);
	for (size_t i = 0; i < n && planned < lane->runnable; i++)
		if (slots[i].runnable && slots[i].model == model)
			turns[planned++] = turn_of(slots, i, chunk);
	return planned;
}
