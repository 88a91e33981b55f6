/*
 * Hugging Face's tokenizer.json of GPT-2's kind (model BPE, pre-tokenizer and
 * decoder ByteLevel), as the JSON of a tokenizer of kind "bpe" and back. What
 * such a file says that we don't do is refused by name. Any thread.
 */
#ifndef TEXT_HUGGING_FACE_H
#define TEXT_HUGGING_FACE_H

#include "base/error.h"

#include <jansson.h>

/* What tokenizer_load takes: a new reference. ERROR_UNSUPPORTED names what is
 * not ours to do, ERROR_INVALID what is malformed. */
json_t *hugging_face_read(const json_t *file, struct error *err);

/* From what tokenizer_save gave: a new reference, NULL when memory ran out. */
json_t *hugging_face_write(const json_t *tokenizer);

#endif
