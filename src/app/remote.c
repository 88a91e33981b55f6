#include "app/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FORMAT (JSON_COMPACT | JSON_REAL_PRECISION(15))

int remote_open(struct http_client **c, const struct remote_values *v,
	struct error *err)
{
	const char *url = v->url ? v->url : getenv("UNROLLD_URL");

	return http_client_open(c, url && *url ? url : REMOTE_URL, err);
}

int remote_ask(const struct remote_values *v, const char *method,
	const char *prefix, const char *id, const char *suffix, json_t *body,
	json_t **answer, struct error *err)
{
	struct http_client *c;
	int result = -1;
	char *path;

	*answer = NULL;
	if (remote_open(&c, v, err) < 0) {
		json_decref(body);
		return -1;
	}
	path = http_client_path(c, prefix, id, suffix);
	if (path) {
		result = http_client_json(c, method, path, body, answer, err);
	} else {
		json_decref(body);
		error_set_memory(err, "path", strlen(id));
	}
	free(path);
	http_client_close(c);
	return result;
}

int remote_each(const struct option_list *args, const char *command,
	int (*one)(const void *values, const char *arg, struct error *err),
	const void *values, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < args->n; i++) {
		struct error why;

		if (one(values, args->items[i], &why) == 0)
			continue;
		if (result < 0)
			fprintf(stderr, "unrolld %s: %s\n", command,
				err->message);
		*err = why;
		result = -1;
	}
	return result;
}

void remote_print_json(const json_t *object)
{
	json_dumpf(object, stdout, FORMAT);
	putchar('\n');
	fflush(stdout);
}

void remote_print(const json_t *object, bool json)
{
	const char *name;
	json_t *value;

	if (json) {
		remote_print_json(object);
		return;
	}
	json_object_foreach((json_t *)object, name, value)
	{
		char *text = json_dumps(value, JSON_ENCODE_ANY | FORMAT);

		if (!json_is_null(value))
			printf("%-16s %s\n", name,
				json_is_string(value) ? json_string_value(value)
						      : text);
		free(text);
	}
}

const char *remote_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "-";
}

long long remote_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

void remote_time(const json_t *object, const char *name, char out[REMOTE_TIME])
{
	time_t t = (time_t)remote_number(object, name);
	struct tm tm;

	strcpy(out, "-");
	if (t && gmtime_r(&t, &tm))
		strftime(out, REMOTE_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
