/* A text that is given as JSON objects, one a line: `text` of each, ended by a
 * line's end, is the text. Private to text/corpus_source.c. */
#ifndef TEXT_JSON_LINES_H
#define TEXT_JSON_LINES_H

#include "text/corpus_source.h"

struct json_lines {
	struct buf line; /* its beginning, from chunks before */
	uint64_t number; /* of the line, from 1 */
};

void json_lines_init(struct json_lines *j);
void json_lines_release(struct json_lines *j);

/* One more chunk of a file, cut anywhere; `last` ends the file, and counting
 * begins again. Errors (ERROR_UNPROCESSABLE) name the line. */
int json_lines_feed(struct json_lines *j, const char *text, size_t len,
	bool last, size_t input, corpus_sink *sink, void *arg,
	struct error *err);

#endif
