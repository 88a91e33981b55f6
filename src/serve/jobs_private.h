/*
 * What jobs*.c share. Two locks: `ledger` is held by whoever changes records,
 * over the COMMIT; `lock`, taken inside it, guards the table and is held for
 * moments only, so that the loop may take it.
 */
#ifndef SERVE_JOBS_PRIVATE_H
#define SERVE_JOBS_PRIVATE_H

#include "serve/jobs.h"
#include "serve/wake.h"
#include "serve/worker.h"

#include "base/metrics.h"

#include <limits.h>
#include <pthread.h>

/* Where a job's texts and base are; what its body borrows. */
struct job_sources {
	struct job job; /* as it was when it began: what doesn't change */
	char dir[PATH_MAX], base[PATH_MAX];
	char training[PATH_MAX], validation[PATH_MAX];
	struct file_info files[2]; /* training, validation */
	json_t *about;		   /* owned */
};

/* How its jobs stand against others': under the lock. */
struct job_owner {
	char name[SESSION_OWNER_MAX + 1];
	size_t jobs;	  /* of the table */
	unsigned running; /* that are claimed */
	uint64_t turn;	  /* of the one that began last */
};

struct job_entry {
	struct worker_job work; /* first */
	struct jobs *jobs;
	struct job job;		 /* under the lock */
	struct job_owner *owner; /* while it is in the table */
	atomic_bool stop;	 /* of its slice: polled at every step */
	/* Loop thread, written under the lock: */
	bool claimed;	 /* it has one of the places of those that run */
	bool at_work;	 /* a slice is in the pool */
	uint64_t queued; /* its place among its owner's jobs: a count */
	uint64_t turn;	 /* when it last began to run: likewise; 0: never */
	/* The thread of its slice: */
	struct finetune *body;	     /* NULL between runs */
	struct job_sources *sources; /* owned; with the body */
	double begun; /* seconds of training at the begin of its turn */
	bool more;    /* what the slice says of the next */
	bool held[2]; /* its files are held; under the ledger */
};

struct jobs {
	struct jobs_options o;
	char *work, *models; /* owned: directories */
	pthread_mutex_t ledger, lock;
	struct job_entry **entries; /* [n] owned, oldest first */
	size_t n, cap;
	struct job_owner **owners; /* [n_owners] owned, sorted by name */
	size_t n_owners;
	uint64_t orders, turns; /* turns: of queued and turn */
	unsigned n_at_work;
	_Atomic unsigned n_running;
	atomic_bool stopping;
	struct wake *wake;    /* owned; freed when closed */
	struct workers *pool; /* libuv's, owned: those that train, one that
			       * validates */
	struct metrics *metrics;
};

struct job_note {
	const char *level; /* info, warn, error */
	const char *message;
	json_t *data;	 /* of metrics; owned by whoever commits; or NULL */
	bool checkpoint; /* it is one, too */
};

/* jobs.c. Under the ledger: store the record, with notes as its new events,
 * then show it. What is released is `next`. */
int jobs_commit(struct jobs *j, struct job_entry *e, struct job *next,
	const struct job_note *notes, size_t n_notes, struct error *err);
/* A copy to change; under the ledger. */
void jobs_draft(struct jobs *j, struct job_entry *e, struct job *next);
#define JOBS_KEY_PREFIX "job/"
struct job_entry *jobs_entry_new(struct jobs *j);
void jobs_entry_free(struct job_entry *e);
/* Under the lock. */
int jobs_entry_add(struct jobs *j, struct job_entry *e, struct error *err);
/* Under the ledger. */
int jobs_hold_files(struct jobs *j, struct job_entry *e, struct error *err);
void jobs_changed(struct jobs *j);
int64_t jobs_now(void);
/* Files are let go of and its directory removed; under the ledger. */
void jobs_clean(struct jobs *j, struct job_entry *e);

/* jobs_models.c */
int jobs_model_path(
	const struct jobs *j, const struct job *job, char *path, size_t size);
void jobs_remove_model(struct jobs *j, const struct job *job);
/* The model of the checkpoint that its body tells of. */
void jobs_publish_checkpoint(struct job_entry *e, uint64_t step);
/* All of the job's go but for the newest, and for what an alias leads to. */
void jobs_keep_checkpoints(struct jobs *j, const struct job *job, size_t keep);

/* jobs_sweep.c */
void jobs_remove_work(const struct jobs *j, const char *id);
void jobs_sweep(struct jobs *j);

/* jobs_log.c */
int jobs_log_changes(struct job *next, const struct job_note *notes, size_t n,
	struct store_change *changes, size_t *n_changes, struct error *err);
void jobs_log_free(struct store_change *changes, size_t n);
int jobs_log_forget(struct jobs *j, const char *id, struct error *err);
#define JOBS_NOTE_CHANGES 2 /* at most, of a note */

/* jobs_owners.c: under the lock, when an entry comes and goes. */
int jobs_owner_join(struct jobs *j, struct job_entry *e, struct error *err);
void jobs_owner_leave(struct jobs *j, struct job_entry *e);

/* jobs_run.c */
void jobs_schedule(struct jobs *j);
/* jobs_request.c: of e->sources, which it makes. */
int jobs_make_request(
	struct job_entry *e, struct finetune_request *r, struct error *err);

/* jobs_slice.c: on the pool; sets e->more. */
void jobs_on_event(void *entry, const struct finetune_event *event);
void jobs_slice(struct job_entry *e);
void jobs_close_body(struct job_entry *e);

/* jobs_metrics.c */
int jobs_metrics_open(struct jobs *j, struct error *err);
void jobs_metrics_slice(struct jobs *j, double seconds, uint64_t tokens);

#endif
