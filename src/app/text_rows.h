/* Flags of the commands that read text: its charset, and what to do with what
 * the vocabulary lacks. `at(field)` is the field's offset in the command's own
 * values. */
#ifndef APP_TEXT_ROWS_H
#define APP_TEXT_ROWS_H

#include "base/options.h"

#define TEXT_ENCODING_HELP                                      \
	"charset of the text, as iconv names it; auto: by its " \
	"byte-order mark, else UTF-8 if valid, else GB18030"
#define TEXT_ERRORS_HELP                                                 \
	"bytes that the charset doesn't have: an error, U+FFFD or left " \
	"out, and counted"
#define TEXT_UNKNOWN_HELP                                          \
	"what is outside the vocabulary: auto is <unk> where the " \
	"vocabulary has one, else error"
#define TEXT_CACHE_HELP "where the tokens of a large text are mapped from"

#define TEXT_ROWS(at)                                                  \
	{ "encoding", OPTION_STRING, at(encoding), "utf-8",            \
		.help = TEXT_ENCODING_HELP, .argument = "CHARSET" },   \
		{ "encoding-errors", OPTION_ENUM, at(encoding_errors), \
			"strict", .choices = "strict|replace|skip",    \
			.help = TEXT_ERRORS_HELP },                    \
		{ "unknown", OPTION_ENUM, at(unknown), "auto",         \
			.choices = "error|skip|auto",                  \
			.help = TEXT_UNKNOWN_HELP },                   \
	{                                                              \
		"cache-dir", OPTION_STRING, at(cache_dir), "/var/tmp", \
			.help = TEXT_CACHE_HELP, .argument = "DIR"     \
	}

#endif
