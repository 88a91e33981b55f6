/*
 * Rows that others store under keys of their own and that go when a session
 * goes: for each, an empty row belongs/ID/KEY of the same life. Any thread.
 */
#include "serve/session_private.h"

#include <stdio.h>
#include <string.h>

void session_belong(struct belongings *b, const char *id,
	const struct store_change *with, size_t n)
{
	b->n = 0;
	for (size_t i = 0; i < n && i < SESSION_MAX_WITH; i++) {
		b->changes[b->n++] = with[i];
		snprintf(b->keys[i], sizeof(b->keys[i]),
			BELONGS_PREFIX "%.*s/%s", SESSION_ID_MAX, id,
			with[i].key);
		b->changes[b->n++] = (struct store_change){ b->keys[i],
			with[i].value ? "" : NULL, 0, with[i].expires };
	}
}

const char *session_belonging(const char *key)
{
	size_t prefix = strlen(BELONGS_PREFIX);
	const char *end;

	if (strncmp(key, BELONGS_PREFIX, prefix) != 0)
		return NULL;
	end = strchr(key + prefix, '/');
	return end ? end + 1 : NULL;
}
