/*
 * API keys: who asks, and what he may do. Keys come from a file or from the
 * environment, one a line,
 *
 *     NAME SCOPE[,SCOPE...] KEY
 *
 * where KEY is the secret itself or sha256: and the hexadecimal SHA-256 of it.
 * What a key makes belongs to its NAME: several keys of one name may follow
 * each other. Only hashes are kept, and compared in constant time. Immutable
 * once open; any thread.
 */
#ifndef HTTP_AUTH_H
#define HTTP_AUTH_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define AUTH_NAME_MAX 64 /* bytes: [A-Za-z0-9._-] */
#define AUTH_KEY_MIN 16	 /* of a secret: visible ASCII characters */
#define AUTH_KEY_MAX 256
#define AUTH_MAX_KEYS 4096

enum auth_scope {	 /* bits */
	AUTH_SAMPLE = 1, /* models, sessions, generating, scoring */
	AUTH_TRAIN = 2,	 /* files and fine-tuning jobs */
	AUTH_ADMIN = 4,	 /* all of these, and the daemon itself */
};

struct auth_options {
	const char *file; /* readable by its owner and group at most; or NULL */
	const char *text; /* lines as in the file, also split by ';'; or NULL */
};

struct auth;

/* ERROR_INVALID names file and line, never a key. With neither file nor text
 * *a is NULL: nobody is asked for a key. */
int auth_open(struct auth **a, const struct auth_options *o, struct error *err);
void auth_close(struct auth *a);
size_t auth_count(const struct auth *a); /* keys */

#define AUTH_NEW_KEY 52 /* bytes of a key that is made, its NUL included */
/* Makes the file, 0600, with the hash of one new key of all scopes, whose name
 * is "default"; the secret goes to `key` and nowhere else. ERROR_CONFLICT when
 * there is such a file. */
int auth_create(const char *path, char key[AUTH_NEW_KEY], struct error *err);

struct auth_identity {
	const char *name; /* borrowed from the auth */
	unsigned scopes;
};
/* False when no key is this one. */
bool auth_find(
	const struct auth *a, const char *key, struct auth_identity *who);

/* "sample", … of a scope's bit. */
const char *auth_scope_name(unsigned scope);

#endif
