/* Where things are when nobody says where. */
#ifndef APP_PATHS_H
#define APP_PATHS_H

#include "base/error.h"

/* The models: as given, or conf/models of the build tree that the executable
 * is in, or share/unrolld/models beside its bin/. *path is the caller's; NULL
 * when there are none. */
int paths_models(const char *given, char **path, struct error *err);

/* The jieba tokenizer's dictionary: $UNROLLD_JIEBA_DICTIONARY, or jieba.dict
 * beside the executable (the build tree) or in share/unrolld beside its bin/.
 * The caller's; NULL when there is none. */
char *paths_jieba(void);

/* The session store's file; its directory is made. As given, or sessions.db in
 * $STATE_DIRECTORY, in $XDG_STATE_HOME/unrolld or in ~/.local/state/unrolld. */
int paths_sessions(const char *given, char **path, struct error *err);

/* The directory of files and jobs, which is not made: as given, or jobs/ beside
 * the session store's file (NULL when that is memory), or where that would be.
 * *path is NULL when there is no such place. */
int paths_jobs(const char *given, const char *sessions, char **path,
	struct error *err);
/* The file of API keys: as given, or the credential unrolld.keys that systemd
 * passes (LoadCredential=). *path is the caller's; NULL when there is neither.
 */
int paths_keys(const char *given, char **path, struct error *err);

#endif
