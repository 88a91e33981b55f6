/* Server-sent events as a client reads them, cut at every byte. */
#include "app/sse.h"

#include "test.h"

#include <stdio.h>
#include <string.h>

struct told {
	char text[512];
	int stop_at; /* the event at which reading ends; 0: none */
	int n;
};

static int on_event(void *arg, const char *id, const char *data)
{
	struct told *t = arg;
	size_t n = strlen(t->text);

	snprintf(t->text + n, sizeof(t->text) - n, "<%s|%s>", id, data);
	return ++t->n == t->stop_at ? 7 : 0;
}

static void gives(const char *stream, const char *expected)
{
	size_t len = strlen(stream);

	for (size_t cut = 0; cut <= len; cut++) {
		struct told t = { 0 };
		struct sse s;

		sse_init(&s, on_event, &t);
		assert_int_equal(sse_feed(&s, stream, cut), 0);
		assert_int_equal(sse_feed(&s, stream + cut, len - cut), 0);
		sse_release(&s);
		assert_string_equal(t.text, expected);
	}
}

static void test_events(void **state)
{
	(void)state;
	gives("id: 1\ndata: {\"a\": 1}\n\n: ping\n\nid: 2\ndata:b\n\n",
		"<1|{\"a\": 1}><2|b>");
	gives("id:1\r\ndata: a\r\ndata: b\r\n\r\ndata\r\n\r\n", "<1|a\nb><1|>");
	gives("data: a\r\rdata: b\n\ndata: cut", "<|a><|b>");
	gives("event: x\nretry: 1\nid: 5\n\n\n\ndata:  two\n\n", "<5| two>");
}

static void test_ends(void **state)
{
	struct told t = { .stop_at = 1 };
	const char stream[] = "data: a\n\ndata: b\n\n";
	struct sse s;

	(void)state;
	sse_init(&s, on_event, &t);
	assert_int_equal(sse_feed(&s, stream, sizeof(stream) - 1), 7);
	assert_string_equal(t.text, "<|a>");
	sse_release(&s);
}

static void test_too_long(void **state)
{
	struct told t = { 0 };
	char piece[4096];
	struct sse s;
	size_t fed = 0;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	sse_init(&s, on_event, &t);
	while (!sse_feed(&s, piece, sizeof(piece)))
		fed += sizeof(piece);
	assert_int_equal(fed, SSE_EVENT_MAX);
	sse_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
