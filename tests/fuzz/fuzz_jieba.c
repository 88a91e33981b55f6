/* A compiled dictionary, sealed with a checksum that fits, and a text cut by it
 * when it opens; or else a user's dictionary, a NUL, and a text, which has the
 * same words whole as in the parts that jieba_boundary allows. */
#include "small_jieba.h"
#include "text/jieba_file.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ends {
	size_t at;
	uint64_t mix; /* of where words end */
};

static int take(void *arg, const char *word, size_t len, struct error *err)
{
	struct ends *e = arg;

	if (!len)
		abort();
	e->at += len;
	e->mix = e->mix * 0x9e3779b97f4a7c15u + e->at;
	return 0;
}

/* -1 where the text is no UTF-8. */
static int cut(const struct jieba *j, const char *text, size_t len, bool hmm,
	struct ends *e)
{
	size_t begin = e->at;

	if (jieba_cut(j, text, len, hmm, take, e, NULL) < 0)
		return -1;
	if (e->at - begin != len)
		abort();
	return 0;
}

static void check_text(const struct jieba *j, const char *text, size_t len)
{
	struct ends whole = { 0 }, parts = { 0 }, plain = { 0 };
	size_t end = 0, n;

	if (cut(j, text, len, true, &whole) < 0)
		return;
	if (cut(j, text, len, false, &plain) < 0)
		abort();
	while (parts.at < len) {
		end += len - end < 7 ? len - end : 7;
		n = end < len ? jieba_boundary(text + parts.at, end - parts.at)
			      : len - parts.at;
		if (n > end - parts.at ||
			cut(j, text + parts.at, n, true, &parts) < 0)
			abort();
	}
	if (parts.mix != whole.mix)
		abort();
}

static int memory_file(const void *data, size_t size, char path[64])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static void try_dictionary(const uint8_t *data, size_t size)
{
	static const char text[] = "北京大学生活一一学，c++ 3.14%\r\n𠮷大";
	struct jieba_header h;
	uint8_t *sealed = malloc(size);
	struct jieba *j;
	char path[64];
	int fd;

	if (!sealed)
		abort();
	memcpy(sealed, data, size);
	memcpy(&h, sealed, sizeof(h));
	h.bytes = size;
	memcpy(sealed, &h, sizeof(h));
	h.checksum = jieba_file_checksum(sealed, size);
	memcpy(sealed, &h, sizeof(h));
	fd = memory_file(sealed, size, path);
	if (jieba_open(&j, path, NULL) == 0) {
		check_text(j, text, strlen(text));
		jieba_add_word(j, "一学", 6, JIEBA_SUGGEST, NULL);
		check_text(j, text, strlen(text));
		jieba_close(j);
	}
	close(fd);
	free(sealed);
}

static void try_text(const uint8_t *data, size_t size)
{
	static bool made;
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	struct jieba *j;
	char path[64];
	int fd;

	if (!made)
		small_jieba_use();
	made = true;
	if (jieba_open_default(&j, NULL) < 0)
		abort();
	if (nul) {
		fd = memory_file(data, (size_t)(nul - data), path);
		jieba_load_user_dictionary(j, path, NULL);
		close(fd);
		size -= (size_t)(nul + 1 - data);
		data = nul + 1;
	}
	check_text(j, (const char *)data, size);
	jieba_close(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= sizeof(struct jieba_header) &&
		!memcmp(data, JIEBA_MAGIC, strlen(JIEBA_MAGIC)))
		try_dictionary(data, size);
	else
		try_text(data, size);
	return 0;
}
