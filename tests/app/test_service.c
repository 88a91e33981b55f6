/*
 * The daemon as systemd sees it: readiness, reload, watchdog and stop over the
 * notify socket, and a listening socket that is passed in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service.h"

static int set_up(void **state)
{
	*state = service_new(NULL, "memory", true);
	return 0;
}

static int tear_down(void **state)
{
	service_free(*state);
	return 0;
}

static void answers_on_the_socket_it_was_passed(void **state)
{
	static const char request[] = "GET /healthz HTTP/1.0\r\n\r\n";
	struct service *s = *state;
	struct sockaddr_in a = service_address(s);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[256] = "";

	service_expect(s, "READY=1");
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(
		send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	assert_true(recv(fd, answer, sizeof(answer) - 1, 0) > 0);
	assert_non_null(strstr(answer, " 200 OK"));
	close(fd);
}

static void tells_of_its_states(void **state)
{
	struct service *s = *state;

	service_expect(s, "READY=1");
	service_expect(s, "WATCHDOG=1");
	kill(s->pid, SIGHUP);
	service_expect(s, "RELOADING=1");
	service_expect(s, "READY=1");
	kill(s->pid, SIGTERM);
	service_expect(s, "STOPPING=1");
	assert_int_equal(service_wait(s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			answers_on_the_socket_it_was_passed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			tells_of_its_states, set_up, tear_down),
	};

	if (access(service_executable(), X_OK) < 0) {
		printf("1..1\nok 1 # SKIP %s is not built\n",
			service_executable());
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
