/* Who asks, as a number by which shares and bounds are counted. Loop thread,
 * but for client_identity. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "http/exchange.h"

/* Of whoever sent the request: by its key's name, else by its address,
 * whatever the port. */
uint64_t client_of(const struct exchange *x);

/* Of the one that it asks for: `user` as it names it, or NULL for itself. */
uint64_t client_identity(uint64_t client, const char *user);

#endif
