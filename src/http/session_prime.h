/* A session that has read a text before it is first stored. */
#ifndef HTTP_SESSION_PRIME_H
#define HTTP_SESSION_PRIME_H

#include "http/call.h"

/* On a worker, from a call's work: create the session, feed the prompt by an
 * engine, store it, and answer the call: with the session, or where there is an
 * answer already with that, and the session in it. Fills c->err when it can't
 * begin. */
void session_prime(struct call *c, const struct session_options *o,
	const struct request_text *prompt);

#endif
