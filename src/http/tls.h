/*
 * The certificate that a server shows, and its key: read from PEM files, and
 * again when they were renewed. Handshakes that are under way keep what they
 * began with. One per process, since MHD's callback has no closure. Loop
 * thread.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/error.h"

#include <gnutls/abstract.h>

/* From now on this is shown. The key must be the certificate's, and its file
 * not readable by others. On failure what there was stays. */
int tls_load(const char *cert_file, const char *key_file, struct error *err);
void tls_release(void);

/* MHD_OPTION_HTTPS_CERT_CALLBACK. */
int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *issuers,
	int n_issuers, const gnutls_pk_algorithm_t *algorithms,
	int n_algorithms, gnutls_pcert_st **chain, unsigned *n_chain,
	gnutls_privkey_t *key);

#endif
