#include "http/job_answer.h"

#include "base/rng.h"

#include <math.h>
#include <string.h>

/* What was left to us is told once it is chosen. */
static json_t *hyperparameters(const struct job *job)
{
	json_t *json = finetune_options_json(&job->options);

	if (job->epochs > 0)
		json_object_set_new(json, "n_epochs", json_real(job->epochs));
	if (job->batch)
		json_object_set_new(json, "batch_size",
			json_integer((json_int_t)job->batch));
	if (job->seq_length)
		json_object_set_new(json, "seq_length",
			json_integer((json_int_t)job->seq_length));
	return json;
}

static json_t *optional_text(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *optional_real(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

static json_t *optional_time(int64_t t)
{
	return t ? json_integer((json_int_t)t) : json_null();
}

static json_t *estimated_finish(const struct job *job)
{
	double left;

	if (job->status != JOB_RUNNING || !job->step || !(job->seconds > 0))
		return json_null();
	left = job->seconds / (double)job->step *
	       (double)(job->last_step - job->step);
	return json_integer(
		(json_int_t)(store_now() / 1000) + (json_int_t)ceil(left));
}

static json_t *fault(const struct job *job)
{
	if (job->status != JOB_FAILED)
		return json_null();
	return json_pack("{s:s, s:s, s:o}", "code", job->error_code, "message",
		job->error_message, "param", optional_text(job->error_param));
}

static json_t *progress(const struct job *job)
{
	return json_pack("{s:I, s:I, s:f, s:o, s:f, s:f, s:I}", "step",
		(json_int_t)job->step, "total_steps",
		(json_int_t)job->last_step, "epoch", job->epoch, "train_loss",
		optional_real(job->train_loss), "seconds", job->seconds,
		"tokens_per_second",
		job->status == JOB_RUNNING ? job->tokens_per_second : 0.0,
		"best_step", (json_int_t)job->best_step);
}

static json_t *losses(const struct job *job)
{
	return json_pack("{s:o, s:o, s:o}", "before",
		optional_real(job->loss_before), "best",
		optional_real(job->valid_loss), "after",
		optional_real(job->loss_after));
}

static json_t *corpus(const struct job *job)
{
	if (!job->corpus_tokens)
		return json_null();
	return json_pack("{s:o, s:I, s:I, s:I}", "hash",
		json_sprintf("%016llx", (unsigned long long)job->corpus_hash),
		"tokens", (json_int_t)job->corpus_tokens, "skipped",
		(json_int_t)job->skipped, "new_tokens",
		(json_int_t)job->extended);
}

/* OpenAI's part. */
static json_t *common(const struct job *job)
{
	bool made = job->status == JOB_SUCCEEDED;

	return json_pack(
		"{s:s, s:s, s:I, s:o, s:o, s:s, s:o, s:s, s:s, s:o, s:o, s:[], "
		"s:I, s:o, s:o, s:I, s:o, s:[], s:{s:s, s:{s:o}}, s:o}",
		"object", "fine_tuning.job", "id", job->id, "created_at",
		(json_int_t)job->created, "started_at",
		optional_time(job->started), "finished_at",
		optional_time(job->finished), "model",
		*job->model ? job->model : "scratch", "fine_tuned_model",
		optional_text(made ? job->result : ""), "organization_id",
		"unrolld", "status", job_status_name(job->status),
		"hyperparameters", hyperparameters(job), "validation_file",
		optional_text(job->validation_file), "result_files",
		"trained_tokens", (json_int_t)job->trained_tokens, "error",
		fault(job), "user_provided_suffix", optional_text(job->suffix),
		"seed", (json_int_t)job->seed, "estimated_finish",
		estimated_finish(job), "integrations", "method", "type",
		"supervised", "supervised", "hyperparameters",
		hyperparameters(job), "metadata",
		job->metadata ? json_incref(job->metadata) : json_null());
}

json_t *job_describe(const struct job *job)
{
	json_t *json = common(job);
	int failed;

	failed = json_object_set_new(json, "training_file",
			 json_string(job->training_file)) |
		 json_object_set_new(json, "from",
			 json_string(*job->model ? "model" : "scratch")) |
		 json_object_set_new(json, "require_improvement",
			 json_boolean(job->require_improvement)) |
		 json_object_set_new(json, "progress", progress(job)) |
		 json_object_set_new(json, "losses", losses(job)) |
		 json_object_set_new(json, "corpus", corpus(job));
	if (!*job->model)
		failed |= json_object_set_new(
			json, "architecture", job_architecture_json(job));
	if (!failed)
		return json;
	json_decref(json);
	return NULL;
}

/* --- a body ------------------------------------------------------------- */

struct body {
	const char *model, *training_file, *validation_file, *suffix;
	uint64_t seed;
	int from;
	const json_t *architecture, *hyperparameters, *method, *metadata;
	const json_t *integrations;
	bool require_improvement;
};

enum {
	BODY_MODEL,
	BODY_TRAINING_FILE,
	BODY_VALIDATION_FILE,
	BODY_SUFFIX,
	BODY_SEED,
	BODY_FROM,
	BODY_ARCHITECTURE,
	BODY_HYPERPARAMETERS,
	BODY_METHOD,
	BODY_METADATA,
	BODY_INTEGRATIONS,
	BODY_REQUIRE_IMPROVEMENT,
};

#define AT(member) .offset = offsetof(struct body, member)
#define OBJECT .type = FIELD_JSON, .schema = "{\"type\":\"object\"}"
#define AUTO "\"oneOf\":[{\"type\":\"number\"},{\"const\":\"auto\"}]"
#define HYPERPARAMETERS                                                   \
	"{\"type\":\"object\",\"properties\":{\"n_epochs\":{" AUTO        \
	"},\"batch_size\":{" AUTO "},\"learning_rate_multiplier\":{" AUTO \
	"},\"seq_length\":{" AUTO "},\"learning_rate\":{" AUTO            \
	"},\"dropout\":{" AUTO "},\"checkpoint_every\":{" AUTO            \
	"},\"optimizer\":{\"type\":\"string\"},\"clip\":{\"type\":"       \
	"\"number\"},\"schedule\":{\"enum\":[\"constant\","               \
	"\"epoch-decay\",\"cosine\"]},\"unknown\":{\"enum\":[\"extend\"," \
	"\"skip\",\"error\"]},\"validation_fraction\":{\"type\":"         \
	"\"number\"},\"max_steps\":{\"type\":\"integer\"},"               \
	"\"time_limit_s\":{\"type\":\"number\"}},"                        \
	"\"additionalProperties\":false}"
#define ARCHITECTURE                                                  \
	"{\"type\":\"object\",\"properties\":{\"cell\":{\"type\":"    \
	"\"string\"},\"hidden\":{\"type\":\"integer\"},\"layers\":{"  \
	"\"type\":\"integer\"},\"embedding\":{\"type\":\"integer\"}," \
	"\"tied\":{\"type\":\"boolean\"},\"tokenizer\":{\"type\":"    \
	"\"string\"}},\"additionalProperties\":false}"

const struct field job_fields[] = {
	[BODY_MODEL] = { .name = "model",
		.type = FIELD_NAME,
		AT(model),
		.max = REGISTRY_NAME_MAX,
		.help = "The model to begin with; the default one without it" },
	[BODY_TRAINING_FILE] = { .name = "training_file",
		.type = FIELD_NAME,
		AT(training_file),
		.max = FILE_ID_MAX,
		.help = "The id of an uploaded file to learn from" },
	[BODY_VALIDATION_FILE] = { .name = "validation_file",
		.type = FIELD_NAME,
		AT(validation_file),
		.max = FILE_ID_MAX,
		.help = "The id of a file to measure by; without it the end of "
			"the training file is held out" },
	[BODY_SUFFIX] = { .name = "suffix",
		.type = FIELD_NAME,
		AT(suffix),
		.max = JOB_SUFFIX_MAX,
		.help = "A part of the new model's name: letters, digits, '.', "
			"'_' and '-'" },
	[BODY_SEED] = { .name = "seed",
		.type = FIELD_SEED,
		AT(seed),
		.help = "Of dropout and initial weights; random without it" },
	[BODY_FROM] = { .name = "from",
		.type = FIELD_CHOICE,
		AT(from),
		.choices = "model|scratch",
		.help = "Begin with a model, or with random weights of an "
			"architecture",
		.preset = "\"model\"" },
	[BODY_ARCHITECTURE] = { .name = "architecture",
		.type = FIELD_JSON,
		AT(architecture),
		.schema = ARCHITECTURE,
		.help = "From scratch: what kind of model" },
	[BODY_HYPERPARAMETERS] = { .name = "hyperparameters",
		.type = FIELD_JSON,
		AT(hyperparameters),
		.schema = HYPERPARAMETERS,
		.help = "How to train" },
	[BODY_METHOD] = { AT(method), OBJECT, .name = "method",
		.help = "The same in OpenAI's other place: {type: "
			"\"supervised\", supervised: {hyperparameters}}" },
	[BODY_METADATA] = { AT(metadata), OBJECT, .name = "metadata",
		.help = "Anything to keep with it" },
	[BODY_INTEGRATIONS] = { .name = "integrations",
		.type = FIELD_JSON,
		AT(integrations),
		.schema = "{\"type\":\"array\"}",
		.help = "Taken for OpenAI's clients, and ignored" },
	[BODY_REQUIRE_IMPROVEMENT] = { .name = "require_improvement",
		.type = FIELD_BOOL,
		AT(require_improvement),
		.help = "Fail, and make no model, when the held-out loss does "
			"not fall",
		.preset = "false" },
};
const size_t n_job_fields = sizeof(job_fields) / sizeof(job_fields[0]);

static int wrong(const char *name, const json_t *value, const char *expected,
	struct error *err)
{
	char what[96];

	request_describe(value, what, sizeof(what));
	return error_set_param(err, ERROR_INVALID, name,
		"%s is %s, expected %s", name, what, expected);
}

static int check_object(const char *name, const json_t *v, struct error *err)
{
	return !v || json_is_object(v) ? 0 : wrong(name, v, "an object", err);
}

static int read_method(struct job *job, const json_t *method, struct error *err)
{
	const json_t *type = json_object_get(method, "type");
	const json_t *inner = json_object_get(method, "supervised");
	const json_t *h = json_object_get(inner, "hyperparameters");

	if (!method)
		return 0;
	if (check_object("method", method, err) < 0)
		return -1;
	if (!json_is_string(type) ||
		strcmp(json_string_value(type), "supervised") != 0)
		return wrong("method.type", type ? type : method,
			"\"supervised\"", err);
	if (!h || json_is_null(h))
		return 0;
	if (check_object("method.supervised.hyperparameters", h, err) < 0)
		return -1;
	return finetune_options_read(&job->options, h, err);
}

static int read_suffix(struct job *job, const char *suffix, struct error *err)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";

	if (!suffix)
		return 0;
	if (suffix[strspn(suffix, allowed)])
		return error_set_param(err, ERROR_INVALID, "suffix",
			"suffix is '%s', expected letters, digits, '.', '_' "
			"and '-'",
			suffix);
	strcpy(job->suffix, suffix);
	return 0;
}

static int read_model(struct call *c, struct job *job, const struct body *b)
{
	struct registry_entry *e;

	if (b->from == 1)
		return b->architecture ? job_read_architecture(
						 job, b->architecture, &c->err)
				       : 0;
	if (b->architecture)
		return error_set_param(&c->err, ERROR_INVALID, "architecture",
			"architecture is given, but the job begins with a "
			"model; expected it with \"from\": \"scratch\" only");
	/* The default model of this moment has a name, too. */
	e = registry_get(c->api->backend.registry, b->model, &c->err);
	if (!e)
		return -1;
	strcpy(job->model, e->name);
	registry_unref(e);
	return 0;
}

static int read_files(struct job *job, const struct body *b, struct error *err)
{
	if (!b->training_file)
		return error_set_param(err, ERROR_INVALID, "training_file",
			"training_file is missing, expected the id of an "
			"uploaded file");
	strcpy(job->training_file, b->training_file);
	if (b->validation_file)
		strcpy(job->validation_file, b->validation_file);
	return 0;
}

static int read_body(
	struct call *c, struct job *job, const struct body *b, uint64_t given)
{
	struct error *err = &c->err;

	strcpy(job->owner, c->owner);
	job->require_improvement = b->require_improvement;
	/* Below 2^53, so that every client reads it exactly. */
	job->seed = given >> BODY_SEED & 1 ? b->seed : rng_entropy() >> 11;
	if (read_files(job, b, err) < 0 || read_model(c, job, b) < 0 ||
		read_suffix(job, b->suffix, err) < 0 ||
		check_object("hyperparameters", b->hyperparameters, err) < 0 ||
		check_object("metadata", b->metadata, err) < 0 ||
		read_method(job, b->method, err) < 0)
		return -1;
	job->metadata = json_incref((json_t *)b->metadata);
	return b->hyperparameters ? finetune_options_read(&job->options,
					    b->hyperparameters, err)
				  : 0;
}

int job_read(struct call *c, struct job *job)
{
	struct body b = { 0 };
	uint64_t given;
	json_t *json;
	int rc;

	job_init(job);
	if (call_read(c, job_fields, n_job_fields, &b, &given, &json) < 0)
		return -1;
	rc = read_body(c, job, &b, given);
	json_decref(json);
	if (rc < 0)
		job_release(job);
	return rc;
}
