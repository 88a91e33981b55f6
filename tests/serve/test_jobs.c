/* Many jobs over a real loop, store, files and registry: who runs, what clients
 * see, what is left. */
#include "serve/fixture.h"

#include "serve/jobs.h"

#include <dirent.h>
#include <sys/stat.h>

struct bench {
	struct fixture f; /* its registry */
	struct store_shared *store;
	struct files *files;
	struct jobs *jobs;
	uv_loop_t loop;
	char dir[96], file[FILE_ID_MAX + 1], other[FILE_ID_MAX + 1];
};

static void jobs_up(struct bench *b, unsigned running, size_t max)
{
	struct jobs_options o = { .dir = b->dir,
		.store = b->store,
		.files = b->files,
		.registry = b->f.registry,
		.max_running = running,
		.max = max };

	uv_loop_init(&b->loop);
	must(jobs_open(&b->jobs, &o, &fault));
	must(jobs_start(b->jobs, &b->loop, &fault));
}

static void jobs_down(struct bench *b)
{
	jobs_stop(b->jobs);
	while (jobs_busy(b->jobs))
		uv_run(&b->loop, UV_RUN_ONCE);
	jobs_close(b->jobs);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
}

static void upload(struct bench *b, const char *owner, char *id)
{
	const struct file_about about = { .name = "t" };
	struct file_upload *u;
	struct file_info info;

	must(files_begin(b->files, owner, &u, &fault));
	for (int i = 0; i < 40; i++) {
		static const char line[] = "the quick brown fox, a lazy dog.\n";

		must(files_append(u, line, sizeof(line) - 1, &fault));
	}
	must(files_finish(u, &about, &info, &fault));
	strcpy(id, info.id);
}

static void bench_open(struct bench *b, unsigned running, size_t max)
{
	struct fixture_options fo = { 0 };
	struct files_options o = { .max_size = 1 << 20, .max = 10 };
	struct store_options so = { 0 };
	char dir[128];

	*b = (struct bench){ 0 };
	fixture_init(&b->f, &fo);
	snprintf(b->dir, sizeof(b->dir), "%s/jobs", b->f.dir);
	snprintf(dir, sizeof(dir), "%s/files", b->dir);
	o.dir = dir;
	mkdir(b->dir, 0700);
	must(store_shared_open(&b->store, "memory", &so, &fault));
	o.store = b->store;
	must(files_open(&b->files, &o, &fault));
	upload(b, "", b->file);
	upload(b, "other", b->other);
	jobs_up(b, running, max);
}

static void bench_close(struct bench *b)
{
	char command[128];

	jobs_down(b);
	files_close(b->files);
	store_shared_close(b->store);
	snprintf(command, sizeof(command), "rm -rf %s", b->dir);
	assert_int_equal(system(command), 0);
	fixture_release(&b->f);
}

/* Returns the id, in a ring of static ones. */
static const char *create(
	struct bench *b, const char *owner, uint64_t steps, struct error *err)
{
	static char ids[32][JOB_ID_MAX + 1];
	static unsigned next;
	char *id = ids[next++ % 32];
	struct registry_entry *m = fixture_model(&b->f);
	struct job wanted, job;

	job_init(&wanted);
	strcpy(wanted.owner, owner);
	strcpy(wanted.model, m->name);
	registry_unref(m);
	strcpy(wanted.training_file, *owner ? b->other : b->file);
	wanted.options.max_steps = steps;
	wanted.options.batch = 2;
	wanted.options.seq_length = 5;
	if (jobs_create(b->jobs, &wanted, &job, err) < 0)
		return NULL;
	strcpy(id, job.id);
	job_release(&job);
	return id;
}

static int status(struct bench *b, const char *id)
{
	struct job job;

	must(jobs_get(b->jobs, "", id, &job, &fault));
	job_release(&job);
	return job.status;
}

static void run_until(struct bench *b, const char *id, int wanted)
{
	while (status(b, id) != wanted) {
		if (status(b, id) >= JOB_SUCCEEDED)
			fail_msg("the job is %s",
				job_status_name(status(b, id)));
		uv_run(&b->loop, UV_RUN_ONCE);
	}
}

/* A job's end is seen before it has cleaned up. */
static void run_idle(struct bench *b)
{
	while (jobs_busy(b->jobs) || jobs_running(b->jobs))
		uv_run(&b->loop, UV_RUN_ONCE);
}

static unsigned entries_in(const char *dir, const char *name)
{
	char path[160];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void a_job_runs_to_its_model(void **state)
{
	struct bench b;
	const char *id;
	struct registry_entry *made;
	struct job job;

	bench_open(&b, 1, 10);
	id = create(&b, "", 30, NULL);
	run_until(&b, id, JOB_SUCCEEDED);
	must(jobs_get(b.jobs, "", id, &job, &fault));
	made = registry_get(b.f.registry, job.result, NULL);
	assert_non_null(made);
	assert_true(strstr(made->training, "\"parent\":\"") != NULL);
	registry_unref(made);
	assert_true(job.loss_after < job.loss_before);
	job_release(&job);
	run_idle(&b);
	assert_int_equal(entries_in(b.dir, "work"), 0);
	assert_int_equal(entries_in(b.dir, "models"), 1);
	bench_close(&b);
}

/* Two at once of ten, and all of them get there. */
static void so_many_run_at_once(void **state)
{
	const char *ids[10];
	struct bench b;
	unsigned most = 0;

	bench_open(&b, 2, 20);
	for (int i = 0; i < 10; i++)
		ids[i] = create(&b, "", 8, NULL);
	for (int i = 0; i < 10; i++)
		while (status(&b, ids[i]) != JOB_SUCCEEDED) {
			unsigned n = jobs_running(b.jobs);

			most = n > most ? n : most;
			uv_run(&b.loop, UV_RUN_ONCE);
		}
	assert_int_equal(most, 2);
	assert_int_equal(entries_in(b.dir, "models"), 10);
	bench_close(&b);
}

/* Who comes with a crowd of jobs can't keep another waiting for all of it. */
static void owners_take_turns(void **state)
{
	const char *crowd[6], *other;
	struct job job;
	struct bench b;
	unsigned over = 0;
	int at = 0;

	bench_open(&b, 1, 20);
	for (int i = 0; i < 6; i++)
		crowd[i] = create(&b, "", 40, NULL);
	other = create(&b, "other", 40, NULL);
	assert_int_equal(jobs_get(b.jobs, "", other, &job, NULL), -1);
	while (at != JOB_SUCCEEDED) {
		uv_run(&b.loop, UV_RUN_ONCE);
		must(jobs_get(b.jobs, "other", other, &job, &fault));
		at = job.status;
		job_release(&job);
	}
	for (int i = 0; i < 6; i++)
		over += status(&b, crowd[i]) == JOB_SUCCEEDED;
	/* It may be validated while some run; the last wait for it. */
	assert_true(over < 6);
	run_until(&b, crowd[5], JOB_SUCCEEDED);
	for (int i = 0; i < 5; i++)
		assert_int_equal(status(&b, crowd[i]), JOB_SUCCEEDED);
	bench_close(&b);
}

static void a_cancelled_job_leaves_nothing(void **state)
{
	struct bench b;
	const char *running, *waiting, *paused;
	struct error err;
	struct job job;

	bench_open(&b, 1, 10);
	running = create(&b, "", 1000000, NULL);
	run_until(&b, running, JOB_RUNNING);
	waiting = create(&b, "", 1000000, NULL);
	paused = create(&b, "", 1000000, NULL);
	must(jobs_ask(b.jobs, "", paused, JOB_PAUSE, &job, &fault));
	job_release(&job);
	assert_int_equal(files_delete(b.files, "", b.file, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	for (int i = 0; i < 3; i++) {
		const char *const ids[] = { running, waiting, paused };

		must(jobs_ask(b.jobs, "", ids[i], JOB_CANCEL, &job, &fault));
		assert_int_equal(job.status, JOB_CANCELLED);
		job_release(&job);
		assert_int_equal(
			jobs_ask(b.jobs, "", ids[i], JOB_CANCEL, &job, &err),
			-1);
	}
	run_idle(&b);
	assert_int_equal(entries_in(b.dir, "work"), 0);
	assert_int_equal(entries_in(b.dir, "models"), 0);
	must(files_delete(b.files, "", b.file, &fault));
	bench_close(&b);
}

/* The same again, as after a restart: what ran goes on. */
static void jobs_outlive_the_process(void **state)
{
	struct bench b;
	const char *id;
	struct job job;
	uint64_t steps;

	bench_open(&b, 1, 10);
	id = create(&b, "", 3000, NULL);
	run_until(&b, id, JOB_RUNNING);
	do {
		uv_run(&b.loop, UV_RUN_ONCE);
		must(jobs_get(b.jobs, "", id, &job, &fault));
		job_release(&job);
	} while (job.step < 10);
	jobs_down(&b);
	steps = job.step;
	jobs_up(&b, 1, 10);
	assert_int_equal(status(&b, id), JOB_RUNNING);
	do {
		uv_run(&b.loop, UV_RUN_ONCE);
		must(jobs_get(b.jobs, "", id, &job, &fault));
		job_release(&job);
	} while (job.step == 0);
	assert_true(job.step >= steps);
	run_until(&b, id, JOB_SUCCEEDED);
	bench_close(&b);
}

static void the_oldest_that_are_over_make_room(void **state)
{
	struct bench b;
	const char *first, *second, *third;
	struct jobs_page page = { .limit = 10 };
	struct error err;
	json_t *rows;
	struct job job;
	bool more;

	bench_open(&b, 1, 2);
	first = create(&b, "", 3, NULL);
	run_until(&b, first, JOB_SUCCEEDED);
	run_idle(&b);
	second = create(&b, "", 1000000, NULL);
	third = create(&b, "", 1000000, NULL);
	assert_non_null(second);
	assert_non_null(third);
	assert_int_equal(jobs_get(b.jobs, "", first, &job, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(jobs_log(b.jobs, "", first, JOBS_EVENTS, &page, &rows,
				 &more, &err),
		-1);
	assert_null(create(&b, "", 3, &err));
	assert_int_equal(err.code, ERROR_OVERLOADED);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_runs_to_its_model),
		cmocka_unit_test(so_many_run_at_once),
		cmocka_unit_test(owners_take_turns),
		cmocka_unit_test(a_cancelled_job_leaves_nothing),
		cmocka_unit_test(jobs_outlive_the_process),
		cmocka_unit_test(the_oldest_that_are_over_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
