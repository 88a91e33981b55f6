/* A configuration file of any bytes is read or refused with a message, and
 * what was read prints to a file that reads back. */
#include "base/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct values {
	char *text;
	uint64_t size, wait;
	int64_t n;
	double x;
	bool b;
	int e;
	struct option_list list;
};

#define AT(field) offsetof(struct values, field)

static const struct option rows[] = {
	{ .name = "a.text",
		.type = OPTION_STRING,
		.offset = AT(text),
		.value = "t",
		.help = "text" },
	{ .name = "a.size",
		.type = OPTION_SIZE,
		.offset = AT(size),
		.value = "1K",
		.min = "1",
		.help = "size" },
	{ .name = "a.wait",
		.type = OPTION_DURATION,
		.offset = AT(wait),
		.value = "1s",
		.max = "7d",
		.help = "duration" },
	{ .name = "b.n",
		.type = OPTION_INT,
		.offset = AT(n),
		.min = "-9",
		.max = "9",
		.help = "number" },
	{ .name = "b.x",
		.type = OPTION_DOUBLE,
		.offset = AT(x),
		.help = "number" },
	{ .name = "b.b", .type = OPTION_BOOL, .offset = AT(b), .help = "flag" },
	{ .name = "c.e",
		.type = OPTION_ENUM,
		.offset = AT(e),
		.choices = "one|two|three",
		.help = "choice" },
	{ .name = "c.list",
		.type = OPTION_LIST,
		.offset = AT(list),
		.help = "list" },
};

static int load(
	struct options *o, const void *text, size_t len, struct error *err)
{
	int fd = memfd_create("conf", MFD_CLOEXEC), rc;
	char path[64];

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = options_load_file(o, path, err);
	close(fd);
	if (rc < 0 && (err->code == ERROR_NONE || !err->message[0]))
		abort();
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct values v, w;
	struct options o, p;
	struct error err = { 0 };
	struct buf first, second;

	buf_init(&first, 1 << 22);
	buf_init(&second, 1 << 22);
	if (options_init(&o, rows, sizeof(rows) / sizeof(rows[0]), &v, &err) ||
		options_init(
			&p, rows, sizeof(rows) / sizeof(rows[0]), &w, &err))
		abort();
	if (load(&o, data, size, &err) == 0) {
		if (options_print_file(&o, &first) ||
			load(&p, first.data, first.len, &err) ||
			options_print_file(&p, &second))
			abort();
		if (first.len != second.len ||
			memcmp(first.data, second.data, first.len) != 0)
			abort();
	}
	buf_release(&first);
	buf_release(&second);
	options_release(&o);
	options_release(&p);
	return 0;
}
