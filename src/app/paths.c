#include "app/paths.h"
#include "base/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

static int copy(const char *text, char **out, struct error *err)
{
	*out = strdup(text);
	return *out ? 0 : error_set_memory(err, "path", strlen(text));
}

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The executable's directory. */
static int executable_directory(char *out, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", out, size - 1);
	char *slash;

	if (n <= 0)
		return -1;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (!slash)
		return -1;
	*slash = '\0';
	return 0;
}

int paths_models(const char *given, char **path, struct error *err)
{
	static const char *const places[] = { "../../conf/models",
		"../share/unrolld/models" };
	char dir[PATH_BYTES], tried[PATH_BYTES + 64];

	*path = NULL;
	if (given)
		return copy(given, path, err);
	if (executable_directory(dir, sizeof(dir)) < 0)
		return 0;
	for (size_t i = 0; i < 2; i++) {
		snprintf(tried, sizeof(tried), "%s/%s", dir, places[i]);
		if (is_directory(tried))
			return copy(tried, path, err);
	}
	return 0;
}

char *paths_jieba(void)
{
	static const char *const places[] = { "jieba.dict",
		"../share/unrolld/jieba.dict" };
	const char *given = getenv("UNROLLD_JIEBA_DICTIONARY");
	char dir[PATH_BYTES], tried[PATH_BYTES + 64];

	if (given && *given)
		return strdup(given);
	if (executable_directory(dir, sizeof(dir)) < 0)
		return NULL;
	for (size_t i = 0; i < 2; i++) {
		snprintf(tried, sizeof(tried), "%s/%s", dir, places[i]);
		if (access(tried, R_OK) == 0)
			return strdup(tried);
	}
	return NULL;
}

/* A name in the directory of what must stay: -1 when there is none. */
static int state_path(const char *name, char *out, size_t size)
{
	const char *state = getenv("STATE_DIRECTORY");
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	/* systemd separates several by colons. */
	if (state && *state)
		snprintf(out, size, "%.*s/%s", (int)strcspn(state, ":"), state,
			name);
	else if (xdg && *xdg == '/')
		snprintf(out, size, "%s/unrolld/%s", xdg, name);
	else if (home && *home == '/')
		snprintf(out, size, "%s/.local/state/unrolld/%s", home, name);
	else
		return -1;
	return 0;
}

int paths_sessions(const char *given, char **path, struct error *err)
{
	char text[PATH_BYTES], dir[PATH_BYTES];
	char *slash;

	if (given)
		snprintf(text, sizeof(text), "%s", given);
	else if (state_path("sessions.db", text, sizeof(text)) < 0)
		return error_set_param(err, ERROR_INVALID, "sessions.path",
			"sessions.path is not set, and there is no "
			"$STATE_DIRECTORY, $XDG_STATE_HOME or $HOME to put it "
			"in");
	memcpy(dir, text, sizeof(dir));
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		if (file_make_directories(dir, 0700, err) < 0)
			return error_prefix(err, "sessions.path");
	}
	return copy(text, path, err);
}

int paths_jobs(
	const char *given, const char *sessions, char **path, struct error *err)
{
	char text[PATH_BYTES];
	const char *slash = sessions ? strrchr(sessions, '/') : NULL;

	*path = NULL;
	if (given)
		return copy(given, path, err);
	if (sessions)
		snprintf(text, sizeof(text), "%.*sjobs",
			slash ? (int)(slash - sessions) + 1 : 0, sessions);
	else if (state_path("jobs", text, sizeof(text)) < 0)
		return 0;
	return copy(text, path, err);
}

int paths_keys(const char *given, char **path, struct error *err)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	char text[PATH_BYTES];

	*path = NULL;
	if (given)
		return copy(given, path, err);
	if (!credentials || !*credentials)
		return 0;
	snprintf(text, sizeof(text), "%s/unrolld.keys", credentials);
	/* What is there and can't be read must not pass for no keys. */
	if (access(text, F_OK) < 0 && errno == ENOENT)
		return 0;
	return copy(text, path, err);
}
