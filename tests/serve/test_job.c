/* The record of a job and the machine of its states, without threads. */
#include "test.h"

#include "serve/job.h"

#include <math.h>
#include <string.h>

/* Every edge there is; all others are refused and change nothing. */
static const struct edge {
	enum job_status from;
	enum job_verb verb;
	enum job_status to;
} edges[] = {
	{ JOB_VALIDATING, JOB_VALIDATED, JOB_QUEUED },
	{ JOB_VALIDATING, JOB_PAUSE, JOB_PAUSED },
	{ JOB_VALIDATING, JOB_CANCEL, JOB_CANCELLED },
	{ JOB_VALIDATING, JOB_FAIL, JOB_FAILED },
	{ JOB_QUEUED, JOB_START, JOB_RUNNING },
	{ JOB_QUEUED, JOB_PAUSE, JOB_PAUSED },
	{ JOB_QUEUED, JOB_CANCEL, JOB_CANCELLED },
	{ JOB_QUEUED, JOB_FAIL, JOB_FAILED },
	{ JOB_RUNNING, JOB_YIELD, JOB_QUEUED },
	{ JOB_RUNNING, JOB_PAUSE, JOB_PAUSED },
	{ JOB_RUNNING, JOB_CANCEL, JOB_CANCELLED },
	{ JOB_RUNNING, JOB_SUCCEED, JOB_SUCCEEDED },
	{ JOB_RUNNING, JOB_FAIL, JOB_FAILED },
	{ JOB_PAUSED, JOB_RESUME, JOB_VALIDATING },
	{ JOB_PAUSED, JOB_CANCEL, JOB_CANCELLED },
};

static const struct edge *edge_of(int from, int verb)
{
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		if (edges[i].from == (enum job_status)from &&
			edges[i].verb == (enum job_verb)verb)
			return &edges[i];
	return NULL;
}

static void every_edge(void **state)
{
	struct error err;

	for (int from = 0; from < JOB_STATUSES; from++)
		for (int verb = 0; verb < JOB_VERBS; verb++) {
			const struct edge *edge = edge_of(from, verb);
			struct job j;

			job_init(&j);
			strcpy(j.id, "ftjob-x");
			j.status = from;
			if (edge) {
				assert_int_equal(
					job_move(&j, (enum job_verb)verb, 7,
						&err),
					0);
				assert_int_equal(j.status, edge->to);
				assert_int_equal(
					j.finished, job_is_over(&j) ? 7 : 0);
				continue;
			}
			assert_int_equal(
				job_move(&j, (enum job_verb)verb, 7, &err), -1);
			assert_int_equal(err.code, ERROR_CONFLICT);
			assert_string_equal(err.param, "status");
			assert_non_null(
				strstr(err.message, job_status_name(from)));
			assert_int_equal(j.status, from);
			assert_int_equal(j.finished, 0);
		}
}

/* A job that was paused goes on where it was: its files are checked once. */
static void it_resumes_as_far_as_it_had_come(void **state)
{
	struct job j;

	job_init(&j);
	job_move(&j, JOB_PAUSE, 1, NULL);
	job_move(&j, JOB_RESUME, 2, NULL);
	assert_int_equal(j.status, JOB_VALIDATING);
	job_move(&j, JOB_VALIDATED, 3, NULL);
	job_move(&j, JOB_START, 4, NULL);
	job_move(&j, JOB_PAUSE, 5, NULL);
	job_move(&j, JOB_RESUME, 6, NULL);
	assert_int_equal(j.status, JOB_QUEUED);
	job_move(&j, JOB_START, 7, NULL);
	assert_int_equal(j.started, 4);
}

static void a_record_comes_back_as_it_was(void **state)
{
	static const char hyper[] = "{\"n_epochs\": 1.5, \"batch_size\": 9, "
				    "\"dropout\": \"auto\", \"unknown\": "
				    "\"skip\", \"schedule\": \"constant\"}";
	json_t *json = json_loads(hyper, 0, NULL);
	struct job a, b;
	struct buf text, again;

	job_init(&a);
	strcpy(a.id, "ftjob-abcdefghij");
	strcpy(a.owner, "me");
	strcpy(a.model, "shakespeare");
	strcpy(a.suffix, "s");
	assert_int_equal(job_name_result(&a, NULL), 0);
	assert_int_equal(finetune_options_read(&a.options, json, NULL), 0);
	a.status = JOB_RUNNING;
	a.seed = UINT64_MAX;
	a.corpus_hash = UINT64_MAX - 1;
	a.loss_before = 2.5;
	a.step = 12;
	a.metadata = json_pack("{s:s}", "k", "v");
	buf_init(&text, 1 << 16);
	buf_init(&again, 1 << 16);
	assert_int_equal(job_save(&a, &text, NULL), 0);
	assert_int_equal(job_load(&b, text.data, text.len, NULL), 0);
	assert_int_equal(job_save(&b, &again, NULL), 0);
	assert_string_equal(text.data, again.data);
	assert_true(b.seed == UINT64_MAX && b.corpus_hash == UINT64_MAX - 1);
	assert_true(isnan(b.loss_after) && b.loss_before == 2.5);
	assert_int_equal(b.options.batch, 9);
	assert_true(b.options.dropout == -1);
	assert_int_equal(b.options.unknown, FINETUNE_SKIP);
	assert_int_equal(b.status, JOB_RUNNING);
	assert_int_equal(json_equal(a.metadata, b.metadata), 1);
	/* None of its beginnings is taken for a record. */
	for (size_t n = 0; n < text.len; n++) {
		struct error err;
		struct job c;

		assert_int_equal(job_load(&c, text.data, n, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
	}
	job_release(&a);
	job_release(&b);
	buf_release(&text);
	buf_release(&again);
	json_decref(json);
}

static void results_are_named(void **state)
{
	static const char *const names[][3] = {
		{ "shakespeare", "", "ft:shakespeare::abcdefgh" },
		{ "shakespeare", "x.y", "ft:shakespeare:x.y:abcdefgh" },
		{ "ft:base:old:12345678", "new", "ft:base:new:abcdefgh" },
		{ "", "", "ft:scratch::abcdefgh" },
	};
	struct error err;
	struct job j;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		job_init(&j);
		strcpy(j.id, JOB_ID_PREFIX "abcdefghij");
		strcpy(j.model, names[i][0]);
		strcpy(j.suffix, names[i][1]);
		assert_int_equal(job_name_result(&j, &err), 0);
		assert_string_equal(j.result, names[i][2]);
	}
	memset(j.model, 'm', REGISTRY_NAME_MAX);
	assert_int_equal(job_name_result(&j, &err), -1);
	assert_string_equal(err.param, "suffix");
}

static void hyperparameters_are_checked(void **state)
{
	static const char *const bad[][2] = {
		{ "{\"n_epochs\": 0}", "hyperparameters.n_epochs" },
		{ "{\"batch_size\": 1.5}", "hyperparameters.batch_size" },
		{ "{\"batch_size\": -1}", "hyperparameters.batch_size" },
		{ "{\"batch_size\": \"many\"}", "hyperparameters.batch_size" },
		{ "{\"dropout\": 1}", "hyperparameters.dropout" },
		{ "{\"unknown\": \"guess\"}", "hyperparameters.unknown" },
		{ "{\"optimizer\": \"sgdd\"}", "hyperparameters.optimizer" },
		{ "{\"optimizer\": 3}", "hyperparameters.optimizer" },
		{ "{\"max_steps\": \"auto\"}", "hyperparameters.max_steps" },
		{ "{\"rate\": 1}", "hyperparameters.rate" },
	};
	struct finetune_options o;
	struct error err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *json = json_loads(bad[i][0], 0, NULL);

		finetune_defaults(&o);
		assert_int_equal(finetune_options_read(&o, json, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.param, bad[i][1]);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_edge),
		cmocka_unit_test(it_resumes_as_far_as_it_had_come),
		cmocka_unit_test(a_record_comes_back_as_it_was),
		cmocka_unit_test(results_are_named),
		cmocka_unit_test(hyperparameters_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
