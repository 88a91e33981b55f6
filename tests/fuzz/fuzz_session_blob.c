/* A session blob of any bytes, as import gets them: decoded as it is, and with
 * its checksum made right, so that what lies behind is reached, too. What is
 * accepted must encode to a blob that decodes to the same. */
#include "serve/session.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define HEADER 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_again(
	const struct session_info *info, const struct session_state *state)
{
	struct session_info back;
	struct session_state copy;
	struct buf blob;

	buf_init(&blob, 64u << 20);
	if (session_encode(info, state, &blob, NULL) < 0 ||
		session_decode(blob.data, blob.len, &back, &copy, NULL) < 0 ||
		back.position != info->position || back.seed != info->seed ||
		strcmp(back.id, info->id) != 0 ||
		back.n_snapshots != info->n_snapshots ||
		copy.n_hidden != state->n_hidden)
		abort();
	session_info_release(&back);
	session_state_release(&copy);
	buf_release(&blob);
}

static void decode(const uint8_t *data, size_t size)
{
	struct session_info info;
	struct session_state state;
	struct error err;

	if (session_decode(data, size, &info, &state, &err) < 0)
		return;
	encode_again(&info, &state);
	session_info_release(&info);
	session_state_release(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	uint32_t version;
	uint64_t sum;

	decode(data, size);
	if (size < HEADER)
		return 0;
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	memcpy(&version, copy + 4, sizeof(version));
	sum = XXH3_64bits_withSeed(copy + HEADER, size - HEADER, version);
	memcpy(copy + 8, &sum, sizeof(sum));
	decode(copy, size);
	free(copy);
	return 0;
}
