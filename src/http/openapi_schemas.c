/* What answers look like: a row per property, from which /openapi.json's
 * components are made. A test holds every answer against them. */
#include "http/api_internal.h"

#include <ctype.h>
#include <string.h>

/* A name that ends in '?' may be absent. A type is some of string integer
 * number boolean object null and of names of schemas, between '|'; [T] is an
 * array of T, {T} an object of T, and =text that text. */
static const struct property {
	const char *of, *name, *type;
} rows[] = {
	{ "Error", "error", "ErrorDetail" },
	{ "ErrorDetail", "message", "string" },
	{ "ErrorDetail", "type", "string" },
	{ "ErrorDetail", "param", "string|null" },
	{ "ErrorDetail", "code", "string" },

	{ "Status", "status", "string" },

	{ "Index", "name", "=unrolld" },
	{ "Index", "version", "string" },
	{ "Index", "api", "string" },
	{ "Index", "models", "string" },
	{ "Index", "sample", "string" },
	{ "Index", "metrics", "string" },

	{ "Model", "id", "string" },
	{ "Model", "object", "=model" },
	{ "Model", "kind", "string" },
	{ "Model", "created", "integer" },
	{ "Model", "owned_by", "string" },
	{ "Model", "fingerprint", "string" },
	{ "Model", "system_fingerprint", "string" },
	{ "Model", "cell", "string" },
	{ "Model", "tokenizer", "string" },
	{ "Model", "layers", "integer" },
	{ "Model", "hidden", "integer" },
	{ "Model", "embedding", "integer" },
	{ "Model", "vocab", "integer" },
	{ "Model", "bytes", "integer" },
	{ "Model", "state_bytes", "integer" },
	{ "Model", "training", "object|null" },
	{ "Model", "captioner?", "object" },

	{ "ModelList", "object", "=list" },
	{ "ModelList", "data", "[Model]" },

	{ "ModelUnloaded", "id", "string" },
	{ "ModelUnloaded", "object", "=model" },
	{ "ModelUnloaded", "loaded", "boolean" },

	{ "Deleted", "id", "string" },
	{ "Deleted", "object", "string" },
	{ "Deleted", "deleted", "boolean" },

	{ "Alias", "id", "string" },
	{ "Alias", "object", "=model.alias" },
	{ "Alias", "model", "string" },
	{ "Alias", "moved_at", "integer" },

	{ "AliasList", "object", "=list" },
	{ "AliasList", "data", "[Alias]" },

	{ "Tokens", "object", "=tokens" },
	{ "Tokens", "model", "string" },
	{ "Tokens", "tokens", "[integer]" },
	{ "Tokens", "count", "integer" },
	{ "Tokens", "characters", "integer" },
	{ "Tokens", "skipped_characters", "integer" },
	{ "Tokens", "unknown_tokens", "integer" },
	{ "Tokens", "encoding", "string" },
	{ "Tokens", "encoding_errors", "integer" },
	{ "Tokens", "texts?", "[string]" },

	{ "Text", "object", "=text" },
	{ "Text", "model", "string" },
	{ "Text", "text", "string" },
	{ "Text", "count", "integer" },

	{ "File", "id", "string" },
	{ "File", "object", "=file" },
	{ "File", "bytes", "integer" },
	{ "File", "created_at", "integer" },
	{ "File", "expires_at", "integer|null" },
	{ "File", "filename", "string" },
	{ "File", "purpose", "string" },
	{ "File", "status", "string" },
	{ "File", "status_details", "string|null" },
	{ "File", "encoding", "string" },
	{ "File", "format", "string" },
	{ "File", "hash", "string" },

	{ "FileList", "object", "=list" },
	{ "FileList", "data", "[File]" },
	{ "FileList", "first_id", "string|null" },
	{ "FileList", "last_id", "string|null" },
	{ "FileList", "has_more", "boolean" },

	{ "JobError", "code", "string" },
	{ "JobError", "message", "string" },
	{ "JobError", "param", "string|null" },

	{ "JobProgress", "step", "integer" },
	{ "JobProgress", "total_steps", "integer" },
	{ "JobProgress", "epoch", "number" },
	{ "JobProgress", "train_loss", "number|null" },
	{ "JobProgress", "seconds", "number" },
	{ "JobProgress", "tokens_per_second", "number" },
	{ "JobProgress", "best_step", "integer" },

	{ "JobLosses", "before", "number|null" },
	{ "JobLosses", "best", "number|null" },
	{ "JobLosses", "after", "number|null" },

	{ "JobCorpus", "hash", "string" },
	{ "JobCorpus", "tokens", "integer" },
	{ "JobCorpus", "skipped", "integer" },
	{ "JobCorpus", "new_tokens", "integer" },

	{ "Job", "object", "=fine_tuning.job" },
	{ "Job", "id", "string" },
	{ "Job", "created_at", "integer" },
	{ "Job", "started_at", "integer|null" },
	{ "Job", "finished_at", "integer|null" },
	{ "Job", "model", "string|null" },
	{ "Job", "fine_tuned_model", "string|null" },
	{ "Job", "organization_id", "string" },
	{ "Job", "status", "string" },
	{ "Job", "hyperparameters", "object" },
	{ "Job", "validation_file", "string|null" },
	{ "Job", "result_files", "[string]" },
	{ "Job", "trained_tokens", "integer" },
	{ "Job", "error", "JobError|null" },
	{ "Job", "user_provided_suffix", "string|null" },
	{ "Job", "seed", "integer" },
	{ "Job", "estimated_finish", "integer|null" },
	{ "Job", "integrations", "[object]" },
	{ "Job", "method", "object" },
	{ "Job", "metadata", "object|null" },
	{ "Job", "training_file", "string" },
	{ "Job", "from", "string" },
	{ "Job", "architecture?", "object" },
	{ "Job", "require_improvement", "boolean" },
	{ "Job", "progress", "JobProgress" },
	{ "Job", "losses", "JobLosses" },
	{ "Job", "corpus", "JobCorpus|null" },

	{ "JobList", "object", "=list" },
	{ "JobList", "data", "[Job]" },
	{ "JobList", "first_id", "string|null" },
	{ "JobList", "last_id", "string|null" },
	{ "JobList", "has_more", "boolean" },

	{ "JobMetrics", "step", "integer" },
	{ "JobMetrics", "train_loss?", "number" },
	{ "JobMetrics", "valid_loss?", "number" },
	{ "JobMetrics", "learning_rate", "number" },
	{ "JobMetrics", "sample?", "string" },

	{ "JobEvent", "object", "=fine_tuning.job.event" },
	{ "JobEvent", "id", "string" },
	{ "JobEvent", "created_at", "integer" },
	{ "JobEvent", "level", "string" },
	{ "JobEvent", "message", "string" },
	{ "JobEvent", "type", "string" },
	{ "JobEvent", "data?", "JobMetrics" },

	{ "JobEventList", "object", "=list" },
	{ "JobEventList", "data", "[JobEvent]" },
	{ "JobEventList", "first_id", "string|null" },
	{ "JobEventList", "last_id", "string|null" },
	{ "JobEventList", "has_more", "boolean" },

	{ "JobCheckpoint", "object", "=fine_tuning.job.checkpoint" },
	{ "JobCheckpoint", "id", "string" },
	{ "JobCheckpoint", "created_at", "integer" },
	{ "JobCheckpoint", "fine_tuning_job_id", "string" },
	{ "JobCheckpoint", "step_number", "integer" },
	{ "JobCheckpoint", "metrics", "JobMetrics" },
	{ "JobCheckpoint", "fine_tuned_model_checkpoint", "string|null" },

	{ "JobCheckpointList", "object", "=list" },
	{ "JobCheckpointList", "data", "[JobCheckpoint]" },
	{ "JobCheckpointList", "first_id", "string|null" },
	{ "JobCheckpointList", "last_id", "string|null" },
	{ "JobCheckpointList", "has_more", "boolean" },

	{ "Usage", "prompt_tokens", "integer" },
	{ "Usage", "completion_tokens", "integer" },
	{ "Usage", "total_tokens", "integer" },
	{ "Usage", "skipped_characters", "integer" },

	{ "Timings", "queue_ms", "number" },
	{ "Timings", "prompt_ms", "number" },
	{ "Timings", "decode_ms", "number" },
	{ "Timings", "commit_ms", "number" },
	{ "Timings", "tokens_per_second", "number" },

	{ "Logprobs", "tokens", "[string]" },
	{ "Logprobs", "token_logprobs", "[number|null]" },
	{ "Logprobs", "top_logprobs", "[{number}|null]" },
	{ "Logprobs", "text_offset?", "[integer]" },

	{ "Choice", "index", "integer" },
	{ "Choice", "text", "string" },
	{ "Choice", "logprobs?", "Logprobs" },
	{ "Choice", "finish_reason", "string" },

	{ "Sample", "id", "string" },
	{ "Sample", "object", "=sample" },
	{ "Sample", "created", "integer" },
	{ "Sample", "model", "string" },
	{ "Sample", "session", "string|null" },
	{ "Sample", "position", "integer" },
	{ "Sample", "text?", "string" },
	{ "Sample", "logprobs?", "Logprobs" },
	{ "Sample", "finish_reason?", "string" },
	{ "Sample", "choices?", "[Choice]" },
	{ "Sample", "seed", "string" },
	{ "Sample", "usage", "Usage" },
	{ "Sample", "timings", "Timings" },
	{ "Sample", "system_fingerprint", "string" },
	{ "Sample", "stream?", "string" },
	{ "Sample", "kernels_changed?", "boolean" },
	{ "Sample", "model_changed?", "string" },

	{ "CompletionChoice", "text", "string" },
	{ "CompletionChoice", "index", "integer" },
	{ "CompletionChoice", "logprobs", "Logprobs|null" },
	{ "CompletionChoice", "finish_reason", "string|null" },

	{ "Completion", "id", "string" },
	{ "Completion", "object", "=text_completion" },
	{ "Completion", "created", "integer" },
	{ "Completion", "model", "string" },
	{ "Completion", "system_fingerprint", "string" },
	{ "Completion", "choices", "[CompletionChoice]" },
	{ "Completion", "usage?", "Usage|null" },
	{ "Completion", "session?", "string" },
	{ "Completion", "position?", "integer" },

	{ "Caption", "index", "integer" },
	{ "Caption", "text", "string" },
	{ "Caption", "logprob", "number" },
	{ "Caption", "tokens", "integer" },
	{ "Caption", "finish_reason", "string" },

	{ "CaptionsUsage", "images", "integer" },
	{ "CaptionsUsage", "completion_tokens", "integer" },

	{ "CaptionsTimings", "queue_ms", "number" },
	{ "CaptionsTimings", "image_ms", "number" },
	{ "CaptionsTimings", "decode_ms", "number" },

	{ "Captions", "object", "=captions" },
	{ "Captions", "created", "integer" },
	{ "Captions", "model", "string" },
	{ "Captions", "choices", "[Caption]" },
	{ "Captions", "usage", "CaptionsUsage" },
	{ "Captions", "timings", "CaptionsTimings" },
	{ "Captions", "session?", "Session" },
	{ "Captions", "system_fingerprint", "string" },

	{ "ScoreUsage", "prompt_tokens", "integer" },
	{ "ScoreUsage", "total_tokens", "integer" },
	{ "ScoreUsage", "skipped_characters", "integer" },

	{ "ScoreResult", "index", "integer" },
	{ "ScoreResult", "logprob", "number" },
	{ "ScoreResult", "tokens", "integer" },
	{ "ScoreResult", "characters", "integer" },
	{ "ScoreResult", "perplexity", "number|null" },
	{ "ScoreResult", "bits_per_character", "number|null" },
	{ "ScoreResult", "logprobs?", "Logprobs|null" },

	{ "Score", "id", "string" },
	{ "Score", "object", "=score" },
	{ "Score", "model", "string" },
	{ "Score", "session", "string|null" },
	{ "Score", "position", "integer" },
	{ "Score", "results", "[ScoreResult]" },
	{ "Score", "usage", "ScoreUsage" },
	{ "Score", "system_fingerprint", "string" },

	{ "SnapshotItem", "name", "string" },
	{ "SnapshotItem", "position", "integer" },
	{ "SnapshotItem", "created", "integer" },
	{ "SnapshotItem", "bytes", "integer" },

	{ "Snapshot", "session", "string" },
	{ "Snapshot", "object", "=session.snapshot" },
	{ "Snapshot", "name", "string" },
	{ "Snapshot", "position", "integer" },
	{ "Snapshot", "created", "integer" },
	{ "Snapshot", "bytes", "integer" },

	{ "SnapshotList", "object", "=list" },
	{ "SnapshotList", "data", "[SnapshotItem]" },

	{ "SnapshotDeleted", "session", "string" },
	{ "SnapshotDeleted", "object", "=session.snapshot" },
	{ "SnapshotDeleted", "name", "string" },
	{ "SnapshotDeleted", "deleted", "boolean" },

	{ "Session", "id", "string" },
	{ "Session", "object", "string" },
	{ "Session", "model", "string" },
	{ "Session", "fingerprint", "string" },
	{ "Session", "kernels", "string" },
	{ "Session", "position", "integer" },
	{ "Session", "seed", "string" },
	{ "Session", "created", "integer" },
	{ "Session", "used", "integer" },
	{ "Session", "ttl", "number" },
	{ "Session", "bytes", "integer" },
	{ "Session", "busy", "boolean" },
	{ "Session", "on_model_change", "string" },
	{ "Session", "expires", "number|null" },
	{ "Session", "metadata", "object|null" },
	{ "Session", "snapshots", "[SnapshotItem]" },
	{ "Session", "boundaries", "[integer]" },
	{ "Session", "blob?", "string" },

	{ "SessionList", "object", "=list" },
	{ "SessionList", "data", "[Session]" },
	{ "SessionList", "has_more?", "boolean" },
	{ "SessionList", "next?", "string|null" },

	{ "SessionDeleted", "id", "string" },
	{ "SessionDeleted", "object", "=session" },
	{ "SessionDeleted", "deleted", "boolean" },

	{ "PeekToken", "token", "integer" },
	{ "PeekToken", "text", "string" },
	{ "PeekToken", "logprob", "number" },
	{ "PeekToken", "probability", "number" },

	{ "Peek", "id", "string" },
	{ "Peek", "object", "=session.peek" },
	{ "Peek", "model", "string" },
	{ "Peek", "position", "integer" },
	{ "Peek", "system_fingerprint", "string" },
	{ "Peek", "tokens", "[PeekToken]" },
};

json_t *openapi_reference(const char *schema)
{
	return json_pack("{s:o}", "$ref",
		json_sprintf("#/components/schemas/%s", schema));
}

/* Past the alternative that begins at p: brackets hold bars of their own. */
static size_t alternative(const char *p)
{
	size_t n = 0;

	for (int depth = 0; p[n] && (depth || p[n] != '|'); n++)
		depth += (p[n] == '[' || p[n] == '{') -
			 (p[n] == ']' || p[n] == '}');
	return n;
}

static json_t *type_of(const char *p, size_t len);

static json_t *one_type(const char *p, size_t len)
{
	char name[64];

	if (*p == '[')
		return json_pack("{s:s, s:o}", "type", "array", "items",
			type_of(p + 1, len - 2));
	if (*p == '{')
		return json_pack("{s:s, s:o}", "type", "object",
			"additionalProperties", type_of(p + 1, len - 2));
	if (*p == '=')
		return json_pack(
			"{s:o}", "const", json_stringn(p + 1, len - 1));
	memcpy(name, p, len);
	name[len] = '\0';
	return isupper((unsigned char)*name) ? openapi_reference(name)
					     : json_pack("{s:s}", "type", name);
}

static json_t *type_of(const char *p, size_t len)
{
	const char *end = p + len;
	json_t *any, *json;

	if (alternative(p) >= len)
		return one_type(p, len);
	any = json_array();
	for (; p < end; p += alternative(p) + 1) {
		size_t n = alternative(p);

		if (n > (size_t)(end - p))
			n = (size_t)(end - p);
		json_array_append_new(any, one_type(p, n));
	}
	json = json_pack("{s:o}", "anyOf", any);
	return json;
}

static void add(json_t *schemas, const struct property *p)
{
	json_t *schema = json_object_get(schemas, p->of);
	size_t n = strcspn(p->name, "?");
	char name[64];

	if (!schema) {
		schema = json_pack("{s:s, s:{}, s:[], s:b}", "type", "object",
			"properties", "required", "additionalProperties", 0);
		json_object_set_new(schemas, p->of, schema);
	}
	memcpy(name, p->name, n);
	name[n] = '\0';
	json_object_set_new(json_object_get(schema, "properties"), name,
		type_of(p->type, strlen(p->type)));
	if (!p->name[n])
		json_array_append_new(
			json_object_get(schema, "required"), json_string(name));
}

json_t *openapi_schemas(void)
{
	json_t *schemas = json_object();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		add(schemas, &rows[i]);
	return schemas;
}
