#include "http/idempotency.h"

#include <stdio.h>
#include <string.h>

#define PARAM "Idempotency-Key"
#define ANSWER_MAX (256u << 20)

/* What a stored answer begins with; then owner, route and key with their NULs,
 * and the body. */
struct head {
	uint32_t version, status, kind;
	uint32_t owner; /* bytes of it, with its NUL; 0: none */
	XXH128_hash_t body;
};
#define VERSION 1

int idempotent_read(
	struct idempotent *i, const struct exchange *x, struct error *err)
{
	const char *key = exchange_header(x, PARAM);
	const char *body;
	size_t len = key ? strlen(key) : 0, body_len;

	i->key[0] = '\0';
	if (!key)
		return 0;
	if (!len || len > IDEMPOTENT_KEY_MAX)
		return error_set_param(err, ERROR_INVALID, PARAM,
			PARAM " has %zu bytes, expected 1 to %d", len,
			IDEMPOTENT_KEY_MAX);
	for (size_t n = 0; n < len; n++)
		if (key[n] < '!' || key[n] > '~')
			return error_set_param(err, ERROR_INVALID, PARAM,
				PARAM " has the byte 0x%02x at %zu, expected "
				      "visible ASCII characters",
				(unsigned char)key[n], n);
	body = exchange_body(x, &body_len);
	memcpy(i->key, key, len + 1);
	i->route = exchange_route(x);
	snprintf(i->owner, sizeof(i->owner), "%s", exchange_owner(x));
	i->body = XXH3_128bits(body, body_len);
	return 0;
}

static bool is_same(const struct idempotent *a, const struct idempotent *b)
{
	return !strcmp(a->key, b->key) && !strcmp(a->route, b->route) &&
	       !strcmp(a->owner, b->owner);
}

static struct idempotent **find(
	struct idempotents *all, const struct idempotent *i)
{
	struct idempotent **at =
		&all->buckets[XXH3_64bits(i->key, strlen(i->key)) %
			      IDEMPOTENT_BUCKETS];

	while (*at && !is_same(*at, i))
		at = &(*at)->next;
	return at;
}

struct idempotent *idempotent_holder(
	struct idempotents *all, const struct idempotent *i)
{
	return *find(all, i);
}

static int other_body(const struct idempotent *i, struct error *err)
{
	return error_set_param(err, ERROR_UNPROCESSABLE, PARAM,
		PARAM " '%s' was sent before with another body", i->key);
}

int idempotent_claim(struct idempotents *all, struct idempotent *i,
	bool may_wait, struct error *err)
{
	struct idempotent **at = find(all, i), **end;

	if (!*at) {
		*at = i;
		i->next = NULL;
		i->claimed = true;
		return 0;
	}
	if (!XXH128_isEqual((*at)->body, i->body))
		return other_body(i, err);
	if (!may_wait)
		return error_set_param(err, ERROR_CONFLICT, PARAM,
			"the request with " PARAM " '%s' is still running",
			i->key);
	for (end = &(*at)->line; *end;)
		end = &(*end)->line_next;
	*end = i;
	i->line_next = NULL;
	return 1;
}

void idempotent_move(
	struct idempotents *all, struct idempotent *from, struct idempotent *to)
{
	*to = *from;
	if (from->claimed)
		*find(all, from) = to;
	*from = (struct idempotent){ 0 };
}

static void leave(struct idempotent *holder, struct idempotent *i)
{
	struct idempotent **at = &holder->line;

	while (*at && *at != i)
		at = &(*at)->line_next;
	if (*at)
		*at = i->line_next;
}

void idempotent_release(struct idempotents *all, struct idempotent *i)
{
	struct idempotent **at, *heir;

	if (!i->key[0])
		return;
	at = find(all, i);
	if (!i->claimed) {
		if (*at)
			leave(*at, i);
		return;
	}
	i->claimed = false;
	heir = i->line;
	i->line = NULL;
	if (!heir) {
		*at = i->next;
		return;
	}
	heir->next = i->next;
	heir->line = heir->line_next;
	heir->claimed = true;
	*at = heir;
	heir->granted(heir);
}

static void store_key(const struct idempotent *i, char key[STORE_KEY_MAX + 1])
{
	uint64_t route = XXH3_64bits(i->route, strlen(i->route));
	XXH128_hash_t h;

	if (*i->owner)
		route = XXH3_64bits_withSeed(i->owner, strlen(i->owner), route);
	h = XXH3_128bits_withSeed(i->key, strlen(i->key), route);

	snprintf(key, STORE_KEY_MAX + 1, "answer/%016llx%016llx",
		(unsigned long long)h.high64, (unsigned long long)h.low64);
}

/* Names are compared whole: anyone can find two keys of one hash. */
static int decode(const struct idempotent *i, struct idempotent_answer *answer,
	struct error *err)
{
	struct buf *b = &answer->body;
	size_t route = strlen(i->route) + 1, key = strlen(i->key) + 1;
	size_t owner = *i->owner ? strlen(i->owner) + 1 : 0;
	struct head head;

	if (b->len < sizeof(head) + owner + route + key)
		return 0;
	memcpy(&head, b->data, sizeof(head));
	if (head.version != VERSION || head.owner != owner ||
		memcmp(b->data + sizeof(head), i->owner, owner) ||
		memcmp(b->data + sizeof(head) + owner, i->route, route) ||
		memcmp(b->data + sizeof(head) + owner + route, i->key, key))
		return 0;
	if (!XXH128_isEqual(head.body, i->body))
		return other_body(i, err);
	answer->status = head.status;
	answer->kind = (enum idempotent_kind)head.kind;
	buf_consume(b, sizeof(head) + owner + route + key);
	return 1;
}

int idempotent_find(const struct idempotent *i, struct sessions *s,
	struct idempotent_answer *answer, struct error *err)
{
	char key[STORE_KEY_MAX + 1];
	struct error why = { 0 };
	int found;

	store_key(i, key);
	buf_init(&answer->body, ANSWER_MAX);
	if (!sessions_look_up(s, key, &answer->body, &why)) {
		found = decode(i, answer, err);
	} else {
		found = why.code == ERROR_NOT_FOUND ? 0 : -1;
		if (found < 0)
			*err = why;
	}
	if (found != 1)
		buf_release(&answer->body);
	return found;
}

int idempotent_change(const struct idempotent *i, unsigned status,
	enum idempotent_kind kind, const char *body, size_t len, int64_t ttl,
	char key[STORE_KEY_MAX + 1], struct buf *value,
	struct store_change *change, struct error *err)
{
	uint32_t owner = *i->owner ? (uint32_t)strlen(i->owner) + 1 : 0;
	struct head head = { VERSION, status, kind, owner, i->body };

	store_key(i, key);
	buf_init(value, ANSWER_MAX);
	if (buf_append(value, &head, sizeof(head)) < 0 ||
		buf_append(value, i->owner, owner) < 0 ||
		buf_append(value, i->route, strlen(i->route) + 1) < 0 ||
		buf_append(value, i->key, strlen(i->key) + 1) < 0 ||
		buf_append(value, body, len) < 0) {
		buf_release(value);
		return error_set_memory(err, "stored answer", len);
	}
	*change = (struct store_change){ key, value->data, value->len,
		store_now() + ttl };
	return 0;
}

void idempotent_unchange(const struct idempotent *i,
	char key[STORE_KEY_MAX + 1], struct store_change *change)
{
	store_key(i, key);
	*change = (struct store_change){ .key = key, .expires = STORE_NEVER };
}
