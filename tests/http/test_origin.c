/* Which pages may talk to a daemon: a wrong yes opens it to any web site. */
#include "http/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void patterns_match_what_they_say(void **state)
{
	static const struct {
		const char *pattern, *origin;
		bool matches;
	} cases[] = {
		{ "*", "https://anything.example", true },
		{ "null", "null", true },
		{ "null", "https://a.example", false },
		{ "https://a.example", "null", false },
		{ "https://a.example", "https://a.example", true },
		{ "https://a.example", "https://A.Example", true },
		{ "https://a.example", "http://a.example", false },
		{ "https://a.example", "https://a.example:8443", false },
		{ "https://a.example", "https://a.example.evil", false },
		{ "https://a.example", "https://evila.example", false },
		{ "https://a.example:8443", "https://a.example:8443", true },
		{ "https://a.example:*", "https://a.example:1", true },
		{ "https://a.example:*", "https://a.example", true },
		{ "https://*.a.example", "https://b.a.example", true },
		{ "https://*.a.example", "https://a.example", false },
		{ "https://*.a.example", "https://b.a.example.evil", false },
		{ "https://*.a.example", "https://ba.example", false },
		{ "localhost", "http://localhost:3000", true },
		{ "localhost", "https://localhost", true },
		{ "localhost", "http://127.0.0.1:5173", true },
		{ "localhost", "http://[::1]:80", true },
		{ "localhost", "http://app.localhost", true },
		{ "localhost", "http://localhost.evil", false },
		{ "localhost", "http://evil.example:80", false },
		{ "localhost", "http://127.0.0.1.evil", false },
		{ "localhost", "http://evillocalhost", false },
		{ "localhost", "null", false },
		{ "localhost", "http://", false },
		{ "localhost", "", false },
		{ "http://[::1]:*", "http://[::1]:8080", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (origin_matches(cases[i].pattern, cases[i].origin) !=
			cases[i].matches)
			fail_msg("'%s' and '%s'", cases[i].pattern,
				cases[i].origin);
}

static void patterns_are_checked(void **state)
{
	static const char *const bad[] = { "", "a.example", "https://",
		"https://a/b", "https://*", "https://a:b", "*.example" };
	struct error err;

	(void)state;
	assert_int_equal(origin_check_pattern("https://*.a:*", &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!origin_check_pattern(bad[i], &err))
			fail_msg("'%s' was taken", bad[i]);
	assert_string_equal(err.param, "http.cors_origins");
}

static void loopback_names_are_known(void **state)
{
	static const char *const good[] = { "localhost", "LOCALHOST:80",
		"127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:8080",
		"x.localhost:1" };
	static const char *const bad[] = { "", "example.com", "10.0.0.1",
		"127.0.0.1.example.com", "localhost.example.com", "[::2]:80",
		"::1", "128.0.0.1" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!origin_host_is_loopback(good[i]))
			fail_msg("'%s'", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (origin_host_is_loopback(bad[i]))
			fail_msg("'%s'", bad[i]);
	assert_true(origin_host_is("Api.example:443", "api.example"));
	assert_false(origin_host_is("api.example.evil", "api.example"));
	assert_true(origin_is_same("http://a:80", "a:80"));
	assert_false(origin_is_same("http://a:80", "a"));
	assert_false(origin_is_same("null", "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_what_they_say),
		cmocka_unit_test(patterns_are_checked),
		cmocka_unit_test(loopback_names_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
