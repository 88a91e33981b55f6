/* What `unrolld train` can be told, and what presets say: both are tables. */
#ifndef APP_TRAIN_OPTIONS_H
#define APP_TRAIN_OPTIONS_H

#include "app/run_state.h"
#include "base/options.h"
#include "nn/architecture.h"
#include "nn/trainer.h"

struct train_options {
	bool help;
	char *preset;
	char *output;
	char *from; /* checkpoint to start from, or NULL */
	bool resume;

	char *tokenizer, *encoding, *vocab;
	int encoding_errors; /* enum encoding_faults */
	uint64_t min_count, max_vocab;
	bool lower_case, jieba_hmm;
	char *jieba_user_dict;
	int unknown; /* enum unknown_policy */
	char *cache_dir;
	double validation_fraction;
	int validation_split; /* enum validation_split */
	double early_stop;    /* fraction of the training text */
	uint64_t patience;

	char *cell;
	uint64_t hidden, layers, embedding;
	bool tied;
	int bias; /* enum bias_mode */
	int initialisation;
	double init_scale, forget_bias;

	uint64_t seq_length, batch, seed, accumulate;
	double epochs;
	uint64_t max_steps;
	char *optimizer;
	double learning_rate;	       /* 0: the optimizer's own */
	double decay, decay2, epsilon; /* -1: the optimizer's own */
	double weight_decay;
	int clip, loss_scale, schedule;
	double clip_threshold, schedule_decay, schedule_after, final_rate;
	uint64_t warmup_steps;
	double dropout, dropout_input, dropout_layers, dropout_output;
	double dropout_hidden;
	uint64_t sampled_softmax;
	bool reset_at_end;
	double averaging;

	uint64_t threads;
	uint64_t save_every, sample_every, sample_length, report_every;
	double temperature;
	char *log;
	int progress; /* enum train_progress */
	bool json;
	int dtype; /* enum checkpoint_dtype */
};

/* The table and the values, presets applied before the other flags. The
 * positional arguments are the texts. */
int train_options_parse(struct options *table, struct train_options *o,
	int argc, char **argv, struct option_list *texts, struct error *err);
void train_options_print_help(struct options *table);

/* What a run saves of them. */
extern const struct run_options train_run_options;

void train_options_architecture(
	const struct train_options *o, size_t vocab, struct architecture *a);
/* total_steps for the cosine: epochs * chunks. */
void train_options_trainer(const struct train_options *o, size_t chunks,
	struct trainer_options *t);

#endif
