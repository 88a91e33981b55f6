#include "serve/finetune.h"
#include "serve/members.h"

#include "nn/trainer.h"

#include <string.h>

#define AT(field) MEMBER_AT(struct finetune_options, field)

static const struct member rows[] = {
	{ "n_epochs", MEMBER_REAL, AT(epochs), .min = 0.001, .max = 1e6,
		.may_be_auto = true },
	{ "batch_size", MEMBER_UINT, AT(batch), .min = 1, .max = 4096,
		.may_be_auto = true },
	{ "learning_rate_multiplier", MEMBER_REAL, AT(learning_rate_multiplier),
		.min = 1e-6, .max = 1e37, .may_be_auto = true },
	{ "seq_length", MEMBER_UINT, AT(seq_length), .min = 1, .max = 8192,
		.may_be_auto = true },
	{ "optimizer", MEMBER_TEXT, AT(optimizer) },
	{ "learning_rate", MEMBER_REAL, AT(learning_rate), .min = 1e-12,
		.max = 1e37, .may_be_auto = true },
	{ "dropout", MEMBER_REAL, AT(dropout), .min = 0, .max = 0.99,
		.may_be_auto = true, .automatic = -1 },
	{ "clip", MEMBER_REAL, AT(clip), .min = 0, .max = 1e9 },
	{ "schedule", MEMBER_CHOICE, AT(schedule),
		.choices = "constant|epoch-decay|cosine" },
	{ "unknown", MEMBER_CHOICE, AT(unknown),
		.choices = "extend|skip|error" },
	{ "validation_fraction", MEMBER_REAL, AT(validation_fraction), .min = 0,
		.max = 0.9 },
	{ "max_steps", MEMBER_UINT, AT(max_steps), .min = 0, .max = 1e9 },
	{ "time_limit_s", MEMBER_REAL, AT(time_limit), .min = 0, .max = 1e7 },
	{ "checkpoint_every", MEMBER_UINT, AT(checkpoints), .min = 1,
		.max = 1e9, .may_be_auto = true },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

void finetune_defaults(struct finetune_options *o)
{
	*o = (struct finetune_options){ .optimizer = "adamw",
		.dropout = -1,
		.clip = 1,
		.schedule = SCHEDULE_COSINE,
		.unknown = FINETUNE_EXTEND,
		.validation_fraction = 0.1 };
}

int finetune_options_read(
	struct finetune_options *o, const json_t *json, struct error *err)
{
	if (members_read(json, rows, N_ROWS, "hyperparameters.", o, err) < 0)
		return -1;
	if (trainer_check_optimizer(o->optimizer, err) == 0)
		return 0;
	if (err)
		strcpy(err->param, "hyperparameters.optimizer");
	return -1;
}

json_t *finetune_options_json(const struct finetune_options *o)
{
	json_t *json = json_object();

	if (members_write(json, rows, N_ROWS, o) == 0)
		return json;
	json_decref(json);
	return NULL;
}
