/*
 * A share of work, from an owner to a helper:
 *
 *   FREE -> OFFERED [crew_products]     OFFERED -> FREE [owner takes it back]
 *   OFFERED -> TAKEN [crew_help]        TAKEN -> DONE [helper finished]
 *   DONE -> FREE [owner copied it]      TAKEN -> GIVEN_UP [owner waited long]
 *   GIVEN_UP -> FREE [helper finished: nobody wants it]
 *
 * Fields of a share belong to the owner while FREE, OFFERED or DONE, to the
 * helper while TAKEN or GIVEN_UP.
 */
#include "math/crew.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_NS 30000 /* for a helper that has begun */
#define LOOKS_PER_CLOCK 64

enum state { FREE, OFFERED, TAKEN, DONE, GIVEN_UP };

struct part {
	struct product product; /* of the view; x, its rounded form, x_scale
				 * and y are the share's own */
	struct packed view;	/* some panels of the weights */
	size_t column;		/* the view's first */
	const real *rows[CREW_MAX_ROWS];
};

struct share {
	_Alignas(64) _Atomic int state;
	size_t n;
	struct part parts[CREW_MAX_PRODUCTS];
	real *reals;	/* [max_reals] copies of x and y */
	uint8_t *bytes; /* [max_reals] copies of rounded x */
	float *scales;	/* [max_reals] copies of x_scale */
};

struct member {
	_Alignas(64) atomic_bool listening;
	atomic_bool idle; /* sleeps, and may be roused once */
};

struct crew {
	unsigned members;
	size_t max_reals;
	void (*wake)(void *arg, unsigned member);
	void *arg;
	struct member *each;  /* [members] */
	struct share *shares; /* [owner * members + helper] */
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

int crew_open(struct crew **out, unsigned members, size_t max_reals,
	void (*wake)(void *arg, unsigned member), void *arg, struct error *err)
{
	const size_t n = (size_t)members * members;
	struct crew *c = calloc(1, sizeof(*c));

	*out = NULL;
	if (!c)
		return error_set_memory(err, "crew", sizeof(*c));
	*c = (struct crew){ members, max_reals, wake, arg, NULL, NULL };
	c->each = aligned_alloc(64, members * sizeof(*c->each));
	c->shares = aligned_alloc(64, n * sizeof(*c->shares));
	if (!c->each || !c->shares)
		goto memory;
	memset(c->each, 0, members * sizeof(*c->each));
	memset(c->shares, 0, n * sizeof(*c->shares));
	for (size_t i = 0; i < n; i++) {
		struct share *s = &c->shares[i];

		if (i / members == i % members)
			continue;
		s->reals = malloc(max_reals * sizeof(real));
		s->bytes = malloc(max_reals);
		s->scales = malloc(max_reals * sizeof(float));
		if (!s->reals || !s->bytes || !s->scales)
			goto memory;
	}
	*out = c;
	return 0;
memory:
	crew_close(c);
	return error_set_memory(err, "crew", n * max_reals * sizeof(real));
}

void crew_close(struct crew *c)
{
	const size_t n = c ? (size_t)c->members * c->members : 0;

	if (!c)
		return;
	for (size_t i = 0; c->shares && i < n; i++) {
		free(c->shares[i].reals);
		free(c->shares[i].bytes);
		free(c->shares[i].scales);
	}
	free(c->shares);
	free(c->each);
	free(c);
}

/* What has been taken of a share's memory. */
struct taken {
	size_t reals, bytes, scales;
};

/* Copy x in the form that the weights take. */
static void hand_out_x(struct share *s, struct product *to,
	const struct product *p, struct taken *t)
{
	const size_t k = p->w->k, row = kernels_rounded(p->w->type, k);
	real *x = s->reals + t->reals;

	if (!row) {
		for (size_t r = 0; r < p->m; r++)
			memcpy(x + r * k, p->x + r * p->ldx, k * sizeof(real));
		to->x = x;
		to->ldx = k;
		t->reals += p->m * k;
		return;
	}
	to->rounded = memcpy(s->bytes + t->bytes, p->rounded, p->m * row);
	t->bytes += p->m * row;
	if (!p->x_scale)
		return;
	to->x_scale =
		memcpy(s->scales + t->scales, p->x_scale, p->m * sizeof(float));
	t->scales += p->m;
}

/* Copy what the helper reads, and where it continues a sum. False when the
 * share has no room for it. */
static bool hand_out(struct crew *c, struct share *s, const struct product *p,
	size_t n, unsigned part, unsigned parts)
{
	struct taken t = { 0 };

	s->n = n;
	for (size_t i = 0; i < n; i++) {
		const size_t k = p[i].w->k, m = p[i].m;
		struct part *to = &s->parts[i];
		size_t columns;

		to->view = packed_view(p[i].w, p[i].w->panels * part / parts,
			p[i].w->panels * (part + 1) / parts, &to->column);
		columns = to->view.n;
		if (m > CREW_MAX_ROWS ||
			t.reals + m * (k + columns) > c->max_reals ||
			t.bytes + m * kernels_rounded(p[i].w->type, k) >
				c->max_reals ||
			t.scales + m > c->max_reals)
			return false;
		to->product = p[i];
		to->product.w = &to->view;
		if (p[i].bias)
			to->product.bias = p[i].bias + to->column;
		for (size_t r = 0; r < m && p[i].init == PRODUCT_ROWS; r++)
			to->rows[r] = p[i].rows[r] + to->column;
		to->product.rows = to->rows;
		hand_out_x(s, &to->product, &p[i], &t);
		to->product.y = s->reals + t.reals;
		to->product.ldy = columns;
		for (size_t r = 0; r < m && p[i].init == PRODUCT_ADD; r++)
			memcpy(to->product.y + r * columns,
				p[i].y + r * p[i].ldy + to->column,
				columns * sizeof(real));
		t.reals += m * columns;
	}
	return true;
}

static void take_back(const struct share *s, const struct product *p)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct part *from = &s->parts[i];
		const size_t columns = from->product.ldy;

		for (size_t r = 0; r < p[i].m; r++)
			memcpy(p[i].y + r * p[i].ldy + from->column,
				from->product.y + r * columns,
				columns * sizeof(real));
	}
}

static void compute(
	const struct product *p, size_t n, unsigned part, unsigned parts)
{
	for (size_t i = 0; i < n; i++)
		kernels()->product(&p[i], p[i].w->panels * part / parts,
			p[i].w->panels * (part + 1) / parts);
}

static void rouse(struct crew *c, unsigned helper)
{
	struct member *m = &c->each[helper];

	if (atomic_load_explicit(&m->idle, memory_order_relaxed) &&
		atomic_exchange(&m->idle, false))
		c->wake(c->arg, helper);
}

/* Wait for a share that was offered; true when its result is there. */
static bool collect(struct share *s)
{
	int state = OFFERED;
	int64_t end;

	if (atomic_compare_exchange_strong(&s->state, &state, FREE))
		return false;
	end = now_ns() + WAIT_NS;
	while (atomic_load_explicit(&s->state, memory_order_acquire) != DONE) {
		for (int i = 0; i < LOOKS_PER_CLOCK &&
				atomic_load_explicit(&s->state,
					memory_order_relaxed) != DONE;
			i++)
			pause_cpu();
		if (now_ns() < end)
			continue;
		state = TAKEN;
		if (atomic_compare_exchange_strong(&s->state, &state, GIVEN_UP))
			return false;
	}
	return true;
}

void crew_products(
	struct crew *c, unsigned member, const struct product *p, size_t n)
{
	struct share *shares = &c->shares[(size_t)member * c->members];
	unsigned helpers[64], count = 0;

	for (unsigned i = 0; i < c->members && count < 64; i++) {
		if (i == member)
			continue;
		if (!atomic_load_explicit(
			    &c->each[i].listening, memory_order_relaxed))
			rouse(c, i);
		else if (atomic_load_explicit(&shares[i].state,
				 memory_order_acquire) == FREE)
			helpers[count++] = i;
	}
	for (unsigned h = 0; h < count; h++) {
		struct share *s = &shares[helpers[h]];

		if (!hand_out(c, s, p, n, h + 1, count + 1)) {
			compute(p, n, h + 1, count + 1);
			helpers[h] = member;
			continue;
		}
		atomic_store_explicit(&s->state, OFFERED, memory_order_release);
	}
	compute(p, n, 0, count + 1);
	for (unsigned h = 0; h < count; h++) {
		struct share *s = &shares[helpers[h]];

		if (helpers[h] == member)
			continue;
		if (!collect(s)) {
			compute(p, n, h + 1, count + 1);
			continue;
		}
		take_back(s, p);
		atomic_store_explicit(&s->state, FREE, memory_order_release);
	}
}

static bool help_once(struct crew *c, unsigned member)
{
	bool helped = false;

	for (unsigned owner = 0; owner < c->members; owner++) {
		struct share *s =
			&c->shares[(size_t)owner * c->members + member];
		int state = OFFERED;

		if (atomic_load_explicit(&s->state, memory_order_relaxed) !=
				OFFERED ||
			!atomic_compare_exchange_strong(
				&s->state, &state, TAKEN))
			continue;
		for (size_t i = 0; i < s->n; i++)
			kernels_product(&s->parts[i].product);
		state = TAKEN;
		if (!atomic_compare_exchange_strong(&s->state, &state, DONE))
			atomic_store(&s->state, FREE);
		helped = true;
	}
	return helped;
}

void crew_help(struct crew *c, unsigned member, uint64_t idle_ns,
	bool (*busy)(void *arg), void *arg)
{
	struct member *m = &c->each[member];
	int64_t end = now_ns() + (int64_t)idle_ns;

	atomic_store(&m->listening, true);
	while (!busy(arg)) {
		bool helped = false;

		for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
			helped |= help_once(c, member);
			pause_cpu();
		}
		if (helped)
			end = now_ns() + (int64_t)idle_ns;
		else if (now_ns() >= end)
			break;
	}
	atomic_store(&m->listening, false);
}

void crew_set_idle(struct crew *c, unsigned member, bool idle)
{
	atomic_store(&c->each[member].idle, idle);
}

void crew_settle(struct crew *c, unsigned member)
{
	for (unsigned i = 0; i < c->members; i++) {
		struct share *s = &c->shares[(size_t)member * c->members + i];

		while (atomic_load_explicit(&s->state, memory_order_acquire) !=
			FREE)
			pause_cpu();
	}
}
