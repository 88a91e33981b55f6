/* What progress looks like, wherever it is shown. */
#ifndef APP_PROGRESS_BAR_H
#define APP_PROGRESS_BAR_H

#include <stddef.h>

#define PROGRESS_BAR_WIDTH 20

/* `part` from 0 to 1. */
void progress_bar(char bar[PROGRESS_BAR_WIDTH + 1], double part);
/* "4m05s", "2h07m". */
void progress_duration(char *out, size_t size, double seconds);

#endif
