/* Sessions as `unrolld sessions` shows them, on standard output. */
#ifndef APP_SESSIONS_PRINT_H
#define APP_SESSIONS_PRINT_H

#include <jansson.h>
#include <stdbool.h>

/* A line each, JSON or columns; `head` names the columns. */
void sessions_print_list(const json_t *list, bool json, bool head);
/* One, as JSON or a line for each of its fields. */
void sessions_print(const json_t *session, bool json);
/* A field's text, "-" where it is none. */
const char *sessions_text(const json_t *session, const char *name);

#endif
