/* Files are made in a directory of the test's own, which is its current one. */
#include "nn/checkpoint.h"

#include "base/rng.h"
#include "nn/cell.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char home[] = "/tmp/unrolld-checkpoint.XXXXXX";

static const struct architecture lstm = { .cell = "lstm",
	.vocab = 5,
	.hidden = 8,
	.layers = 2,
	.embedding = 8,
	.tied = true };

/* Values that every dtype holds exactly. */
static float plain_value(size_t tensor, size_t i)
{
	return (float)((int)(rng_block(tensor, RNG_INIT, 0, i).v[0] % 255) -
		       127) /
	       64;
}

static struct checkpoint make_model(const struct architecture *a)
{
	struct checkpoint c = { 0 };
	float values[4096];

	assert_int_equal(parameters_open(&c.parameters, a, NULL), 0);
	for (size_t k = 0; k < c.parameters.n_tensors; k++) {
		const struct tensor *t = &c.parameters.tensors[k];
		bool zero =
			a->bias == BIAS_SINGLE && strstr(t->name, "bias_hh");

		assert_true(tensor_size(t) <= 4096);
		for (size_t i = 0; i < tensor_size(t); i++)
			values[i] = zero ? 0 : plain_value(k, i);
		parameters_set(&c.parameters, t, values);
	}
	c.tokenizer = json_pack("{s:s, s:[s%,s,s,s,s]}", "kind", "char",
		"vocabulary", "\0", (size_t)1, "b", "c", "\xc3\xa4", "\n");
	c.training = json_pack("{s:i}", "steps", 7);
	assert_non_null(c.tokenizer);
	return c;
}

static void assert_same(const struct checkpoint *a, const struct checkpoint *b)
{
	const struct architecture *x = &a->parameters.arch;
	const struct architecture *y = &b->parameters.arch;

	assert_string_equal(x->cell, y->cell);
	assert_true(x->vocab == y->vocab && x->hidden == y->hidden &&
		    x->layers == y->layers && x->embedding == y->embedding &&
		    x->tied == y->tied && x->bias == y->bias);
	assert_int_equal(a->parameters.count, b->parameters.count);
	assert_memory_equal(a->parameters.data, b->parameters.data,
		a->parameters.count * sizeof(real));
	assert_true(json_equal(a->tokenizer, b->tokenizer));
	assert_true(a->training ? json_equal(a->training, b->training)
				: !b->training);
	assert_int_equal(a->dtype, b->dtype);
}

/* Each cell, tied or not, embedded or one-hot, in each dtype: the same model,
 * and the same fingerprint. */
static void test_round_trip(void **state)
{
	for (size_t k = 0; cell_at(k); k++) {
		for (unsigned form = 0; form < 4; form++) {
			struct architecture a = lstm;
			struct checkpoint saved, loaded;
			struct error err;
			uint64_t fingerprint;

			strcpy(a.cell, cell_at(k)->name);
			a.tied = form == 0;
			a.embedding = form == 0 ? 8 : form == 1 ? 3 : 0;
			a.bias = form == 3 ? BIAS_SINGLE : BIAS_DOUBLE;
			saved = make_model(&a);
			fingerprint = checkpoint_fingerprint(&saved.parameters);
			for (unsigned d = 0; d < 3; d++) {
				saved.dtype = (enum checkpoint_dtype)d;
				if (checkpoint_save(&saved, "m", &err) ||
					checkpoint_load(&loaded, "m", &err))
					fail_msg("%s", err.message);
				assert_same(&saved, &loaded);
				assert_int_equal(fingerprint,
					checkpoint_fingerprint(
						&loaded.parameters));
				checkpoint_release(&loaded);
			}
			checkpoint_release(&saved);
		}
	}
}

static void test_fingerprint_differs(void **state)
{
	struct checkpoint a = make_model(&lstm), b = make_model(&lstm);
	struct architecture one_hot = lstm;
	uint64_t first = checkpoint_fingerprint(&a.parameters);

	assert_int_equal(first, checkpoint_fingerprint(&b.parameters));
	b.parameters.data[b.parameters.tensors[3].offset] += 1;
	assert_int_not_equal(first, checkpoint_fingerprint(&b.parameters));
	checkpoint_release(&b);
	one_hot.bias = BIAS_SINGLE;
	b = make_model(&one_hot);
	assert_int_not_equal(first, checkpoint_fingerprint(&b.parameters));
	checkpoint_release(&b);
	checkpoint_release(&a);
}

/* A one-hot model's first matrix is held transposed: the fingerprint and the
 * file see it in PyTorch's order all the same. */
static void test_row_major_in_file(void **state)
{
	struct architecture a = {
		.cell = "rnn", .vocab = 3, .hidden = 2, .layers = 1
	};
	struct checkpoint c = make_model(&a);
	const struct tensor *t =
		parameters_find(&c.parameters, "rnn.weight_ih_l0");
	const float want[6] = { 1, 2, 3, 4, 5, 6 };
	struct safetensors s;
	float got[6];

	parameters_set(&c.parameters, t, want);
	assert_true(c.parameters.data[t->offset + 1] == 4);
	assert_int_equal(checkpoint_save(&c, "m", NULL), 0);
	assert_int_equal(safetensors_open(&s, "m", NULL), 0);
	assert_int_equal(
		safetensors_floats(safetensors_find(&s, t->name), got, NULL),
		0);
	assert_memory_equal(got, want, sizeof(want));
	safetensors_close(&s);
	checkpoint_release(&c);
}

/* What a file of `c` would hold, for tests to spoil. */
struct parts {
	struct safetensors_entry entries[16];
	float values[16][600];
	size_t n;
	json_t *unrolld;
};

static void take_apart(struct parts *p, const struct checkpoint *c)
{
	p->n = c->parameters.n_tensors;
	for (size_t i = 0; i < p->n; i++) {
		const struct tensor *t = &c->parameters.tensors[i];

		p->entries[i] = checkpoint_entry(t, CHECKPOINT_F32);
		parameters_get(&c->parameters, t, p->values[i]);
		p->entries[i].data = p->values[i];
	}
	p->unrolld =
		json_pack("{s:i, s:o, s:O, s:O}", "format", 1, "architecture",
			checkpoint_architecture_json(&c->parameters.arch),
			"tokenizer", c->tokenizer, "training", c->training);
}

static void assert_refused_text(struct parts *p, const char *text,
	enum error_code code, const char *message)
{
	json_t *metadata = text ? json_pack("{s:s}", "unrolld", text) : NULL;
	struct checkpoint c;
	struct error err;

	assert_int_equal(
		safetensors_write("bad", metadata, p->entries, p->n, NULL), 0);
	assert_int_equal(checkpoint_load(&c, "bad", &err), -1);
	if (strncmp(err.message, "bad: ", 5) ||
		strncmp(err.message + 5, message, strlen(message)))
		fail_msg("%s\nexpected %s", err.message, message);
	assert_int_equal(err.code, code);
	assert_null(c.parameters.data);
	assert_null(c.tokenizer);
	json_decref(metadata);
}

static void assert_refused(
	struct parts *p, enum error_code code, const char *message)
{
	char *text = json_dumps(p->unrolld, 0);

	assert_refused_text(p, text, code, message);
	free(text);
}

static void test_bad_tensors(void **state)
{
	static struct parts p;
	struct checkpoint c = make_model(&lstm);
	struct safetensors_entry kept;
	uint16_t half[40] = { 0 };

	take_apart(&p, &c);
	kept = p.entries[2];
	assert_string_equal(kept.name, "rnn.weight_hh_l0");
	p.entries[2].shape[0] = 16;
	p.entries[2].shape[1] = 16;
	assert_refused(&p, ERROR_CORRUPT,
		"tensor rnn.weight_hh_l0: shape [16,16], expected [32,8]");
	p.entries[2].shape[0] = 256;
	p.entries[2].n_dims = 1;
	assert_refused(&p, ERROR_CORRUPT,
		"tensor rnn.weight_hh_l0: shape [256], expected [32,8]");
	p.entries[2] = kept;
	p.entries[2].name = (char *)"rnn.weight_hh_l7";
	assert_refused(&p, ERROR_CORRUPT,
		"tensor rnn.weight_hh_l7: unexpected in this architecture");
	p.entries[2] = kept;
	p.values[2][17] = NAN;
	assert_refused(
		&p, ERROR_CORRUPT, "tensor rnn.weight_hh_l0: value 17 is NaN");
	p.values[2][17] = -INFINITY;
	assert_refused(&p, ERROR_CORRUPT,
		"tensor rnn.weight_hh_l0: value 17 is minus infinite");
	p.values[2][17] = 0;
	p.n--;
	assert_refused(&p, ERROR_CORRUPT, "tensor output.bias: missing");
	p.n++;
	kept = p.entries[p.n - 1];
	p.entries[p.n - 1].dtype = SAFETENSORS_F16;
	p.entries[p.n - 1].bytes = 10;
	p.entries[p.n - 1].data = half;
	assert_refused(&p, ERROR_CORRUPT,
		"tensor output.bias: dtype F16, but embedding.weight is F32");
	p.entries[p.n - 1] = kept;
	p.entries[0].dtype = SAFETENSORS_U32;
	assert_refused(&p, ERROR_UNSUPPORTED,
		"tensor embedding.weight: dtype U32, expected F32, BF16 or "
		"F16");
	json_decref(p.unrolld);
	checkpoint_release(&c);
}

static void set(struct parts *p, const char *field, json_t *value)
{
	json_t *where = p->unrolld;

	if (!json_object_get(where, field))
		where = json_object_get(where, "architecture");
	json_object_set_new(where, field, value);
}

static void test_bad_metadata(void **state)
{
	static const struct {
		const char *field, *json, *message;
		enum error_code code;
	} cases[] = {
		{ "format", "2", "metadata unrolld: format 2, expected 1",
			ERROR_UNSUPPORTED },
		{ "format", "\"1\"",
			"metadata unrolld: format is missing or not an integer",
			ERROR_CORRUPT },
		{ "architecture", "[]",
			"metadata unrolld: architecture is missing or not an "
			"object",
			ERROR_CORRUPT },
		{ "tokenizer", "null",
			"metadata unrolld: tokenizer is missing or not an "
			"object",
			ERROR_CORRUPT },
		{ "training", "3",
			"metadata unrolld: training is missing or not an "
			"object",
			ERROR_CORRUPT },
		{ "cell", "\"transformer\"",
			"metadata unrolld: cell is 'transformer', expected",
			ERROR_CORRUPT },
		{ "cell", "\"a name much too long for the field\"",
			"metadata unrolld: cell is missing or not",
			ERROR_CORRUPT },
		{ "vocab", "1",
			"metadata unrolld: vocab is 1, expected 2 to 16777216",
			ERROR_CORRUPT },
		{ "hidden", "-8",
			"metadata unrolld: hidden is missing or not a whole "
			"number",
			ERROR_CORRUPT },
		{ "hidden", "16384",
			"metadata unrolld: tied output wants embedding = "
			"hidden",
			ERROR_CORRUPT },
		{ "layers", "9",
			"metadata unrolld: layers is 9, expected 1 to 8",
			ERROR_CORRUPT },
		{ "layers", "3", "tensor rnn.weight_ih_l2: missing",
			ERROR_CORRUPT },
		{ "layers", "1",
			"tensor rnn.weight_ih_l1: unexpected in this "
			"architecture",
			ERROR_CORRUPT },
		{ "embedding", "8.0",
			"metadata unrolld: embedding is missing or not a whole "
			"number",
			ERROR_CORRUPT },
		{ "tied", "1",
			"metadata unrolld: tied is missing or not true or "
			"false",
			ERROR_CORRUPT },
		{ "bias", "\"none\"",
			"metadata unrolld: bias is missing or not \"double\" "
			"or \"single\"",
			ERROR_CORRUPT },
		{ "bias", "\"single\"", "tensor rnn.bias_hh_l0: value 0 is",
			ERROR_CORRUPT },
		{ "peephole", "true",
			"metadata unrolld: unknown field \"peephole\" in "
			"architecture",
			ERROR_CORRUPT },
		/* A tiny file that speaks of a huge model costs nothing. */
		{ "vocab", "16777216",
			"tensor embedding.weight: shape [5,8], expected "
			"[16777216,8]",
			ERROR_CORRUPT },
	};
	struct checkpoint c = make_model(&lstm);
	static struct parts p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		take_apart(&p, &c);
		set(&p, cases[i].field,
			json_loads(cases[i].json, JSON_DECODE_ANY, NULL));
		assert_refused(&p, cases[i].code, cases[i].message);
		json_decref(p.unrolld);
	}
	take_apart(&p, &c);
	json_object_set_new(p.unrolld, "extra", json_true());
	assert_refused(
		&p, ERROR_CORRUPT, "metadata unrolld: unknown field \"extra\"");
	json_decref(p.unrolld);
	assert_refused_text(
		&p, NULL, ERROR_CORRUPT, "metadata has no \"unrolld\"");
	assert_refused_text(
		&p, "", ERROR_CORRUPT, "metadata unrolld: not valid JSON");
	assert_refused_text(&p, "[]", ERROR_CORRUPT,
		"metadata unrolld: object is missing or not an object");
	assert_refused_text(&p, "{\"format\":1,\"format\":1}", ERROR_CORRUPT,
		"metadata unrolld: not valid JSON: duplicate object key");
	checkpoint_release(&c);
}

/* The last good checkpoint survives what can't be saved. */
static void test_save_refuses(void **state)
{
	struct checkpoint c = make_model(&lstm), old;
	const struct tensor *t = parameters_find(&c.parameters, "output.bias");
	real *value = &c.parameters.data[t->offset + 4];
	uint64_t fingerprint = checkpoint_fingerprint(&c.parameters);
	struct error err;

	assert_int_equal(checkpoint_save(&c, "m", NULL), 0);
	*value = (real)NAN;
	assert_int_equal(checkpoint_save(&c, "m", &err), -1);
	assert_int_equal(err.code, ERROR_DIVERGED);
	assert_non_null(
		strstr(err.message, "m: tensor output.bias: value 4 is NaN"));
	*value = 65520;
	c.dtype = CHECKPOINT_F16;
	assert_int_equal(checkpoint_save(&c, "m", &err), -1);
	assert_non_null(strstr(err.message,
		"m: tensor output.bias: value 4 is 65520, too large for F16"));
	*value = (real)FLT_MAX;
	c.dtype = CHECKPOINT_BF16;
	assert_int_equal(checkpoint_save(&c, "m", &err), -1);
	assert_non_null(strstr(err.message, "too large for BF16"));
	c.dtype = CHECKPOINT_F32;
	assert_int_equal(checkpoint_save(&c, "no/dir/m", &err), -1);
	assert_non_null(strstr(err.message, "no/dir/m"));
	assert_int_equal(checkpoint_load(&old, "m", NULL), 0);
	assert_int_equal(fingerprint, checkpoint_fingerprint(&old.parameters));
	checkpoint_release(&old);
	checkpoint_release(&c);
}

static void test_overwriting_harms_nobody(void **state)
{
	struct checkpoint c = make_model(&lstm), loaded;

	assert_int_equal(checkpoint_save(&c, "m", NULL), 0);
	assert_int_equal(checkpoint_load(&loaded, "m", NULL), 0);
	assert_int_equal(truncate("m", 0), 0);
	assert_same(&c, &loaded);
	assert_int_equal(checkpoint_save(&c, "m", NULL), 0);
	checkpoint_release(&loaded);
	assert_int_equal(checkpoint_load(&loaded, "m", NULL), 0);
	assert_same(&c, &loaded);
	checkpoint_release(&loaded);
	json_decref(c.training);
	c.training = NULL;
	assert_int_equal(checkpoint_save(&c, "m", NULL), 0);
	assert_int_equal(checkpoint_load(&loaded, "m", NULL), 0);
	assert_null(loaded.training);
	checkpoint_release(&loaded);
	checkpoint_release(&c);
}

static int enter(void **state)
{
	return mkdtemp(home) && chdir(home) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", home);
	return chdir("/") || system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_fingerprint_differs),
		cmocka_unit_test(test_row_major_in_file),
		cmocka_unit_test(test_bad_tensors),
		cmocka_unit_test(test_bad_metadata),
		cmocka_unit_test(test_save_refuses),
		cmocka_unit_test(test_overwriting_harms_nobody),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
