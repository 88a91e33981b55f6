/* The API's description from its route and field tables: what is not in them
 * is not in it. https://spec.openapis.org/oas/v3.1.0 */
#include "http/api_internal.h"
#include "http/form.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static json_t *choices(const char *p)
{
	json_t *list = json_array();

	while (*p) {
		size_t n = strcspn(p, "|");

		json_array_append_new(list, json_stringn(p, n));
		p += p[n] ? n + 1 : n;
	}
	return list;
}

static json_t *number(double v)
{
	if (v == (double)(json_int_t)v)
		return json_integer((json_int_t)v);
	return json_real(v);
}

static json_t *field_schema(const struct field *f)
{
	switch (f->type) {
	case FIELD_TEXT:
		if (f->file)
			return json_pack("{s:s, s:s}", "type", "string",
				"contentEncoding", "base64");
		return json_pack("{s:s}", "type", "string");
	case FIELD_NAME:
		return json_pack("{s:s, s:i, s:o}", "type", "string",
			"minLength", 1, "maxLength", number(f->max));
	case FIELD_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case FIELD_INT:
	case FIELD_NUMBER:
		return json_pack("{s:s, s:o, s:o}", "type",
			f->type == FIELD_INT ? "integer" : "number", "minimum",
			number(f->min), "maximum", number(f->max));
	case FIELD_SEED:
		return json_pack("{s:[{s:s,s:i,s:I},{s:s,s:s}]}", "oneOf",
			"type", "integer", "minimum", 0, "maximum",
			(json_int_t)INT64_MAX, "type", "string", "pattern",
			"^[0-9]{1,20}$");
	case FIELD_CHOICE:
		return json_pack("{s:s, s:o}", "type", "string", "enum",
			choices(f->choices));
	case FIELD_JSON:
		return f->schema ? json_loads(f->schema, 0, NULL)
				 : json_object();
	}
	return NULL;
}

static json_t *body_schema(const struct route *r)
{
	json_t *properties = json_object(), *required = json_array(), *json;

	for (size_t i = 0; i < r->n_fields; i++) {
		const struct field *f = &r->fields[i];
		json_t *schema = field_schema(f);

		json_object_set_new(
			schema, "description", json_string(f->help));
		if (f->preset)
			json_object_set_new(schema, "default",
				json_loads(f->preset, JSON_DECODE_ANY, NULL));
		json_object_set_new(properties, f->name, schema);
		if (f->required)
			json_array_append_new(required, json_string(f->name));
	}
	json = json_pack("{s:s, s:o, s:b}", "type", "object", "properties",
		properties, "additionalProperties", r->lenient);
	if (json_array_size(required))
		json_object_set(json, "required", required);
	json_decref(required);
	return json;
}

static json_t *parameters(const char *path)
{
	json_t *list = json_array();

	while ((path = strchr(path, '{'))) {
		size_t n = strcspn(++path, "}");

		json_array_append_new(list,
			json_pack("{s:o, s:s, s:b, s:{s:s}}", "name",
				json_stringn(path, n), "in", "path", "required",
				1, "schema", "type", "string"));
	}
	return list;
}

static void add_query(json_t *list, const struct route *r)
{
	for (size_t i = 0; i < r->n_query; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:b, s:o, s:s}", "name",
				r->query[i].name, "in", "query", "required", 0,
				"schema", field_schema(&r->query[i]),
				"description", r->query[i].help));
}

/* "post_v1_sessions_id" */
static void operation_id(const struct route *r, char *out, size_t size)
{
	size_t n = 0;

	for (const char *p = r->method; *p && n + 1 < size; p++)
		out[n++] = (char)tolower((unsigned char)*p);
	for (const char *p = r->path; *p && n + 1 < size; p++) {
		if (isalnum((unsigned char)*p))
			out[n++] = *p;
		else if (n && out[n - 1] != '_')
			out[n++] = '_';
	}
	while (n && out[n - 1] == '_')
		n--;
	out[n] = '\0';
}

static json_t *success(const struct route *r)
{
	json_t *content, *json;

	if (!r->answer)
		return json_pack("{s:s}", "description", "Done");
	content = json_pack("{s:{}}", r->answer);
	if (r->schema)
		json_object_set_new(json_object_get(content, r->answer),
			"schema", openapi_reference(r->schema));
	if (r->streams)
		json_object_set_new(content, "text/event-stream",
			json_pack("{s:{s:s}}", "schema", "type", "string"));
	json = json_pack(
		"{s:s, s:o}", "description", "Success", "content", content);
	json_object_set_new(json, "headers",
		json_pack("{s:{s:{s:s}}}", "X-Request-Id", "schema", "type",
			"string"));
	return json;
}

static json_t *json_body(const struct route *r)
{
	json_t *json = json_pack("{s:o}", "schema", body_schema(r));

	if (r->example)
		json_object_set_new(
			json, "example", json_loads(r->example, 0, NULL));
	return json;
}

/* The same fields, those of files as bytes. */
static json_t *form_body(const struct route *r)
{
	json_t *json = json_pack("{s:o}", "schema", body_schema(r));
	json_t *properties =
		json_object_get(json_object_get(json, "schema"), "properties");

	for (size_t i = 0; i < r->n_fields; i++) {
		json_t *schema = json_object_get(properties, r->fields[i].name);

		if (!r->fields[i].file)
			continue;
		json_object_del(schema, "contentEncoding");
		json_object_set_new(schema, "format", json_string("binary"));
	}
	return json;
}

/* As /openapi.json says it, whether or not keys are asked for. */
static void add_security(json_t *json, const struct route *r)
{
	json_object_set_new(json, "x-scope",
		json_string(r->scope == ROUTE_PUBLIC
				    ? "public"
				    : auth_scope_name(r->scope)));
	json_object_set_new(json, "security",
		r->scope == ROUTE_PUBLIC
			? json_array()
			: json_pack("[{s:[]}, {s:[]}]", "bearer", "apiKey"));
}

static json_t *operation(const struct route *r)
{
	char id[96], status[8];
	json_t *json;

	operation_id(r, id, sizeof(id));
	snprintf(status, sizeof(status), "%u", r->status);
	json = json_pack("{s:s, s:s, s:o, s:{s:o, s:{s:s}}}", "summary",
		r->summary, "operationId", id, "parameters",
		parameters(r->path), "responses", status, success(r), "default",
		"$ref", "#/components/responses/Error");
	add_query(json_object_get(json, "parameters"), r);
	add_security(json, r);
	if (r->fields)
		json_object_set_new(json, "requestBody",
			json_pack("{s:b, s:{s:o}}", "required",
				!r->body_optional, "content",
				r->open ? FORM_TYPE : "application/json",
				json_body(r)));
	if (r->fields && r->form)
		json_object_set_new(
			json_object_get(json_object_get(json, "requestBody"),
				"content"),
			FORM_TYPE, form_body(r));
	if (r->fields && r->binary)
		json_object_set_new(
			json_object_get(json_object_get(json, "requestBody"),
				"content"),
			ROUTE_BINARY, json_object());
	if (r->fields && r->text)
		json_object_set_new(
			json_object_get(json_object_get(json, "requestBody"),
				"content"),
			ROUTE_TEXT, json_object());
	return json;
}

static void add(json_t *paths, const struct route *r)
{
	json_t *item = json_object_get(paths, r->path);
	char method[16];
	size_t n = 0;

	if (!item) {
		item = json_object();
		json_object_set_new(paths, r->path, item);
	}
	for (; r->method[n] && n + 1 < sizeof(method); n++)
		method[n] = (char)tolower((unsigned char)r->method[n]);
	method[n] = '\0';
	json_object_set_new(item, method, operation(r));
}

static json_t *responses(void)
{
	return json_pack("{s:{s:s, s:{s:{s:o}}}}", "Error", "description",
		"What was wrong", "content", "application/json", "schema",
		openapi_reference("Error"));
}

static json_t *security_schemes(void)
{
	return json_pack("{s:{s:s, s:s}, s:{s:s, s:s, s:s}}", "bearer", "type",
		"http", "scheme", "bearer", "apiKey", "type", "apiKey", "in",
		"header", "name", "X-Api-Key");
}

json_t *openapi_document(const struct router *r, const char *version)
{
	json_t *paths = json_object();

	for (size_t t = 0; t < r->n_tables; t++)
		for (size_t i = 0; i < r->tables[t].n; i++)
			add(paths, &r->tables[t].rows[i]);
	return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o, s:o, s:o}}",
		"openapi", "3.1.0", "info", "title", "unrolld", "version",
		version, "paths", paths, "components", "schemas",
		openapi_schemas(), "responses", responses(), "securitySchemes",
		security_schemes());
}
