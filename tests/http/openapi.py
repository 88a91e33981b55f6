"""Send every example of a daemon's /openapi.json and hold what it answers
against the schemas there. The validator knows the keywords that the document
uses, and fails on any other: nothing is passed over in silence.

    openapi.py URL
"""
import json
import re
import sys
import time
import urllib.error
import urllib.request

KNOWN = {"type", "properties", "required", "additionalProperties", "items",
         "anyOf", "oneOf", "const", "enum", "$ref", "minimum", "maximum",
         "minLength", "maxLength", "minItems", "maxItems", "pattern",
         "description", "default", "contentEncoding"}
TYPES = {"string": str, "boolean": bool, "object": dict, "array": list,
         "null": type(None), "number": (int, float), "integer": int}


class Invalid(Exception):
    pass


class Validator:
    def __init__(self, document):
        self.document = document

    def resolve(self, reference):
        at = self.document
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]
        return at

    def check(self, value, schema, where="$"):
        unknown = set(schema) - KNOWN
        if unknown:
            raise Invalid(f"{where}: keywords {unknown} are not known")
        if "$ref" in schema:
            return self.check(value, self.resolve(schema["$ref"]), where)
        self.check_value(value, schema, where)
        if isinstance(value, dict):
            self.check_object(value, schema, where)
        if isinstance(value, list):
            self.check_array(value, schema, where)
        for word, counts in (("anyOf", range(1, 99)), ("oneOf", (1,))):
            if word in schema:
                n = sum(self.passes(value, s, where) for s in schema[word])
                if n not in counts:
                    raise Invalid(f"{where}: {n} of {word} hold: {value!r}")

    def passes(self, value, schema, where):
        try:
            self.check(value, schema, where)
            return True
        except Invalid:
            return False

    def check_value(self, value, schema, where):
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(isinstance(value, TYPES[k]) and
                             (k in ("boolean",) or not isinstance(value, bool))
                             for k in kinds):
            raise Invalid(f"{where}: {value!r} is no {kinds}")
        if "const" in schema and value != schema["const"]:
            raise Invalid(f"{where}: {value!r} is not {schema['const']!r}")
        if "enum" in schema and value not in schema["enum"]:
            raise Invalid(f"{where}: {value!r} not in {schema['enum']!r}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not schema.get("minimum", value) <= value <= schema.get(
                    "maximum", value):
                raise Invalid(f"{where}: {value} is out of range")
        if isinstance(value, str):
            if not schema.get("minLength", 0) <= len(value) <= schema.get(
                    "maxLength", len(value)):
                raise Invalid(f"{where}: {len(value)} characters")
            if not re.search(schema.get("pattern", ""), value):
                raise Invalid(f"{where}: {value!r}: {schema['pattern']}")

    def check_object(self, value, schema, where):
        properties = schema.get("properties", {})
        for name in schema.get("required", []):
            if name not in value:
                raise Invalid(f"{where}: {name} is missing")
        for name, v in value.items():
            inner = properties.get(
                name, schema.get("additionalProperties", True))
            if inner is False:
                raise Invalid(f"{where}: {name} is not in the schema")
            if inner is not True:
                self.check(v, inner, f"{where}.{name}")

    def check_array(self, value, schema, where):
        if not schema.get("minItems", 0) <= len(value) <= schema.get(
                "maxItems", len(value)):
            raise Invalid(f"{where}: {len(value)} items")
        for i, v in enumerate(value):
            self.check(v, schema.get("items", {}), f"{where}[{i}]")


def ask(url, method, path, body=None, accept="application/json"):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, method=method)
    request.add_header("Accept", accept)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


def order(item):
    """What makes things first, what deletes them last, the longest first."""
    path, method, _ = item
    made = {"/v1/sessions": 0, "/v1/sessions/{id}/snapshot": 1}
    if method == "delete":
        return 9, -path.count("/"), path
    if path.endswith("load"):  # unload, then load: when others have read it
        return 8, -len(path), path
    return (made.get(path, 5) if method == "post" else 6), 0, path


def fill(path, model):
    known = {"/web/{file}": "/web/main.js", "{id}": "play",
             "{name}": "act1", "{model}": model}
    for name, value in known.items():
        path = path.replace(name, value)
    return path


def check_operation(v, url, path, method, operation, model):
    """The number of answers that were held against a schema."""
    if path == "/v1/streams/{id}":
        return 0  # of events, and there is none to resume
    body = operation.get("requestBody", {}).get("content", {}).get(
        "application/json")
    if body and "example" not in body and operation["requestBody"]["required"]:
        return 0
    example = body.get("example", {}) if body else None
    if body:
        v.check(example, body["schema"])
    status, headers, answer = ask(
        url, method.upper(), fill(path, model), example)
    documented = [s for s in operation["responses"] if s != "default"]
    assert str(status) in documented, f"{status}: {answer[:300]!r}"
    content = operation["responses"][str(status)]["content"]
    kind = headers["Content-Type"].split(";")[0]
    assert kind in content or kind == "application/json", kind
    schema = content.get(kind, {}).get("schema")
    if not schema:
        return 0
    v.check(json.loads(answer), schema)
    if "text/event-stream" in content:
        check_stream(v, url, path, example, schema)
    # And that an answer that is not so would not pass.
    assert not v.passes([], schema, "$")
    return 1


def check_stream(v, url, path, example, schema):
    example = {k: w for k, w in example.items() if k != "n"}
    _, headers, answer = ask(url, "POST", path, dict(example, stream=True))
    assert headers["Content-Type"].startswith("text/event-stream")
    frames = [line[6:] for line in answer.decode().split("\n")
              if line.startswith("data: ")]
    assert frames[-1] == "[DONE]"
    # Of /sample the last frame only is of the answer's shape.
    chunks = frames[:-1] if path != "/sample" else frames[-2:-1]
    for chunk in chunks:
        v.check(json.loads(chunk), schema)


def upload(url, text):
    body = (b'--edge\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n'
            b'fine-tune\r\n--edge\r\nContent-Disposition: form-data; '
            b'name="file"; filename="a.txt"\r\n\r\n' + text +
            b'\r\n--edge--\r\n')
    request = urllib.request.Request(url + "/v1/files", body)
    request.add_header("Content-Type", "multipart/form-data; boundary=edge")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


class Training:
    """Files, jobs and aliases, in the only order that makes sense: names in
    their paths are of what was made before."""
    PATHS = ("/v1/files", "/v1/fine_tuning/", "/v1/aliases")

    def __init__(self, v, url, model, document):
        self.v, self.url, self.model, self.done = v, url, model, 0
        self.paths = document["paths"]

    def hold(self, method, path, answer):
        schema = self.paths[path][method.lower()]["responses"]["200"][
            "content"]["application/json"]["schema"]
        self.v.check(answer, schema)
        self.done += 1
        return answer

    def ask(self, method, path, body=None, **names):
        if body is not None:
            self.v.check(body, self.paths[path][method.lower()]["requestBody"][
                "content"]["application/json"]["schema"])
        status, _, answer = ask(
            self.url, method, path.format(**names), body)
        if status != 200:
            raise Invalid(f"{method} {path}: {status} {answer[:300]!r}")
        return self.hold(method, path, json.loads(answer))

    def wait(self, job, *states):
        for _ in range(600):
            at = self.ask("GET", JOBS + "/{id}", id=job)
            if at["status"] in states:
                return
            time.sleep(0.05)
        raise Invalid(f"job is {at['status']}, expected one of {states}")

    def delete(self, path, **names):
        """A job that has just ended lets go of its file a moment later."""
        for _ in range(100):
            try:
                return self.ask("DELETE", path, **names)
            except Invalid as e:
                if ": 409" not in str(e):
                    raise
                time.sleep(0.05)
        raise Invalid(f"DELETE {path}: 409 for 5 s")

    def job(self, file, steps):
        return self.ask("POST", JOBS, {
            "model": self.model, "training_file": file,
            "hyperparameters": {"max_steps": steps}})["id"]

    def run(self):
        file = self.hold("POST", "/v1/files", upload(
            self.url, b"ROMEO: the quick brown fox, O me!\n" * 200))["id"]
        short = self.job(file, 2)
        self.wait(short, "succeeded")
        for part in ("/events", "/checkpoints"):
            self.ask("GET", JOBS + "/{id}" + part, id=short)
        long = self.job(file, 1000000)
        self.wait(long, "running")
        for verb, state in (("pause", "paused"), ("resume", "running"),
                            ("cancel", "cancelled")):
            self.ask("POST", JOBS + "/{id}/" + verb, id=long)
            self.wait(long, state)
        self.ask("GET", JOBS)
        self.ask("GET", "/v1/files")
        self.ask("GET", "/v1/files/{file}", file=file)
        self.delete("/v1/files/{file}", file=file)
        self.ask("DELETE", "/v1/models/{model}", model=self.ask(
            "GET", JOBS + "/{id}", id=short)["fine_tuned_model"])
        name = "/v1/aliases/{alias}"
        self.ask("PUT", name, {"model": self.model}, alias="now")
        self.ask("GET", name, alias="now")
        self.ask("GET", "/v1/aliases")
        self.ask("DELETE", name, alias="now")
        return self.done


JOBS = "/v1/fine_tuning/jobs"


def main(url):
    document = json.loads(ask(url, "GET", "/openapi.json")[2])
    assert document["openapi"] == "3.1.0"
    model = next(m["id"] for m in json.loads(
        ask(url, "GET", "/v1/models")[2])["data"] if m["kind"] == "text")
    v = Validator(document)
    operations = [(path, method, o)
                  for path, item in document["paths"].items()
                  for method, o in item.items()]
    checked = failed = 0
    ids = [o["operationId"] for _, _, o in operations]
    assert len(ids) == len(set(ids)), "operation ids repeat"
    try:
        checked += Training(v, url, model, document).run()
    except (AssertionError, Invalid) as e:
        failed += 1
        print(f"training: {e}")
    for path, method, operation in sorted(operations, key=order):
        assert operation["responses"]["default"]
        if path.startswith(Training.PATHS) or (
                path, method) == ("/v1/models/{model}", "delete"):
            continue
        try:
            checked += check_operation(v, url, path, method, operation, model)
        except (AssertionError, Invalid) as e:
            failed += 1
            print(f"{method.upper()} {path}: {e}")
    for path, status in (("/nothing", 404), ("/v1/models/nothing", 404),
                         ("/v1/sessions/nothing", 404)):
        got, _, answer = ask(url, "GET", path)
        assert got == status
        v.check(json.loads(answer), {"$ref": "#/components/schemas/Error"})
    print(f"{checked} answers of {len(operations)} operations are as they say")
    return failed or checked < 18


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
