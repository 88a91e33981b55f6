/* What a daemon sets of its process as a whole, and of its loop's thread. */
#ifndef APP_PROCESS_H
#define APP_PROCESS_H

#include "app/config.h"

/* Before there are threads: signals, allocation, descriptors, uv's pool. */
void process_prepare(const struct config *c);

/* No more connections than there are descriptors for, with some left for files
 * and the loop. */
void process_fit_connections(struct server_options *o);

/* The loop works for moments only, but with all cores busy generating it would
 * wait for one, and every answer with it. The calling thread goes first;
 * threads that it starts are as usual again. */
void process_run_first(const struct config *c);

#endif
