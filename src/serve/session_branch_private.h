/* What session_branch.c, session_fork.c and session_move.c share. */
#ifndef SERVE_SESSION_BRANCH_PRIVATE_H
#define SERVE_SESSION_BRANCH_PRIVATE_H

#include "serve/session_branch.h"
#include "serve/session_private.h"

/* info and state, which are of where the session stands, become those of the
 * point: position, model, kernels. */
int session_go_to(struct sessions *s, const char *id,
	const struct session_point *p, struct session_info *i,
	struct session_state *state, struct error *err);

/* The session as it would be at that point, outside of the store. */
int session_fetch_point(struct sessions *s, const char *id,
	const struct session_point *p, struct session_info *i,
	struct session_state *state, struct error *err);

/* No snapshots nor boundaries: they are rows of another session. */
void session_forget_rows(struct session_info *i);

#endif
