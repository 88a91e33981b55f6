/* All under one lock, held for a few instructions. */
#include "serve/admission.h"

#include "serve/request.h"

void admission_init(struct admission *a)
{
	pthread_mutex_init(&a->lock, NULL);
}

void admission_release(struct admission *a)
{
	clients_release(&a->clients);
	pthread_mutex_destroy(&a->lock);
}

static int refuse(struct admission *a, const struct scheduler_limits *l,
	size_t of_client, struct error *err)
{
	atomic_fetch_add(&a->rejected, 1);
	if (a->queued >= l->queue)
		return error_set(err, ERROR_OVERLOADED,
			"%zu requests wait already, at most %zu may: try later",
			a->queued, l->queue);
	return error_set(err, ERROR_OVERLOADED,
		"%zu requests of yours wait already, at most %zu may: try "
		"later",
		of_client, l->queue_per_client);
}

int admission_enter(struct admission *a, const struct scheduler_limits *l,
	uint64_t id, enum scheduler_priority priority, bool room,
	uint32_t *client, struct error *err)
{
	int64_t now = monotonic_ns();
	struct client *k;
	int rc;

	pthread_mutex_lock(&a->lock);
	if (!a->queued) {
		a->began = now;
		a->n_left = 0;
	}
	rc = clients_find(&a->clients, id, client, err);
	if (rc == 0) {
		k = &a->clients.list[*client];
		if (scheduler_accepts(l, a->queued, k->waiting, room)) {
			a->queued++;
			k->waiting++;
			atomic_fetch_add(&a->waiting[priority], 1);
		} else {
			rc = refuse(a, l, k->waiting, err);
			clients_settle(&a->clients, *client);
		}
	}
	pthread_mutex_unlock(&a->lock);
	return rc;
}

void admission_leave(
	struct admission *a, uint32_t client, enum scheduler_priority priority)
{
	int64_t now = monotonic_ns();

	pthread_mutex_lock(&a->lock);
	a->queued--;
	atomic_fetch_sub(&a->waiting[priority], 1);
	a->clients.list[client].waiting--;
	clients_settle(&a->clients, client);
	a->left[a->n_left++ % ADMISSION_LEFT] = now;
	pthread_mutex_unlock(&a->lock);
}

size_t admission_queued(const struct admission *a)
{
	size_t n = 0;

	for (size_t p = 0; p < SCHEDULER_PRIORITIES; p++)
		n += atomic_load(&a->waiting[p]);
	return n;
}

unsigned admission_retry_after(struct admission *a)
{
	size_t left, queued;
	int64_t since;

	pthread_mutex_lock(&a->lock);
	since = a->began;
	left = a->n_left < ADMISSION_LEFT ? (size_t)a->n_left : ADMISSION_LEFT;
	if (left == ADMISSION_LEFT)
		since = a->left[a->n_left % ADMISSION_LEFT];
	queued = a->queued;
	pthread_mutex_unlock(&a->lock);
	return scheduler_retry_after(queued, left, monotonic_ns() - since);
}
