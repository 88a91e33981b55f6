#include "http/auth.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGEST 32
#define MAX_FILE (4u << 20)
#define BLANK " \t\r"

struct key {
	char name[AUTH_NAME_MAX + 1];
	unsigned scopes;
	uint8_t digest[DIGEST]; /* SHA-256 of the secret */
};

struct auth {
	size_t n;
	struct key *keys; /* [n] owned */
};

static const struct {
	const char *name;
	unsigned bits;
} scopes[] = {
	{ "sample", AUTH_SAMPLE },
	{ "train", AUTH_TRAIN },
	{ "admin", AUTH_ADMIN },
};
#define N_SCOPES (sizeof(scopes) / sizeof(scopes[0]))

const char *auth_scope_name(unsigned scope)
{
	for (size_t i = 0; i < N_SCOPES; i++)
		if (scopes[i].bits == scope)
			return scopes[i].name;
	return "";
}

static int read_name(
	struct key *k, const char *word, size_t len, struct error *err)
{
	if (!len || len > AUTH_NAME_MAX ||
		strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
			     "wxyz0123456789._-") < len)
		return error_set(err, ERROR_INVALID,
			"a key's name is 1 to %d of A-Z a-z 0-9 . _ -",
			AUTH_NAME_MAX);
	memcpy(k->name, word, len);
	return 0;
}

static int read_scopes(
	struct key *k, const char *word, size_t len, struct error *err)
{
	const char *end = word + len;

	while (word < end) {
		size_t n = strcspn(word, ","), i = 0;

		if (n > (size_t)(end - word))
			n = (size_t)(end - word);
		while (i < N_SCOPES && (strlen(scopes[i].name) != n ||
					       memcmp(scopes[i].name, word, n)))
			i++;
		if (i == N_SCOPES)
			return error_set(err, ERROR_INVALID,
				"scope '%.*s' is none of sample, train, admin",
				(int)(n < 20 ? n : 20), word);
		k->scopes |= scopes[i].bits;
		word += n + (word + n < end);
	}
	if (!k->scopes)
		return error_set(err, ERROR_INVALID,
			"expected NAME SCOPES KEY, with scopes of sample, "
			"train, admin");
	return 0;
}

static int nibble(char c)
{
	const char *digits = "0123456789abcdef", *at;

	at = strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
	return c && at ? (int)(at - digits) : -1;
}

static int read_digest(
	struct key *k, const char *hex, size_t len, struct error *err)
{
	for (size_t i = 0; i < DIGEST; i++) {
		int high = len == 2 * DIGEST ? nibble(hex[2 * i]) : -1;
		int low = high < 0 ? -1 : nibble(hex[2 * i + 1]);

		if (low < 0)
			return error_set(err, ERROR_INVALID,
				"sha256: is followed by %zu characters, "
				"expected 64 hexadecimal digits",
				len);
		k->digest[i] = (uint8_t)(high * 16 + low);
	}
	return 0;
}

static int hash(const char *secret, size_t len, uint8_t digest[DIGEST])
{
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, secret, len, digest);
}

static int read_secret(
	struct key *k, const char *word, size_t len, struct error *err)
{
	static const char prefix[] = "sha256:";
	size_t n = sizeof(prefix) - 1;

	if (len >= n && !memcmp(word, prefix, n))
		return read_digest(k, word + n, len - n, err);
	for (size_t i = 0; i < len; i++)
		if (word[i] < '!' || word[i] > '~')
			return error_set(err, ERROR_INVALID,
				"the key has a character that is not visible "
				"ASCII");
	if (len < AUTH_KEY_MIN || len > AUTH_KEY_MAX)
		return error_set(err, ERROR_INVALID,
			"the key has %zu characters, expected %d to %d", len,
			AUTH_KEY_MIN, AUTH_KEY_MAX);
	if (hash(word, len, k->digest) < 0)
		return error_set(err, ERROR_INTERNAL, "no SHA-256");
	return 0;
}

static size_t next_word(const char **at, const char *end, const char **word)
{
	size_t len = 0;

	while (*at < end && strchr(BLANK, **at))
		(*at)++;
	*word = *at;
	while (*at + len < end && !strchr(BLANK, (*at)[len]))
		len++;
	*at += len;
	return len;
}

static int read_line(
	struct key *k, const char *at, const char *end, struct error *err)
{
	const char *word, *rest;
	size_t len;

	len = next_word(&at, end, &word);
	if (read_name(k, word, len, err) < 0)
		return -1;
	len = next_word(&at, end, &word);
	if (read_scopes(k, word, len, err) < 0)
		return -1;
	len = next_word(&at, end, &word);
	if (read_secret(k, word, len, err) < 0)
		return -1;
	if (next_word(&at, end, &rest))
		return error_set(err, ERROR_INVALID,
			"expected NAME SCOPES KEY and no more");
	return 0;
}

static int add(struct auth *a, const struct key *k, struct error *err)
{
	struct key *keys;

	for (size_t i = 0; i < a->n; i++)
		if (!memcmp(a->keys[i].digest, k->digest, DIGEST))
			return error_set(err, ERROR_INVALID,
				"the key of %s is that of %s, too", k->name,
				a->keys[i].name);
	if (a->n == AUTH_MAX_KEYS)
		return error_set(err, ERROR_TOO_LARGE, "more than %d keys",
			AUTH_MAX_KEYS);
	keys = realloc(a->keys, (a->n + 1) * sizeof(*keys));
	if (!keys)
		return error_set_memory(err, "keys", a->n * sizeof(*keys));
	a->keys = keys;
	a->keys[a->n++] = *k;
	return 0;
}

/* Lines of text [len]; `source` is for errors. */
static int read_text(struct auth *a, const char *text, size_t len,
	const char *separators, const char *source, struct error *err)
{
	const char *end = text + len, *word;
	unsigned line = 1;

	while (text < end) {
		size_t n = strcspn(text, separators);
		const char *at = text;
		struct key k = { 0 };

		if (next_word(&at, text + n, &word) && *word != '#' &&
			(read_line(&k, text, text + n, err) < 0 ||
				add(a, &k, err) < 0))
			return error_prefix(err, "%s line %u", source, line);
		text += n + 1;
		line++;
	}
	return 0;
}

/* Whoever can read it is a key's owner; whoever can write it, anybody. */
static int check_mode(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_INVALID, "%s is not a file", path);
	if (st.st_mode & (S_IRWXO | S_IWGRP))
		return error_set_param(err, ERROR_INVALID, "auth.keys_file",
			"%s has the mode %04o: others may read or write it; "
			"chmod 600 it",
			path, (unsigned)(st.st_mode & 07777));
	return 0;
}

static int read_all(
	int fd, const char *path, struct buf *out, struct error *err)
{
	char block[4096];
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) > 0 ||
		(n < 0 && errno == EINTR))
		if (n > 0 && buf_append(out, block, (size_t)n) < 0)
			return error_set(err, ERROR_TOO_LARGE,
				"%s is longer than %u bytes", path, MAX_FILE);
	explicit_bzero(block, sizeof(block));
	return n < 0 ? error_set_errno(err, "%s", path) : 0;
}

static int read_file(struct auth *a, const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct buf text;

	if (fd < 0)
		return error_set_errno(err, "auth.keys_file %s", path);
	buf_init(&text, MAX_FILE);
	rc = check_mode(fd, path, err);
	if (!rc)
		rc = read_all(fd, path, &text, err);
	if (!rc && text.len && memchr(text.data, '\0', text.len))
		rc = error_set(err, ERROR_INVALID, "%s has a NUL", path);
	if (!rc && text.len)
		rc = read_text(a, text.data, text.len, "\n", path, err);
	if (text.data)
		explicit_bzero(text.data, text.len);
	buf_release(&text);
	close(fd);
	return rc;
}

int auth_open(
	struct auth **out, const struct auth_options *o, struct error *err)
{
	struct auth *a;

	*out = NULL;
	if (!o->file && !o->text)
		return 0;
	a = calloc(1, sizeof(*a));
	if (!a)
		return error_set_memory(err, "keys", sizeof(*a));
	if ((o->file && read_file(a, o->file, err) < 0) ||
		(o->text && read_text(a, o->text, strlen(o->text), "\n;",
				    "the environment's keys,", err) < 0)) {
		auth_close(a);
		return -1;
	}
	if (a->n) {
		*out = a;
		return 0;
	}
	auth_close(a);
	return error_set_param(err, ERROR_INVALID, "auth.keys_file",
		"%s holds no key, so nobody could come in",
		o->file ? o->file : "the environment");
}

void auth_close(struct auth *a)
{
	if (!a)
		return;
	free(a->keys);
	free(a);
}

size_t auth_count(const struct auth *a)
{
	return a ? a->n : 0;
}

/* All are compared, whichever it is. */
bool auth_find(const struct auth *a, const char *key, struct auth_identity *who)
{
	uint8_t digest[DIGEST];
	size_t found = a->n;

	if (hash(key, strlen(key), digest) < 0)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!gnutls_memcmp(a->keys[i].digest, digest, DIGEST))
			found = i;
	if (found == a->n)
		return false;
	who->name = a->keys[found].name;
	who->scopes = a->keys[found].scopes;
	return true;
}
