/* The body of a job: wherever it is stopped or killed and begun again, it makes
 * the same model, to the bit. */
#include "serve/fixture.h"

#include "nn/checkpoint.h"
#include "serve/finetune.h"

#include <math.h>
#include <sys/stat.h>

static char home[] = "/tmp/unrolld-finetune-XXXXXX";
static char model[128], text[128];

struct listener {
	unsigned messages, metrics, checkpoints, samples;
	double last_valid;
};

static void hear(void *arg, const struct finetune_event *e)
{
	struct listener *l = arg;

	assert_true(strlen(e->message) > 0);
	l->messages += !e->metrics;
	l->metrics += e->metrics;
	l->checkpoints += e->checkpoint;
	if (e->checkpoint)
		l->last_valid = e->valid_loss;
	l->samples += e->sample_len > 0;
}

static atomic_bool stop;

static struct finetune_request request(const char *dir, struct listener *l)
{
	struct finetune_request r = { .base = model,
		.base_name = "m",
		.seed = 11,
		.training = { .path = text, .name = "t", .encoding = "utf-8" },
		.dir = dir,
		.stop = &stop,
		.tell = hear,
		.arg = l };

	finetune_defaults(&r.options);
	r.options.batch = 3;
	r.options.seq_length = 7;
	r.options.max_steps = 40;
	r.options.checkpoints = 10;
	return r;
}

static struct finetune *begin(const char *dir, struct listener *l)
{
	struct finetune_request r = request(dir, l);
	struct finetune *f;

	must(finetune_open(&f, &r, &fault));
	return f;
}

static uint64_t fingerprint(const char *path)
{
	struct checkpoint c;
	uint64_t hash;

	must(checkpoint_load(&c, path, &fault));
	hash = checkpoint_fingerprint(&c.parameters);
	checkpoint_release(&c);
	return hash;
}

static uint64_t finish(struct finetune *f, struct finetune_report *r)
{
	char path[160];
	struct error err;
	int more;

	while ((more = finetune_run(f, 1, &err)) == 1)
		;
	if (more < 0)
		fail_msg("%s", err.message);
	finetune_report(f, r);
	snprintf(path, sizeof(path), "%s/made.safetensors", home);
	must(finetune_publish(f, path, &fault));
	finetune_close(f);
	return fingerprint(path);
}

static const char *dir_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", home, name);
	return path;
}

static uint64_t whole(struct finetune_report *r)
{
	static unsigned times;
	struct listener l = { 0 };
	char dir[160];
	uint64_t made;

	snprintf(dir, sizeof(dir), "%s/whole-%u", home, times++);
	made = finish(begin(dir, &l), r);

	assert_int_equal(l.checkpoints, 4);
	assert_int_equal(l.samples, 4);
	assert_true(l.messages >= 2 && l.metrics >= 4);
	return made;
}

static void it_learns(void **state)
{
	struct finetune_report r;

	whole(&r);
	assert_int_equal(r.step, 40);
	assert_int_equal(r.last_step, 40);
	assert_true(r.loss_after < r.loss_before);
	assert_true(r.loss_after == r.best_loss);
	assert_int_equal(r.tokens, 40 * 3 * 7);
}

/* A slice of one nanosecond does one thing at a time: stop after each number of
 * them, orderly (with a save) and as a crash would (without). */
static void it_goes_on_exactly(void **state)
{
	struct finetune_report r, again;
	uint64_t made = whole(&r);

	for (int saves = 0; saves < 2; saves++)
		for (int n = 1; n < 60; n += 7) {
			struct listener l = { 0 };
			char dir[160];
			struct finetune *f;
			struct error err;

			snprintf(dir, sizeof(dir), "%s/stop-%d-%d", home, saves,
				n);
			/* Three times, so that it is stopped all over. */
			for (int turn = 0; turn < 3; turn++) {
				f = begin(dir, &l);
				for (int i = 0; i < n; i++)
					if (finetune_run(f, 1, &err) == 0)
						break;
				if (saves)
					must(finetune_save(f, &fault));
				finetune_close(f);
			}
			assert_true(finish(begin(dir, &l), &again) == made);
			assert_true(again.loss_before == r.loss_before);
			assert_true(again.loss_after == r.loss_after);
			assert_int_equal(again.best_step, r.best_step);
		}
}

/* What it was begun with is its own: the model may change or go. */
static void it_keeps_its_base(void **state)
{
	char dir[160], away[160];
	struct finetune_report r, again;
	struct listener l = { 0 };
	uint64_t made = whole(&r);
	struct finetune *f;
	struct error err;

	snprintf(dir, sizeof(dir), "%s/own", home);
	snprintf(away, sizeof(away), "%s/away", home);
	f = begin(dir, &l);
	assert_int_equal(finetune_run(f, 1, &err), 1);
	finetune_close(f);
	assert_int_equal(rename(model, away), 0);
	assert_true(finish(begin(dir, &l), &again) == made);
	f = begin(dir_of("new"), &l);
	assert_int_equal(finetune_run(f, 1, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	finetune_close(f);
	assert_int_equal(rename(away, model), 0);
}

static void it_stops_when_told(void **state)
{
	struct listener l = { 0 };
	struct finetune *f = begin(dir_of("stopped"), &l);
	struct finetune_report r;
	struct error err;

	atomic_store(&stop, true);
	assert_int_equal(finetune_run(f, UINT64_MAX, &err), 1);
	finetune_report(f, &r);
	assert_int_equal(r.step, 0);
	atomic_store(&stop, false);
	assert_int_equal(finetune_run(f, UINT64_MAX, &err), 0);
	finetune_close(f);
}

static void a_changed_text_is_refused(void **state)
{
	struct listener l = { 0 };
	struct finetune *f;
	struct error err;
	FILE *file;

	f = begin(dir_of("changed"), &l);
	for (int i = 0; i < 4; i++)
		assert_int_equal(finetune_run(f, 1, &err), 1);
	must(finetune_save(f, &fault));
	finetune_close(f);
	file = fopen(text, "a");
	fputs("more", file);
	fclose(file);
	f = begin(dir_of("changed"), &l);
	assert_int_equal(finetune_run(f, 1, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	finetune_close(f);
	assert_int_equal(truncate(text, 40 * 45), 0);
}

static void it_diverges_by_name(void **state)
{
	struct listener l = { 0 };
	struct finetune_request r = request(dir_of("diverged"), &l);
	struct finetune *f;
	struct error err = { 0 };

	r.options.learning_rate = 1e9;
	r.options.schedule = 0;
	must(finetune_open(&f, &r, &fault));
	while (finetune_run(f, 1, &err) == 1)
		;
	assert_int_equal(err.code, ERROR_DIVERGED);
	assert_non_null(strstr(err.message, " at step "));
	finetune_close(f);
}

static void a_time_limit_ends_it_well(void **state)
{
	struct listener l = { 0 };
	struct finetune_request r = request(dir_of("limit"), &l);
	struct finetune_report report;
	struct finetune *f;

	r.options.time_limit = 1e-9;
	must(finetune_open(&f, &r, &fault));
	finish(f, &report);
	assert_int_equal(report.step, 1);
	assert_int_equal(report.last_step, 1);
	assert_false(isnan(report.loss_after));
}

static void texts_are_checked(void **state)
{
	struct listener l = { 0 };
	struct finetune_request r = request(dir_of("checked"), &l);
	struct finetune_report report;
	struct error err;

	must(finetune_check(&r, &report, &fault));
	assert_int_equal(report.corpus_tokens, 40 * 45);
	r.options.batch = 4096;
	assert_int_equal(finetune_check(&r, &report, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.message, "t: the text has 1800 tokens"));
}

static int enter(void **state)
{
	FILE *f;

	if (!mkdtemp(home))
		return -1;
	snprintf(model, sizeof(model), "%s/m.safetensors", home);
	snprintf(text, sizeof(text), "%s/text", home);
	fixture_write_model(model, "lstm", "char", 3);
	f = fopen(text, "w");
	for (int i = 0; i < 40; i++)
		fprintf(f, "the quick brown fox, a lazy dog. zeal A B C\n");
	for (int i = 0; i < 40; i++)
		fputs("Z", f);
	return fclose(f) || truncate(text, 40 * 45);
}

static int leave(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", home);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_learns),
		cmocka_unit_test(it_goes_on_exactly),
		cmocka_unit_test(it_keeps_its_base),
		cmocka_unit_test(it_stops_when_told),
		cmocka_unit_test(a_changed_text_is_refused),
		cmocka_unit_test(it_diverges_by_name),
		cmocka_unit_test(a_time_limit_ends_it_well),
		cmocka_unit_test(texts_are_checked),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
