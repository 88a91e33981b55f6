#include "app/sessions_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
	putchar('\n');
}

const char *sessions_text(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text ? text : "-";
}

static long long number_of(const json_t *json, const char *name)
{
	return json_integer_value(json_object_get(json, name));
}

static void print_time(const json_t *json, const char *name)
{
	time_t t = (time_t)number_of(json, name);
	char text[32] = "-";
	struct tm tm;

	if (t && gmtime_r(&t, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fputs(text, stdout);
}

#define ROW "%-32s %-16s %12s %8s %5s  "

static void print_head(void)
{
	printf(ROW "%s\n", "ID", "MODEL", "POSITION", "BYTES", "SNAPS", "USED");
}

static void print_row(const json_t *s)
{
	char position[24], bytes[24], snapshots[24];

	snprintf(position, sizeof(position), "%lld", number_of(s, "position"));
	snprintf(bytes, sizeof(bytes), "%lld", number_of(s, "bytes"));
	snprintf(snapshots, sizeof(snapshots), "%zu",
		json_array_size(json_object_get(s, "snapshots")));
	printf(ROW, sessions_text(s, "id"), sessions_text(s, "model"), position,
		bytes, snapshots);
	print_time(s, "used");
	putchar('\n');
}

void sessions_print_list(const json_t *list, bool json, bool head)
{
	size_t i;
	json_t *s;

	if (!json && head)
		print_head();
	json_array_foreach(list, i, s)
	{
		if (json)
			print_json(s);
		else
			print_row(s);
	}
}

void sessions_print(const json_t *s, bool json)
{
	const char *name;
	json_t *value;

	if (json) {
		print_json(s);
		return;
	}
	json_object_foreach((json_t *)s, name, value)
	{
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
						       JSON_REAL_PRECISION(15));

		if (!json_is_null(value))
			printf("%-16s %s\n", name,
				json_is_string(value) ? json_string_value(value)
						      : text);
		free(text);
	}
}
