#include "http/auth.h"

#include "base/file.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "ur-"
#define RANDOM 24
#define DIGEST 32

_Static_assert(sizeof(PREFIX) + 2 * (size_t)RANDOM == AUTH_NEW_KEY,
	"a new key is its prefix and hexadecimal digits");

static void put_hex(char *out, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int make_key(
	char key[AUTH_NEW_KEY], char hex[2 * DIGEST + 1], struct error *err)
{
	uint8_t bytes[RANDOM], digest[DIGEST];
	int failed = gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof(bytes));

	strcpy(key, PREFIX);
	if (!failed) {
		put_hex(key + strlen(PREFIX), bytes, sizeof(bytes));
		failed = gnutls_hash_fast(
			GNUTLS_DIG_SHA256, key, strlen(key), digest);
	}
	explicit_bzero(bytes, sizeof(bytes));
	if (failed)
		return error_set(err, ERROR_INTERNAL, "no new key: %s",
			gnutls_strerror(failed));
	put_hex(hex, digest, sizeof(digest));
	return 0;
}

static int write_file(const char *path, const char *text, struct error *err)
{
	struct file_writer w;

	if (file_writer_open(&w, path, 0600, err) < 0)
		return -1;
	if (file_writer_write(&w, text, strlen(text), err) < 0) {
		file_writer_abort(&w);
		return -1;
	}
	return file_writer_commit(&w, err);
}

int auth_create(const char *path, char key[AUTH_NEW_KEY], struct error *err)
{
	char hex[2 * DIGEST + 1], text[256];

	if (!access(path, F_OK))
		return error_set(err, ERROR_CONFLICT, "%s exists", path);
	if (make_key(key, hex, err) < 0)
		return -1;
	snprintf(text, sizeof(text),
		"# NAME SCOPES KEY; the secret was shown when this was made\n"
		"default sample,train,admin sha256:%s\n",
		hex);
	return write_file(path, text, err);
}
