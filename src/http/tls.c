#include "http/tls.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_PEM (1u << 20)
#define MAX_CHAIN 16

/* The newest first; those before it may still be in a handshake's use, and are
 * a few KiB each. */
static struct identity {
	struct identity *older;
	gnutls_pcert_st chain[MAX_CHAIN];
	unsigned n;
	gnutls_privkey_t key;
} * newest;

static void identity_free(struct identity *i)
{
	for (unsigned k = 0; k < i->n; k++)
		gnutls_pcert_deinit(&i->chain[k]);
	if (i->key)
		gnutls_privkey_deinit(i->key);
	free(i);
}

static int refuse(
	const char *option, const char *path, int rc, struct error *err)
{
	return error_set_param(err, ERROR_INVALID, option, "%s %s: %s", option,
		path, gnutls_strerror(rc));
}

static int load_chain(struct identity *i, const char *path, struct error *err)
{
	gnutls_datum_t pem;
	char *text;
	size_t len;
	int rc;

	if (file_read(path, MAX_PEM, &text, &len, err) < 0)
		return error_prefix(err, "http.tls_cert");
	pem.data = (unsigned char *)text;
	pem.size = (unsigned)len;
	i->n = MAX_CHAIN;
	rc = gnutls_pcert_list_import_x509_raw(
		i->chain, &i->n, &pem, GNUTLS_X509_FMT_PEM, 0);
	free(text);
	if (rc >= 0)
		return 0;
	i->n = 0;
	return refuse("http.tls_cert", path, rc, err);
}

static int load_key(struct identity *i, const char *path, struct error *err)
{
	gnutls_datum_t pem;
	struct stat st;
	char *text;
	size_t len;
	int rc;

	if (stat(path, &st) == 0 && st.st_mode & S_IRWXO)
		return error_set_param(err, ERROR_INVALID, "http.tls_key",
			"http.tls_key %s has the mode %04o: others may read "
			"it; chmod 600 it",
			path, (unsigned)(st.st_mode & 07777));
	if (file_read(path, MAX_PEM, &text, &len, err) < 0)
		return error_prefix(err, "http.tls_key");
	pem.data = (unsigned char *)text;
	pem.size = (unsigned)len;
	rc = gnutls_privkey_init(&i->key);
	if (rc >= 0)
		rc = gnutls_privkey_import_x509_raw(
			i->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
	explicit_bzero(text, len);
	free(text);
	return rc < 0 ? refuse("http.tls_key", path, rc, err) : 0;
}

static int check_pair(
	const struct identity *i, const char *path, struct error *err)
{
	unsigned char of_cert[64], of_key[64];
	size_t n_cert = sizeof(of_cert), n_key = sizeof(of_key);
	gnutls_pubkey_t public;
	int rc = gnutls_pubkey_init(&public);

	if (rc < 0)
		return refuse("http.tls_key", path, rc, err);
	rc = gnutls_pubkey_import_privkey(public, i->key, 0, 0);
	if (rc >= 0)
		rc = gnutls_pubkey_get_key_id(
			public, GNUTLS_KEYID_USE_SHA256, of_key, &n_key);
	if (rc >= 0)
		rc = gnutls_pubkey_get_key_id(i->chain[0].pubkey,
			GNUTLS_KEYID_USE_SHA256, of_cert, &n_cert);
	gnutls_pubkey_deinit(public);
	if (rc < 0)
		return refuse("http.tls_key", path, rc, err);
	if (n_cert == n_key && !memcmp(of_cert, of_key, n_key))
		return 0;
	return error_set_param(err, ERROR_INVALID, "http.tls_key",
		"http.tls_key %s is not the certificate's", path);
}

int tls_load(const char *cert, const char *key, struct error *err)
{
	struct identity *i = calloc(1, sizeof(*i));

	if (!i)
		return error_set_memory(err, "TLS", sizeof(*i));
	if (load_chain(i, cert, err) < 0 || load_key(i, key, err) < 0 ||
		check_pair(i, key, err) < 0) {
		identity_free(i);
		return -1;
	}
	i->older = newest;
	newest = i;
	return 0;
}

void tls_release(void)
{
	while (newest) {
		struct identity *i = newest;

		newest = i->older;
		identity_free(i);
	}
}

int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *issuers,
	int n_issuers, const gnutls_pk_algorithm_t *algorithms,
	int n_algorithms, gnutls_pcert_st **chain, unsigned *n_chain,
	gnutls_privkey_t *key)
{
	(void)session;
	(void)issuers;
	(void)n_issuers;
	(void)algorithms;
	(void)n_algorithms;
	if (!newest)
		return -1;
	*chain = newest->chain;
	*n_chain = newest->n;
	*key = newest->key;
	return 0;
}
