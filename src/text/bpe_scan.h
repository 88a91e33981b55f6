/* GPT-2's pre-tokenizer as a scanner: see bpe_scan.c. Pure, any thread. */
#ifndef TEXT_BPE_SCAN_H
#define TEXT_BPE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a piece: no text, however long without a break, needs more memory
 * than this. Hugging Face's has no limit; from here on ids may differ. */
#define BPE_PIECE_MAX (64u << 10)

/* Bytes of the piece at s (any bytes, len > 0). *open says that more text could
 * have changed it. Without `regex` all is one piece. */
size_t bpe_next(const char *s, size_t len, bool regex, bool *open);

/* Bytes of the longest start of s whose pieces are certain. */
size_t bpe_scan_boundary(const char *s, size_t len, bool regex);

#endif
