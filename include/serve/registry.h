/*
 * The named models that can be asked for. An entry is immutable and shared by
 * reference count: work that holds one finishes on it, whatever is loaded or
 * unloaded meanwhile.
 */
#ifndef SERVE_REGISTRY_H
#define SERVE_REGISTRY_H

#include "base/error.h"
#include "nn/model.h"
#include "serve/caption.h"
#include "text/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTRY_NAME_MAX 128 /* bytes, NUL not counted: [A-Za-z0-9._:-] */

#define REGISTRY_NAME_CHARACTERS                                         \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" \
	"._:-"
bool registry_name_is_good(const char *name);

struct registry;

/* All fields are read-only, and the entry's own. */
struct registry_entry {
	char name[REGISTRY_NAME_MAX + 1];
	char *path;
	struct model *model;		 /* of text; NULL: it is a captioner, */
	struct caption_model *captioner; /* which describes images, or NULL */
	struct tokenizer *tokenizer;
	uint64_t fingerprint; /* of architecture and tensors */
	uint64_t shape; /* of architecture and vocabulary: states of models
			 * of one shape mean the same in each */
	char fingerprint_text[17];   /* the same in hexadecimal */
	char system[32];	     /* weights-kernels: same bits if equal */
	char system_fingerprint[64]; /* fingerprint-weights-kernels */
	char *training;		     /* the summary as JSON text, or NULL */
	int64_t created;	     /* the file's time, Unix seconds */
	uint64_t bytes;		     /* of packed weights */
	size_t vocab;
	size_t state_floats;	/* 0 of a captioner */
	size_t max_token_bytes; /* of the longest token */
};

/* Instead of an enum weight_type: what the file's own dtype says. */
#define REGISTRY_AS_STORED (-1)

/* One model's own weight type, or REGISTRY_AS_STORED. */
struct registry_weights {
	char name[REGISTRY_NAME_MAX + 1];
	int type;
};

struct registry_options {
	const char *dir;	  /* every *.safetensors in it, but not
				   * *.train.safetensors; or NULL */
	const char *made_dir;	  /* likewise, of models made here; need not
				   * exist; or NULL */
	const char *const *paths; /* [n_paths] single files */
	size_t n_paths;
	const char *default_name; /* or NULL: the first by name, REGISTRY_MADE
				   * ones after all others */
	int weights; /* an enum weight_type that models are packed as, or
		      * REGISTRY_AS_STORED */
	const struct registry_weights *own_weights; /* [n_own_weights] or as
						     * these say; copied */
	size_t n_own_weights;
	const char *captioner; /* who describes images where none is named: a
				* name, or the path of one more file; or NULL:
				* the first captioner by name */
	unsigned captioner_threads; /* of a CNN; 0: 1 */
	int captioner_nice;	    /* of all but the one that runs it */
};

/*
 * Loads all of them; a model's name is its file's stem. A file that fails its
 * checks, or whose vocabulary and tokenizer disagree, is logged as a warning
 * with the reason and left out. Errors: an unreadable directory, a single file
 * that can't be loaded (of `paths`, or the captioner's own), a default_name
 * that is not among the text models or a captioner among the captioners. No
 * model at all is no error here.
 * Slow: not on the loop.
 */
int registry_open(struct registry **r, const struct registry_options *o,
	struct error *err);
void registry_close(struct registry *r);

/* The text model of that name, or with NULL or "" the default, as a reference
 * for the caller. ERROR_NOT_FOUND, or ERROR_INVALID for a captioner, with param
 * `model`. Any thread. */
struct registry_entry *registry_get(
	struct registry *r, const char *name, struct error *err);
/* The same of captioners. */
struct registry_entry *registry_get_captioner(
	struct registry *r, const char *name, struct error *err);
/* Either; there must be a name. */
struct registry_entry *registry_get_any(
	struct registry *r, const char *name, struct error *err);
struct registry_entry *registry_ref(struct registry_entry *e);
void registry_unref(struct registry_entry *e); /* NULL is fine */
/* It was unloaded or replaced: finish with it. Any thread. */
bool registry_retired(const struct registry_entry *e);

/* A model of that fingerprint, as a reference: one that is loaded under any
 * name, else a version that was replaced or unloaded, read again from its file,
 * which stays open for that (of the last REGISTRY_VERSIONS ones; a file that
 * was overwritten in place is another model). The last one that was read again
 * stays in memory. `name` is for the message. ERROR_NOT_FOUND with
 * param `model`. May load a file: not on the loop nor on an engine. */
#define REGISTRY_VERSIONS 64
struct registry_entry *registry_find(struct registry *r, const char *name,
	uint64_t fingerprint, struct error *err);

/* References to all entries, sorted by name: the caller unrefs each and frees
 * the array. Any thread. */
int registry_list(struct registry *r, struct registry_entry ***entries,
	size_t *n, struct error *err);
size_t registry_count(struct registry *r);

/* Hot swap: loads the file and then takes the place of an entry of the same
 * name; on failure the old one stays. Slow: not on the loop. */
int registry_load(struct registry *r, const char *path, struct error *err);
/* ERROR_NOT_FOUND, or ERROR_CONFLICT for the default while others remain, and
 * for what an alias leads to. Its memory is given back when the last reference
 * goes; see engine_forget. */
int registry_unload(struct registry *r, const char *name, struct error *err);
/* Of a model that was unloaded for good: pinned sessions don't find it any
 * more, and its file is not held open for them. Any thread. */
void registry_forget(struct registry *r, const char *name);
/* The path of a model's file, whether or not it is loaded: the caller frees it.
 * NULL: ERROR_NOT_FOUND with param `model`. Any thread. */
char *registry_path(struct registry *r, const char *name, struct error *err);
/* Its file is still the one that was loaded. Any thread. */
bool registry_is_current(const struct registry_entry *e);
/* As registry_unload (but it need not be loaded), and its file goes, too. */
int registry_delete(struct registry *r, const char *name, struct error *err);

/*
 * Another name for a model, which registry_get takes wherever it takes a
 * model's. Which model it leads to is looked up when work begins, so moving it
 * is one step: what runs, and what is pinned, goes on with what it had. An
 * alias goes before a model of the same name. One that is called
 * REGISTRY_DEFAULT_ALIAS is the model of those that name none.
 */
struct registry_alias {
	char name[REGISTRY_NAME_MAX + 1];
	char model[REGISTRY_NAME_MAX + 1]; /* that is loaded, or was */
	int64_t moved;			   /* Unix ms */
};
#define REGISTRY_MADE "ft:" /* names of what jobs made begin so */
#define REGISTRY_DEFAULT_ALIAS "default"
#define REGISTRY_ALIASES 1000 /* at most */

/* Any thread. These remember nothing beyond the process: see aliases.h. */
int registry_set_alias(struct registry *r, const struct registry_alias *alias,
	struct error *err);
void registry_drop_alias(struct registry *r, const char *name);
/* ERROR_NOT_FOUND with param `alias`. */
int registry_find_alias(struct registry *r, const char *name,
	struct registry_alias *alias, struct error *err);
/* Sorted by name; the caller frees the list. */
int registry_list_aliases(struct registry *r, struct registry_alias **list,
	size_t *n, struct error *err);

#endif
