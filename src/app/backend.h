/*
 * What the API serves from: models, session store, engine. Opened and closed
 * as one, in the order that they need each other.
 */
#ifndef APP_BACKEND_H
#define APP_BACKEND_H

#include "app/config.h"
#include "math/kernels.h"
#include "serve/aliases.h"
#include "serve/caption_queue.h"
#include "serve/files.h"
#include "serve/jobs.h"
#include "store/writer.h"

struct backend {
	struct registry *registry;
	struct store *store;
	struct store_writer *writer;
	struct sessions *sessions;
	struct engine *engine;
	/* What fine-tuning needs: without it the rest is served all the same,
	 * and jobs_fault says why it is not there. */
	struct store_shared *jobs_store; /* keys file/ID and job/ID */
	struct files *files;
	struct aliases *aliases;
	char *made_dir; /* owned; of models that jobs made */
	struct jobs *jobs;
	struct error jobs_fault; /* code ERROR_NONE: they are there */
	struct caption_queue *captions;
};

/* Reads files: not on the loop. `wake` is the engine's. On failure all is
 * closed again. */
int backend_open(struct backend *b, const struct config *c,
	void (*wake)(void *arg), void *wake_arg, struct error *err);
/* Read the models again: new and changed files are loaded, vanished ones
 * unloaded. Faults are logged. Not on the loop. */
void backend_reload(struct backend *b, const struct config *c);
/* The engine ends: `wake` is not called any more. Then, when nobody uses the
 * rest any more, backend_close. Both are fine on what was never opened. */
void backend_stop(struct backend *b);
void backend_close(struct backend *b);

/* The body of a request that the default model can answer, for a shell's
 * single quotes. */
void backend_example(const struct backend *b, char *out, size_t size);

#endif
