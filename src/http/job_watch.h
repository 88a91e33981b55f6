/* Clients that follow a job, for api.c. Loop thread. */
#ifndef HTTP_JOB_WATCH_H
#define HTTP_JOB_WATCH_H

struct api;

/* Jobs changed: look for new events. */
void job_watches_look(struct api *a);
/* Show silent connections to be alive. */
void job_watches_heartbeat(struct api *a);
/* The daemon ends: no stream goes on. */
void job_watches_end(struct api *a);

#endif
