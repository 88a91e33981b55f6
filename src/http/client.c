#include "http/client.h"

#include <string.h>
#include <xxhash.h>

uint64_t client_of(const struct exchange *x)
{
	const char *peer = exchange_peer(x);
	const char *port = strrchr(peer, ':');
	const char *owner = exchange_owner(x);

	if (*owner)
		return XXH3_64bits_withSeed(owner, strlen(owner), 1);
	return XXH3_64bits(peer, port ? (size_t)(port - peer) : strlen(peer));
}

uint64_t client_identity(uint64_t client, const char *user)
{
	return user ? XXH3_64bits_withSeed(user, strlen(user), client) : client;
}
