/* A Hugging Face tokenizer.json. What is read and loads must be written so that
 * it reads as the same. */
#include "text/hugging_face.h"
#include "text/tokenizer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *file = json_loadb(
		(const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *json = file ? hugging_face_read(file, NULL) : NULL;
	struct tokenizer *t;

	if (json && tokenizer_load(&t, json, NULL) == 0) {
		json_t *saved = tokenizer_save(t);
		json_t *written = hugging_face_write(saved);
		json_t *again = hugging_face_read(written, NULL);

		json_object_del(saved, "start");
		if (!json_equal(saved, again))
			abort();
		json_decref(again);
		json_decref(written);
		json_decref(saved);
		tokenizer_unref(t);
	}
	json_decref(json);
	json_decref(file);
	return 0;
}
