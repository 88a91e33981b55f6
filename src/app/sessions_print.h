/* Sessions as `unrolld sessions` shows them, on standard output. */
#ifndef APP_SESSIONS_PRINT_H
#define APP_SESSIONS_PRINT_H

#include <jansson.h>
#include <stdbool.h>

/* A line each, JSON or columns; `head` names the columns. */
void sessions_print_list(const json_t *list, bool json, bool head);

#endif
