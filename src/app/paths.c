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

static int default_sessions(char *out, size_t size, struct error *err)
{
	const char *state = getenv("STATE_DIRECTORY");
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	/* systemd separates several by colons. */
	if (state && *state)
		snprintf(out, size, "%.*s/sessions.db",
			(int)strcspn(state, ":"), state);
	else if (xdg && *xdg == '/')
		snprintf(out, size, "%s/unrolld/sessions.db", xdg);
	else if (home && *home == '/')
		snprintf(
			out, size, "%s/.local/state/unrolld/sessions.db", home);
	else
		return error_set_param(err, ERROR_INVALID, "sessions.path",
			"sessions.path is not set, and there is no "
			"$STATE_DIRECTORY, $XDG_STATE_HOME or $HOME to put it "
			"in");
	return 0;
}

int paths_sessions(const char *given, char **path, struct error *err)
{
	char text[PATH_BYTES], dir[PATH_BYTES];
	char *slash;

	if (given)
		snprintf(text, sizeof(text), "%s", given);
	else if (default_sessions(text, sizeof(text), err) < 0)
		return -1;
	memcpy(dir, text, sizeof(dir));
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		if (file_make_directories(dir, 0700, err) < 0)
			return error_prefix(err, "sessions.path");
	}
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
