/*
 * What is refused before any route sees it: requests that two servers in a
 * row might read differently (smuggling), and bodies over their limit.
 */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include "http/exchange.h"

/* False when the exchange has been answered with a refusal. */
bool guard_check(struct exchange *x);
bool guard_check_body(struct exchange *x);

/* Also of use to routes: is the declared body within `max`? Answers 413 at
 * once if not, before a byte of it was read. */
bool guard_check_length(struct exchange *x, size_t max);

#endif
