#include "app/progress_bar.h"

#include <stdio.h>
#include <string.h>

void progress_bar(char bar[PROGRESS_BAR_WIDTH + 1], double part)
{
	size_t full = part > 0 ? (size_t)(part * PROGRESS_BAR_WIDTH) : 0;

	if (full > PROGRESS_BAR_WIDTH)
		full = PROGRESS_BAR_WIDTH;
	memset(bar, '.', PROGRESS_BAR_WIDTH);
	memset(bar, '#', full);
	bar[PROGRESS_BAR_WIDTH] = '\0';
}

void progress_duration(char *out, size_t size, double seconds)
{
	unsigned long s = seconds > 0 ? (unsigned long)(seconds + 0.5) : 0;

	if (s >= 3600)
		snprintf(out, size, "%luh%02lum", s / 3600, s / 60 % 60);
	else
		snprintf(out, size, "%lum%02lus", s / 60, s % 60);
}
