#include "base/team.h"

#include "base/cgroup.h"

#include <float.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "test.h"

#define ROUNDS 2000
#define MAX_MEMBERS 8

/* Plain memory: TSan sees a race if a barrier orders nothing. */
struct relay {
	struct team *team;
	unsigned size;
	unsigned value[MAX_MEMBERS];
	unsigned wrong;
};

static void relay_member(void *arg, unsigned m)
{
	struct relay *r = arg;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		r->value[m] = i;
		team_barrier(r->team, m);
		if (r->value[(m + 1) % r->size] != i)
			__atomic_fetch_add(&r->wrong, 1, __ATOMIC_RELAXED);
		team_barrier(r->team, m);
	}
}

static void test_barrier_orders_memory(void **state)
{
	for (unsigned size = 1; size <= 5; size++) {
		struct relay r = { .size = size };

		assert_int_equal(team_open(&r.team, size, NULL), 0);
		assert_int_equal(team_size(r.team), size);
		team_run(r.team, relay_member, &r);
		team_close(r.team);
		assert_int_equal(r.wrong, 0);
	}
}

static void add_one(void *arg, unsigned m)
{
	((unsigned *)arg)[m * 16]++;
}

static void test_many_runs(void **state)
{
	unsigned count[4 * 16] = { 0 };
	struct team *team;

	assert_int_equal(team_open(&team, 4, NULL), 0);
	for (int i = 0; i < 5000; i++)
		team_run(team, add_one, count);
	team_close(team);
	for (unsigned m = 0; m < 4; m++)
		assert_int_equal(count[m * 16], 5000);
}

/* A pause longer than the spin makes every member sleep in between. */
static void test_wakes_sleepers(void **state)
{
	unsigned count[3 * 16] = { 0 };
	struct team *team;

	assert_int_equal(team_open(&team, 3, NULL), 0);
	for (int i = 0; i < 50; i++) {
		usleep(500);
		team_run(team, add_one, count);
	}
	team_close(team);
	for (unsigned m = 0; m < 3; m++)
		assert_int_equal(count[m * 16], 50);
}

static void test_open_and_close_unused(void **state)
{
	struct error err;
	struct team *team;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(team_open(&team, 4, NULL), 0);
		team_close(team);
	}
	assert_int_equal(team_open(&team, 0, &err), -1);
	assert_error(err, ERROR_INVALID, "threads is 0, expected 1 to 4096");
}

static void test_shares_cover_once(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 8, 9, 63, 64, 1000 };
	static const size_t units[] = { 1, 8, 16 };
	struct team *team;

	for (unsigned size = 1; size <= 4; size++) {
		assert_int_equal(team_open(&team, size, NULL), 0);
		for (size_t i = 0; i < 8 * 3; i++) {
			size_t n = sizes[i % 8], unit = units[i / 8], at = 0;
			size_t begin, end;

			for (unsigned m = 0; m < size; m++) {
				team_share(team, m, n, unit, &begin, &end);
				assert_int_equal(begin, at);
				assert_true(end >= begin && end <= n);
				assert_true(end == n || end % unit == 0);
				at = end;
			}
			assert_int_equal(at, n);
		}
		team_close(team);
	}
}

static void halve_denormal(void *arg, unsigned m)
{
	volatile float tiny = FLT_MIN;

	((float *)arg)[m] = tiny / 2;
}

static void test_members_flush_denormals(void **state)
{
#if defined(__x86_64__) || defined(__aarch64__)
	volatile float tiny = FLT_MIN;
	float half[2] = { 1, 1 };
	struct team *team;

	assert_int_equal(team_open(&team, 2, NULL), 0);
	team_run(team, halve_denormal, half);
	team_close(team);
	assert_true(half[0] == 0 && half[1] == 0);
	/* The caller's own mode is given back. */
	assert_true(tiny / 2 > 0);
#else
	skip();
#endif
}

static void write_text(const char *root, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *p = path + strlen(root) + 1; *p; p++) {
		if (*p == '/') {
			*p = '\0';
			mkdir(path, 0755);
			*p = '/';
		}
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void expect_quota(const char *files[][2], double quota)
{
	char root[] = "/tmp/unrolld-cgroup-XXXXXX", command[64];

	assert_non_null(mkdtemp(root));
	for (int i = 0; files[i][0]; i++)
		write_text(root, files[i][0], files[i][1]);
	assert_true(cgroup_cpu_quota(root) == quota);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

static void test_cgroup_quota(void **state)
{
	const char *none[][2] = { { "proc/self/cgroup", "0::/\n" }, { 0 } };
	const char *v2[][2] = {
		{ "proc/self/cgroup", "0::/system.slice/unrolld.service\n" },
		{ "sys/fs/cgroup/system.slice/cpu.max", "250000 100000\n" },
		{ "sys/fs/cgroup/system.slice/unrolld.service/cpu.max",
			"max 100000\n" },
		{ 0 },
	};
	const char *v1[][2] = {
		{ "proc/self/cgroup",
			"5:memory:/x\n4:cpu,cpuacct:/docker/abc\n0::/\n" },
		{ "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n" },
		{ "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" },
		{ 0 },
	};

	expect_quota(none, 0);
	expect_quota(v2, 2.5);
	expect_quota(v1, 1.5);
	assert_true(team_default_size() >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_barrier_orders_memory),
		cmocka_unit_test(test_many_runs),
		cmocka_unit_test(test_wakes_sleepers),
		cmocka_unit_test(test_open_and_close_unused),
		cmocka_unit_test(test_shares_cover_once),
		cmocka_unit_test(test_members_flush_denormals),
		cmocka_unit_test(test_cgroup_quota),
	};

	return cmocka_run_group_tests_name("team", tests, NULL, NULL);
}
