#include "http/gzip.h"

#include <ctype.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define LEVEL 1			/* three times smaller at 100 MB/s and more */
#define WINDOW (MAX_WBITS + 16) /* with a gzip header */
#define PIECE (64u << 10)

struct gzip {
	z_stream z;
	char *body;
	size_t left; /* not yet given to z */
	uint64_t *sent;
};

/* `gzip`, or `*`, unless its weight is 0. */
static bool takes(const char *item, size_t len)
{
	size_t name = 0;
	const char *q;

	while (name < len && item[name] != ';' &&
		!isspace((unsigned char)item[name]))
		name++;
	if (!(name == 4 && !strncasecmp(item, "gzip", 4)) &&
		!(name == 1 && *item == '*'))
		return false;
	q = memchr(item, '=', len);
	return !q || strtod(q + 1, NULL) > 0;
}

bool gzip_accepted(const char *accept)
{
	while (accept && *accept) {
		size_t len;

		accept += strspn(accept, " \t,");
		len = strcspn(accept, ",");
		if (len && takes(accept, len))
			return true;
		accept += len;
	}
	return false;
}

struct gzip *gzip_open(char *body, size_t len, uint64_t *sent)
{
	struct gzip *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	if (deflateInit2(&g->z, LEVEL, Z_DEFLATED, WINDOW, 8,
		    Z_DEFAULT_STRATEGY) != Z_OK) {
		free(g);
		return NULL;
	}
	g->body = body;
	g->left = len;
	g->sent = sent;
	g->z.next_in = (Bytef *)body;
	return g;
}

ssize_t gzip_read(void *gzip, uint64_t pos, char *out, size_t max)
{
	struct gzip *g = gzip;
	z_stream *z = &g->z;

	(void)pos;
	z->next_out = (Bytef *)out;
	z->avail_out = (uInt)max;
	for (;;) {
		int rc;

		if (!z->avail_in) {
			z->avail_in = g->left < PIECE ? (uInt)g->left : PIECE;
			g->left -= z->avail_in;
		}
		rc = deflate(z, g->left ? Z_NO_FLUSH : Z_FINISH);
		if (z->avail_out < max) {
			*g->sent += max - z->avail_out;
			return (ssize_t)(max - z->avail_out);
		}
		if (rc == Z_STREAM_END)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (rc != Z_OK)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
}

void gzip_close(void *gzip)
{
	struct gzip *g = gzip;

	deflateEnd(&g->z);
	free(g->body);
	free(g);
}
