/* What the routes of fine-tuning jobs share. */
#ifndef HTTP_JOB_ANSWER_H
#define HTTP_JOB_ANSWER_H

#include "http/call.h"
#include "serve/jobs.h"

/* OpenAI's fine_tuning.job, and what we know beyond it. NULL when memory ran
 * out. */
json_t *job_describe(const struct job *job);

/* A body's fields into a job. */
extern const struct field job_fields[];
extern const size_t n_job_fields;
int job_read(struct call *c, struct job *job);

/* Take the call's exchange over and send a job's events as they come, from the
 * first after number `after` on, until the job is over. Loop thread. */
void job_watch(struct call *c, uint64_t after);

#endif
