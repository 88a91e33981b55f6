/*
 * Routes as rows of tables. A row drives dispatch, the limits of its requests
 * and its entry in /openapi.json; 404, 405 with Allow, HEAD, OPTIONS, CORS and
 * the Host check follow from the rows. Loop thread.
 */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "base/error.h"
#include "http/auth.h"
#include "http/request.h"
#include "http/server.h"

#define ROUTE_MAX_PARAMS 2
#define ROUTE_BINARY "application/octet-stream"
#define ROUTE_TEXT "text/plain"
#define ROUTE_PARAM_MAX 128 /* bytes of a decoded {part} of a path */

/* What a key must be allowed, once keys are asked for. */
enum route_scope {
	ROUTE_PUBLIC = 0,	    /* says nothing of anyone's data: no key */
	ROUTE_SAMPLE = AUTH_SAMPLE, /* uses models and sessions */
	ROUTE_TRAIN = AUTH_TRAIN,   /* files and jobs */
	ROUTE_ADMIN = AUTH_ADMIN,   /* the daemon itself */
};

struct route_params {
	char value[ROUTE_MAX_PARAMS][ROUTE_PARAM_MAX + 1];
};

struct route {
	const char *method;
	const char *path; /* "/v1/sessions/{id}" */
	enum route_scope scope;
	void (*handle)(void *ctx, struct exchange *x,
		const struct route_params *params);
	const char *summary;
	const struct field *fields; /* [n_fields] of a JSON body, or NULL */
	size_t n_fields;
	const struct field *query; /* [n_query] names in the query, for the
				    * documentation and call_check_query */
	size_t n_query;
	bool lenient; /* names that are not among the fields are passed over */
	bool body_optional;
	/* When the headers are in, for a body of multipart/form-data that is
	 * taken as it comes: refuses, or says exchange_expect_stream; `handle`
	 * is then called when all of it was. `fields` are its parts. Or NULL */
	void (*open)(void *ctx, struct exchange *x,
		const struct route_params *params);
	bool form;   /* a body may also be multipart/form-data, held as others
		      * are: its parts are the fields (call.h's form_type) */
	bool binary; /* a body may also be ROUTE_BINARY: its fields are
		      * then in the query */
	bool text;   /* with binary: or ROUTE_TEXT, in its charset */
	unsigned status;     /* of success, for the documentation */
	const char *answer;  /* content type of success, likewise */
	const char *schema;  /* of a JSON answer: a name in openapi_schemas.c */
	const char *example; /* of a JSON body, as JSON text */
	bool streams;	     /* with "stream" the answer is of events */
};

/* A row may belong to several tables of rows: one per routes_*.c. */
struct route_table {
	const struct route *rows;
	size_t n;
};

struct router_options {
	const char *const *origins; /* [n_origins] allowed, see origin.h */
	size_t n_origins;
	const char *const *hosts; /* [n_hosts] allowed besides loopback's */
	size_t n_hosts;
	bool check_host; /* refuse a Host that is neither */
	size_t max_body;
};

struct router {
	const struct route_table *tables; /* [n_tables] borrowed */
	size_t n_tables;
	struct router_options o; /* lists borrowed */
	/* Whether who asks may go on, or it was refused; not asked of public
	 * routes. Or NULL */
	bool (*admit)(void *ctx, struct exchange *x);
	const struct auth *auth; /* borrowed; NULL: no keys are asked for */
	void *ctx;		 /* for handlers */
};

/* Percent-decode one segment of a path or value of a query, NUL included in
 * size; -1 when malformed or too long. */
int router_decode(const char *from, size_t len, char *out, size_t size);

/* The server's begin and complete, with the router as ctx. */
void router_begin(struct router *r, struct exchange *x);
void router_complete(struct router *r, struct exchange *x);

#endif
