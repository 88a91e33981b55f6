#include "serve/fixture.h"

#include <fcntl.h>

static void model_at(const struct fixture *f, const char *name, uint64_t seed)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fixture_write_model(path, "gru", "char", seed);
}

static void junk_at(const struct fixture *f, const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "not a model", 11), 11);
	close(fd);
}

static void reopen(struct fixture *f, const char *default_name)
{
	struct registry_options o = { .dir = f->dir,
		.default_name = default_name };

	registry_close(f->registry);
	must(registry_open(&f->registry, &o, &fault));
}

static void expect_names(struct fixture *f, const char *names)
{
	struct registry_entry **entries;
	char got[256] = "";
	size_t n;

	must(registry_list(f->registry, &entries, &n, &fault));
	assert_int_equal(n, registry_count(f->registry));
	for (size_t i = 0; i < n; i++) {
		strcat(strcat(got, entries[i]->name), " ");
		registry_unref(entries[i]);
	}
	free(entries);
	assert_string_equal(got, names);
}

/* What is no good is left out and harms nobody. */
static void test_directory(void **state)
{
	struct fixture_options o = { 0 };
	struct registry_entry *m;
	struct fixture f;

	fixture_init(&f, &o);
	model_at(&f, "b.safetensors", 1);
	model_at(&f, "a.safetensors", 2);
	model_at(&f, "b.train.safetensors", 3);
	model_at(&f, "bad name.safetensors", 3);
	model_at(&f, "other.bin", 3);
	junk_at(&f, "broken.safetensors");
	reopen(&f, "b");
	expect_names(&f, "a b tiny ");
	m = fixture_model(&f);
	assert_string_equal(m->name, "b");
	assert_int_equal(m->vocab, 35);
	assert_int_equal(m->state_floats, 48);
	assert_int_equal(m->max_token_bytes, 3);
	assert_true(m->bytes > 0 && m->created > 0);
	assert_null(m->training);
	assert_memory_equal(m->system_fingerprint, m->fingerprint_text, 16);
	assert_non_null(strstr(m->system_fingerprint, "-f32-"));
	registry_unref(m);
	reopen(&f, NULL);
	m = fixture_model(&f);
	assert_string_equal(m->name, "a"); /* the first by name */
	registry_unref(m);
	fixture_release(&f);
}

static void test_what_is_not_there(void **state)
{
	struct fixture_options o = { 0 };
	struct registry_options ro = { .dir = "/nonexistent/models" };
	struct registry *r;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	assert_null(registry_get(f.registry, "other", &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.param, "model");
	assert_non_null(strstr(err.message, "other"));
	assert_int_equal(registry_open(&r, &ro, &err), -1);
	assert_int_equal(err.code, ERROR_IO);
	assert_non_null(strstr(err.message, "/nonexistent/models"));
	ro = (struct registry_options){ .dir = f.dir, .default_name = "nope" };
	assert_int_equal(registry_open(&r, &ro, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.param, "models.default");
	ro = (struct registry_options){ 0 };
	must(registry_open(&r, &ro, &fault));
	assert_null(registry_get(r, NULL, &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	registry_close(r);
	fixture_release(&f);
}

/* Work under way finishes on the old version; new work gets the new one. */
static void test_hot_swap(void **state)
{
	struct fixture_options o = { .threads = 2 };
	struct generate_options g = fixture_request("swap", 3000, 1);
	struct outcome before, during, after;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	fixture_run(&f, &g, &before);
	outcome_init(&during);
	fixture_submit(&f, &g, &during);
	model_at(&f, "tiny.safetensors", 99);
	must(registry_load(f.registry, f.model_path, &fault));
	engine_forget(f.engine);
	fixture_run(&f, &g, &after);
	fixture_until(&f, &during, 1);
	assert_string_equal(outcome_text(&before), outcome_text(&during));
	assert_string_not_equal(outcome_text(&before), outcome_text(&after));
	junk_at(&f, "tiny.safetensors");
	assert_int_equal(registry_load(f.registry, f.model_path, &err), -1);
	expect_names(&f, "tiny ");
	must(registry_unload(f.registry, "tiny", &fault));
	engine_forget(f.engine);
	expect_names(&f, "");
	assert_int_equal(registry_unload(f.registry, "tiny", &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	outcome_release(&before);
	outcome_release(&during);
	outcome_release(&after);
	fixture_release(&f);
}

static void test_default_stays_while_others_remain(void **state)
{
	struct fixture_options o = { 0 };
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	model_at(&f, "b.safetensors", 1);
	reopen(&f, "tiny");
	assert_int_equal(registry_unload(f.registry, "tiny", &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	must(registry_unload(f.registry, "b", &fault));
	must(registry_unload(f.registry, "tiny", &fault));
	fixture_release(&f);
}

static void expect_system(struct fixture *f, const struct registry_options *o,
	const char *weights)
{
	struct registry_entry *m;

	registry_close(f->registry);
	must(registry_open(&f->registry, o, &fault));
	m = fixture_model(f);
	assert_non_null(strstr(m->system, weights));
	registry_unref(m);
}

/* As stored, as all are to be, or as this one is. */
static void test_weights(void **state)
{
	struct fixture_options none = { 0 };
	struct registry_weights own[] = { { "other", WEIGHTS_BF16 },
		{ "tiny", WEIGHTS_INT8 } };
	struct registry_options o = { .weights = REGISTRY_AS_STORED };
	struct fixture f;

	fixture_init(&f, &none);
	o.dir = f.dir;
	o.default_name = "tiny";
	expect_system(&f, &o, "f32-");
	o.weights = WEIGHTS_BF16;
	expect_system(&f, &o, "bf16-");
	o.own_weights = own;
	o.n_own_weights = 2;
	expect_system(&f, &o, "int8-");
	own[1].type = REGISTRY_AS_STORED;
	expect_system(&f, &o, "f32-");
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_what_is_not_there),
		cmocka_unit_test(test_hot_swap),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_default_stays_while_others_remain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
