/* Scores against published values: BLEU's of the paper and of NLTK's
 * documentation; and against tests/golden/make_scores.py, which computes what
 * COCO's code does from its definitions. */
#include "test.h"

#include "text/scores.h"

#include <math.h>

static void near(double is, double expected)
{
	if (!(fabs(is - expected) < 1e-6))
		fail_msg("%.10f, expected %.10f", is, expected);
}

#define ITEM(candidate_, ...)                                                  \
	{                                                                      \
		.candidate = candidate_,                                       \
		.references = (const char *const[]){ __VA_ARGS__ },            \
		.n_references = sizeof((const char *const[]){ __VA_ARGS__ }) / \
				sizeof(const char *),                          \
	}

/* Papineni et al. 2002, section 2.1: candidates 1 and 2 have 17/18 and 8/14;
 * "the the the …" has 2/7. */
static void unigrams_are_the_papers(void **unused)
{
#define REFERENCES                                                           \
	"It is a guide to action that ensures that the military will "       \
	"forever heed Party commands.",                                      \
		"It is the guiding principle which guarantees the military " \
		"forces always being under the command of the Party.",       \
		"It is the practical guide for the army always to heed the " \
		"directions of the party."
	const struct scored one =
		ITEM("It is a guide to action which ensures that the military "
		     "always obeys the commands of the party.",
			REFERENCES);
	const struct scored two =
		ITEM("It is to insure the troops forever hearing the activity "
		     "guidebook that party direct.",
			REFERENCES);
	const struct scored the = ITEM("the the the the the the the",
		"The cat is on the mat.", "There is a cat on the mat.");
	struct scores s;

	assert_int_equal(scores_measure(&s, &one, 1, NULL), 0);
	near(s.bleu[0], 17.0 / 18);
	assert_int_equal(scores_measure(&s, &two, 1, NULL), 0);
	/* 14 words, and the nearest reference has 16. */
	near(s.bleu[0], 8.0 / 14 * exp(1 - 16.0 / 14));
	assert_int_equal(scores_measure(&s, &the, 1, NULL), 0);
	near(s.bleu[0], 2.0 / 7);
}

/* nltk.translate.bleu_score's documented examples: 0.5045… alone, 0.5920…
 * together. They tell "Party" from "party": so it has another name here. */
static void bleu_is_nltks(void **unused)
{
	const struct scored items[] = {
		ITEM("It is a guide to action which ensures that the military "
		     "always obeys the commands of the party",
			"It is a guide to action that ensures that the "
			"military will forever heed Partei commands",
			"It is the guiding principle which guarantees the "
			"military forces always being under the command of "
			"the Partei",
			"It is the practical guide for the army always to "
			"heed the directions of the party"),
		ITEM("he read the book because he was interested in world "
		     "history",
			"he was interested in world history because he read "
			"the book"),
	};
	struct scores s;

	assert_int_equal(scores_measure(&s, items, 1, NULL), 0);
	near(s.bleu[3], 0.5045666840058485);
	assert_int_equal(scores_measure(&s, items, 2, NULL), 0);
	near(s.bleu[3], 0.5920778868801042);
}

static void all_are_cocos(void **unused)
{
	const struct scored items[] = {
		ITEM("a small red circle above a blue square",
			"A small red circle above a large blue square."),
		ITEM("two green rings at the top",
			"three green rings at the top",
			"three small green rings are at the top"),
		ITEM("a dog sits on the the grass",
			"a dog is sitting on the grass",
			"the dog sits on grass"),
		ITEM("birds", "a couple of birds standing on a sandy beach"),
	};
	struct scores s;

	assert_int_equal(scores_measure(&s, items, 4, NULL), 0);
	near(s.bleu[0], 0.6038671298);
	near(s.bleu[1], 0.5781587596);
	near(s.bleu[2], 0.4910687988);
	near(s.bleu[3], 0.4254881451);
	near(s.rouge_l, 0.6754790359);
	near(s.cider_d, 4.0511187600);
	near(s.exact, 0);
}

static void the_same_is_perfect(void **unused)
{
	const struct scored items[] = {
		ITEM("One cat sleeps now.", "two dogs", "one cat sleeps now"),
		ITEM("a very long red boat", "a very long red boat"),
	};
	struct scores s;

	assert_int_equal(scores_measure(&s, items, 2, NULL), 0);
	for (size_t k = 0; k < 4; k++)
		near(s.bleu[k], 1);
	near(s.rouge_l, 1);
	near(s.exact, 1);
}

static void nothing_is_refused_and_empty_is_worth_nothing(void **unused)
{
	const struct scored none = { .candidate = "a" };
	const struct scored empty = ITEM("", "a b c d");
	struct scores s;
	struct error err;

	assert_int_equal(scores_measure(&s, NULL, 0, &err), -1);
	assert_error(err, ERROR_INVALID, "no sentences to measure");
	assert_int_equal(scores_measure(&s, &none, 1, &err), -1);
	assert_error(err, ERROR_INVALID, "sentence 0 has no reference");
	assert_int_equal(scores_measure(&s, &empty, 1, &err), 0);
	near(s.bleu[0], 0);
	near(s.rouge_l, 0);
	near(s.cider_d, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unigrams_are_the_papers),
		cmocka_unit_test(bleu_is_nltks),
		cmocka_unit_test(all_are_cocos),
		cmocka_unit_test(the_same_is_perfect),
		cmocka_unit_test(nothing_is_refused_and_empty_is_worth_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
