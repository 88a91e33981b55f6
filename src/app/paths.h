/* Where things are when nobody says where. */
#ifndef APP_PATHS_H
#define APP_PATHS_H

#include "base/error.h"

/* The models: as given, or conf/models of the build tree that the executable
 * is in, or share/unrolld/models beside its bin/. *path is the caller's; NULL
 * when there are none. */
int paths_models(const char *given, char **path, struct error *err);

/* The session store's file; its directory is made. As given, or sessions.db in
 * $STATE_DIRECTORY, in $XDG_STATE_HOME/unrolld or in ~/.local/state/unrolld. */
int paths_sessions(const char *given, char **path, struct error *err);

/* The file of API keys: as given, or the credential unrolld.keys that systemd
 * passes (LoadCredential=). *path is the caller's; NULL when there is neither.
 */
int paths_keys(const char *given, char **path, struct error *err);

#endif
