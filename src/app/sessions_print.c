#include "app/sessions_print.h"
#include "app/remote.h"

#include <stdio.h>

#define ROW "%-32s %-16s %12s %8s %5s  "

static void print_head(void)
{
	printf(ROW "%s\n", "ID", "MODEL", "POSITION", "BYTES", "SNAPS", "USED");
}

static void print_row(const json_t *s)
{
	char position[24], bytes[24], snapshots[24], used[REMOTE_TIME];

	snprintf(position, sizeof(position), "%lld",
		remote_number(s, "position"));
	snprintf(bytes, sizeof(bytes), "%lld", remote_number(s, "bytes"));
	snprintf(snapshots, sizeof(snapshots), "%zu",
		json_array_size(json_object_get(s, "snapshots")));
	printf(ROW, remote_text(s, "id"), remote_text(s, "model"), position,
		bytes, snapshots);
	remote_time(s, "used", used);
	puts(used);
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
			remote_print_json(s);
		else
			print_row(s);
	}
}
