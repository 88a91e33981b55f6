"""Send every example of a daemon's /openapi.json and hold what it answers
against the schemas there. The validator knows the keywords that the document
uses, and fails on any other: nothing is passed over in silence.

    openapi.py URL
"""
import json
import re
import sys
import urllib.error
import urllib.request

KNOWN = {"type", "properties", "required", "additionalProperties", "items",
         "anyOf", "oneOf", "const", "enum", "$ref", "minimum", "maximum",
         "minLength", "maxLength", "minItems", "maxItems", "pattern",
         "description", "default"}
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
    return (made.get(path, 5) if method == "post" else 6), 0, path


def fill(path, model):
    known = {"{id}": "play", "{name}": "act1", "{model}": model}
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


def main(url):
    document = json.loads(ask(url, "GET", "/openapi.json")[2])
    assert document["openapi"] == "3.1.0"
    model = json.loads(ask(url, "GET", "/v1/models")[2])["data"][0]["id"]
    v = Validator(document)
    operations = [(path, method, o)
                  for path, item in document["paths"].items()
                  for method, o in item.items()]
    checked = failed = 0
    ids = [o["operationId"] for _, _, o in operations]
    assert len(ids) == len(set(ids)), "operation ids repeat"
    for path, method, operation in sorted(operations, key=order):
        assert operation["responses"]["default"]
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
    print(f"{checked} of {len(operations)} operations answer as they say")
    return failed or checked < 18


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
