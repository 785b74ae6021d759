"""`/openapi.json` against the server that serves it: the document is valid, its examples are true, its parameters are
those that are taken, and what isn't in it is refused. `make contract` goes on where this ends."""

import glob
import json
import re
import select
import site
import struct
import subprocess
import unittest

from harness import ROOT, Names, Server, http_request, quoted, unit, until, uuid7

TOOLS = ROOT / ".build" / "tools"
STREAMS = ("/stream", "/stream/sse", "/stream-sse")
CHANGING = {"timestamp", "created_at", "updated_at", "position", "request_id", "token", "acquired_at", "expires_at", "indexed_position"}
MADE_UP_ID = "019b7c9e-"
"""Ids that the server makes stand in the examples with this beginning."""
WRITES = (
    ("/workunit", "post"), ("/workunits", "post"), ("/search", "post"), ("/search/relationships", "post"), ("/contexts/{id}", "patch"), ("/locks", "post"), ("/locks/{path}", "put"))
"""Those whose examples are played, in order: what one leaves is what the next one needs."""

for packages in glob.glob(str(TOOLS / "venv" / "lib" / "python3*" / "site-packages")):
    site.addsitedir(packages)


def strict(schema):
    """The schema of an answer, with members that it doesn't name refused: for tests, not for clients."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: strict(one) if name != "examples" else one for name, one in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        inner.setdefault("additionalProperties", False)
    return inner


def same(expected, actual, path=""):
    """Where an answer differs from its example, what changes from run to run left out; None if nowhere."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if set(expected) != set(actual):
            return f"{path}: members {sorted(set(expected) ^ set(actual))}"
        for name in expected:
            if name in CHANGING or str(expected[name]).startswith(MADE_UP_ID):
                continue
            if found := same(expected[name], actual[name], f"{path}/{name}"):
                return found
        return None
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for place, (one, other) in enumerate(zip(expected, actual)):
            if found := same(one, other, f"{path}/{place}"):
                return found
        return None
    return None if expected == actual else f"{path}: {expected!r} is {actual!r}"


def made_up(expected, actual):
    """What the server has named, by the ids that stand for it in an example of its answer."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return {old: new for name in expected if name in actual for old, new in made_up(expected[name], actual[name]).items()}
    if isinstance(expected, list) and isinstance(actual, list):
        return {old: new for one, other in zip(expected, actual) for old, new in made_up(one, other).items()}
    return {expected: actual} if str(expected).startswith(MADE_UP_ID) else {}


def parameters(item, operation):
    return item["parameters"] + operation.get("parameters", [])


class ContractSuite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Not at the top: a checkout without the tools is told what to do.
        try:
            import jsonschema
            from openapi_spec_validator import OpenAPIV31SpecValidator
        except ImportError as error:
            raise AssertionError(f"{error}: run `make tools`") from None
        cls.jsonschema, cls.spec = jsonschema, OpenAPIV31SpecValidator
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)
        with cls.server.client() as client:
            cls.answer = client.get("/openapi.json")
        cls.document = cls.answer.json()
        cls.named = {}
        cls.play_writes()

    @classmethod
    def play_writes(cls):
        """Sends the examples of the writes, in order: reads find what they left. Keeps the answers, and the ids in them."""
        cls.played = []
        with cls.server.client() as client:
            for path, method in WRITES:
                item = cls.document["paths"][path]
                target, _ = cls.filled(path, item, item[method])
                for media, content in item[method]["requestBody"]["content"].items():
                    for name, example in content.get("examples", {}).items():
                        value = example["value"]
                        is_lines = media == "application/x-ndjson"
                        body = "".join(json.dumps(one) + "\n" for one in value) if is_lines else json.dumps(value)
                        answer = client.request(method.upper(), target, cls.renamed(body), {"Content-Type": media})
                        status, expected = cls.example(item[method], name)
                        cls.played.append((path, method, name, status, expected, answer))
                        if answer.status == status:
                            cls.named |= made_up(expected, answer.json())

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)

    # -- reading the document --------------------------------------------------------------------------------------

    @classmethod
    def renamed(cls, text):
        """A request of an example, with ids as the server has made them."""
        for old, new in cls.named.items():
            text = text.replace(old, new)
        return text

    @staticmethod
    def example(operation, name):
        """The status and the value of an answer's example."""
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                if name in content.get("examples", {}):
                    return int(status), content["examples"][name]["value"]
        raise AssertionError(f"{operation['operationId']}: no answer has the example {name}")

    def operations(self, streams=False, reads=False):
        for path, item in self.document["paths"].items():
            if streams or path not in STREAMS:
                for method in item:
                    if method in ("get", "head") or (method != "parameters" and not reads):
                        yield path, method, item, item[method]

    def resolve(self, schema):
        """A schema that stands by itself: references lead into a copy of the components."""
        text = json.dumps(schema).replace("#/components/schemas/", "#/$defs/")
        whole = json.loads(json.dumps(self.document["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/"))
        return {"$defs": whole} | json.loads(text)

    def fits(self, schema, value, is_answer=True):
        schema = self.resolve(schema)
        validator = self.jsonschema.Draft202012Validator(
            strict(schema) if is_answer else schema, format_checker=self.jsonschema.FormatChecker())
        error = self.jsonschema.exceptions.best_match(validator.iter_errors(value))
        self.assertIsNone(error, f"{error and error.message}: {str(value)[:300]}")

    def assertFields(self, described, fields, what):
        for name, field in described.get("headers", {}).items():
            field = self.document["components"]["headers"][field["$ref"].rsplit("/", 1)[1]]
            if field["required"]:
                self.assertIn(name.lower(), fields, what)
            if name.lower() in fields and "const" in field["schema"]:
                self.assertEqual(fields[name.lower()], field["schema"]["const"], what)

    def assertDescribed(self, path, method, answer):
        """The answer's status, content type, fields and body are as the document has them."""
        operation = self.document["paths"][path][method]
        described = operation["responses"].get(str(answer.status))
        self.assertIsNotNone(described, f"{method} {path} answers {answer}")
        self.assertFields(described, answer.headers, f"{method} {path}: {answer}")
        content = described.get("content")
        if content is None:
            self.assertEqual(answer.body, b"", f"{method} {path}: {answer}")
            return
        media = answer.headers["content-type"]
        self.assertIn(media, content, f"{method} {path}")
        if "json" in media:
            self.fits(content[media]["schema"], answer.json())

    @classmethod
    def filled(cls, path, item, operation):
        """The path with the examples of its parameters, and a query of all the others."""
        query = []
        for parameter in parameters(item, operation):
            example = parameter.get("example")
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], quoted(example))
            elif parameter["in"] == "query" and example is not None:
                query.append((parameter, cls.pairs(parameter, example)))
        return path, query

    @classmethod
    def pairs(cls, parameter, value):
        """An example as it stands in a query (OpenAPI 3.1, style `form`)."""
        def text(one):
            return cls.renamed(quoted(str(one).lower() if isinstance(one, bool) else str(one)))
        if isinstance(value, dict):
            return [f"{quoted(name)}={text(one)}" for name, one in value.items()]
        if isinstance(value, list):
            if parameter.get("explode", True):
                return [f"{parameter['name']}={text(one)}" for one in value]
            return [f"{parameter['name']}={','.join(text(one) for one in value)}"]
        return [f"{parameter['name']}={text(value)}"]

    def acquire(self, path, agent="anna", **more):
        answer = self.client.request("POST", "/locks", {"resource_path": path, "agent_id": agent} | more)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["lock"]

    # -- the document ------------------------------------------------------------------------------------------------

    def test_it_is_valid_openapi(self):
        errors = [f"{list(error.path)}: {error.message}" for error in self.spec(self.document).iter_errors()]
        self.assertEqual(errors, [])
        for name, schema in self.document["components"]["schemas"].items():
            with self.subTest(schema=name):
                self.jsonschema.Draft202012Validator.check_schema(schema)
        self.assertEqual(self.document["info"]["version"], self.client.get("/version").json()["version"])

    def test_it_has_an_entity_tag(self):
        tag = self.answer.headers["etag"]
        for path in ("/openapi.json", "/v1/openapi.json"):
            again = self.client.get(path)
            self.assertEqual((again.status, again.headers["etag"], again.body), (200, tag, self.answer.body))
            for listed in (tag, "*", f'"other", W/{tag}'):
                found = self.client.get(path, {"If-None-Match": listed})
                self.assertEqual((found.status, found.body, found.headers["etag"]), (304, b"", tag))
            self.assertEqual(self.client.get(path, {"If-None-Match": '"other"'}).status, 200)
        head = self.client.request("HEAD", "/openapi.json")
        self.assertEqual((head.status, head.headers["content-length"]), (200, str(len(self.answer.body))))

    # -- examples ----------------------------------------------------------------------------------------------------

    def test_examples_of_writes_are_true(self):
        self.assertEqual({(path, method) for path, method, *_ in self.played}, set(WRITES))
        for path, method, name, status, expected, answer in self.played:
            with self.subTest(path=path, method=method, example=name):
                self.assertEqual(answer.status, status, answer)
                self.assertDescribed(path, method, answer)
                self.assertIsNone(same(expected, answer.json()))

    def test_every_example_of_a_write_is_played(self):
        for path, method, _, operation in self.operations():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for name in content.get("examples", {}):
                    self.assertIn((path, method, name), [played[:3] for played in self.played])

    def test_examples_of_releases_are_true(self):
        for name, query in (("byHolder", "agent_id=anna"), ("byForce", "agent_id=bob&force=true")):
            with self.subTest(name):
                path = Names.fresh("contract") + "/released"
                lock = self.acquire(path)
                if name == "byHolder":
                    query += f"&lock_id={lock['lock_id']}"
                answer = self.client.request("DELETE", f"/locks/{path}?{query}")
                self.assertDescribed("/locks/{path}", "delete", answer)
                _, expected = self.example(self.document["paths"]["/locks/{path}"]["delete"], name)
                self.assertEqual((answer.status, answer.json()), (200, expected))

    def test_examples_fit_their_schemas(self):
        seen = 0
        for path, method, item, operation in self.operations(streams=True):
            contents = [(content, False) for content in operation.get("requestBody", {}).get("content", {}).values()]
            for response in operation["responses"].values():
                contents += [(content, True) for content in response.get("content", {}).values()]
            for content, is_answer in contents:
                for name, example in content.get("examples", {}).items():
                    with self.subTest(path=path, method=method, example=name):
                        seen += 1
                        self.fits(content["schema"], example["value"], is_answer)
            for parameter in parameters(item, operation):
                if "example" in parameter:
                    with self.subTest(path=path, parameter=parameter["name"]):
                        seen += 1
                        self.fits(parameter["schema"], parameter["example"], is_answer=False)
        self.assertGreater(seen, 20)

    def test_examples_of_reads_are_answered_as_described(self):
        """Every read with the examples of its path, and with each example of its query, and with all."""
        for path, method, item, operation in self.operations(reads=True):
            target, query = self.filled(path, item, operation)
            queries = [[], *([pair] for _, pair in query), [text for _, pair in query for text in pair]]
            for pairs in queries:
                asked = target + ("?" + "&".join(pairs[0] if pairs and isinstance(pairs[0], list) else pairs) if pairs else "")
                with self.subTest(method=method, target=asked):
                    answer = self.client.request(method.upper(), asked)
                    self.assertEqual(answer.status, 200, answer)
                    self.assertDescribed(path, method, answer)
                    examples = operation["responses"]["200"].get("content", {}).get(
                        answer.headers.get("content-type"), {}).get("examples", {})
                    for name, example in examples.items():
                        if not pairs:
                            actual = answer.json() if "json" in answer.headers["content-type"] else answer.body.decode()
                            self.assertIsNone(same(example["value"], actual), name)

    # -- what isn't described is refused -----------------------------------------------------------------------------

    def request_to(self, path, method, item, operation, pair):
        """A good request of this operation, with this pair in its query: the target, the body and the fields."""
        target, _ = self.filled(path, item, operation)
        body, fields = None, {}
        if path in ("/workunit", "/workunits"):
            body = unit(Names.fresh("contract"))
        elif method == "patch":
            target, body = "/contexts/" + Names.fresh("contract"), {"agent_id": "anna"}
        elif path == "/search/relationships":
            body = {"target_id": self.played[0][4]["work_unit"]["id"]}
        elif (path, method) == ("/locks", "post"):
            body = {"resource_path": Names.fresh("contract"), "agent_id": "anna", "ttl_seconds": 5}
        elif path == "/locks/{path}" and method in ("put", "delete"):
            lock = self.acquire(Names.fresh("contract"), ttl_seconds=5)
            target, fields = "/locks/" + lock["resource_path"], {"X-Agent-ID": "anna"}
            body = {"lock_id": lock["lock_id"]} if method == "put" else None
            if pair.startswith("lock_id="):
                pair = "lock_id=" + lock["lock_id"]
        return f"{target}?{pair}", body and json.dumps(body), fields

    def test_only_described_parameters_are_taken(self):
        """Of all names that any route has, each route takes its own."""
        names = {
            parameter["name"]: self.pairs(parameter, parameter["example"])[0]
            for _, _, item, operation in self.operations(streams=True) for parameter in parameters(item, operation)
            if parameter["in"] == "query" and "example" in parameter}
        names["cursor"] = "cursor="
        self.assertGreater(len(names), 17)
        for path, method, item, operation in self.operations():
            taken = {parameter["name"]: parameter for parameter in parameters(item, operation) if parameter["in"] == "query"}
            for name, pair in names.items():
                with self.subTest(method=method, path=path, parameter=name):
                    if "example" in taken.get(name, {}):
                        pair = self.pairs(taken[name], taken[name]["example"])[0]
                    target, body, fields = self.request_to(path, method, item, operation, pair)
                    answer = self.client.request(method.upper(), target, body, fields)
                    if name in taken:
                        self.assertLess(answer.status, 400, answer)
                    else:
                        self.assertEqual(answer.status, 400, f"?{pair} is taken: {answer}")
                        if method != "head":
                            self.assertIn("is not a query parameter", answer.json()["detail"])
                            self.assertDescribed(path, method, answer)

    def test_only_described_methods_are_taken(self):
        for path, item in self.document["paths"].items():
            described = {method.upper() for method in item if method != "parameters"}
            target, _ = self.filled(path, item, {})
            for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - described:
                answer = self.client.request(method, target)
                self.assertEqual(answer.status, 405, f"{method} {path}: {answer}")
                self.assertEqual({one.strip() for one in answer.headers["allow"].split(",")}, described, path)

    def test_refusals_are_described(self):
        """Answers that go wrong in ways that every server knows, each against the document."""
        post, many = "/workunit", "/workunits"
        context = Names.fresh("contract")
        taken = uuid7()
        self.client.create(unit(context, id=taken))
        for path, status, body, headers in [
                (post, 400, "{", {}), (post, 400, "{}", {}), (post, 400, unit(context, x=1), {}),
                (post, 400, unit(context) | {"agent_id": "a"}, {"X-Agent-ID": "b"}),
                (post, 409, unit(context, "other", id=taken), {}),
                (post, 409, unit(context, fence={"resource_path": "a/b", "token": 1}), {}),
                (post, 412, unit(context, expected_sequence=99), {}),
                (post, 415, "x", {"Content-Type": "text/plain"}), (post, 413, unit(context, "x" * ((8 << 20) + 1)), {}),
                (many, 400, [], {}), (many, 400, {"work_units": []}, {}), (many, 400, [unit(context, kind="NONE")], {}),
                (many, 400, "\n", {"Content-Type": "application/x-ndjson"}),
                (many, 415, "x", {"Content-Type": "text/plain"}),
                ("/search/relationships", 400, {"target_id": taken, "depth": 0}, {}),
                ("/search/relationships", 404, {"target_id": uuid7()}, {}),
                ("/search/relationships", 415, "x", {"Content-Type": "text/plain"})]:
            with self.subTest(path=path, status=status, body=str(body)[:60]):
                answer = self.client.request("POST", path, body=body, headers=headers)
                self.assertEqual(answer.status, status, answer)
                self.assertDescribed(path, "post", answer)
        for path, target, status in [
                ("/workunit/{id}", "/workunit/x", 400), ("/workunit/{id}", f"/workunit/{uuid7()}", 404),
                ("/workunits/{context_id}", "/workunits/demo?limit=0", 400),
                ("/workunits/{context_id}", "/workunits/demo?cursor=x", 400),
                ("/contexts/{id}", "/contexts/" + Names.fresh("nothing"), 404),
                ("/workunit/{id}/relationships", f"/workunit/{uuid7()}/relationships", 404),
                ("/workunit/{id}/relationships", f"/workunit/{taken}/relationships?depth=11", 400),
                ("/contexts/{id}", "/contexts/demo?include=everything", 400), ("/readyz", "/readyz?verbose=x", 400)]:
            with self.subTest(target=target):
                answer = self.client.get(target)
                self.assertEqual(answer.status, status, answer)
                self.assertDescribed(path, "get", answer)

    def test_refusals_of_contexts_and_locks_are_described(self):
        base = Names.fresh("contract")
        lock, other = self.acquire(f"{base}/a"), self.acquire(f"{base}/b")
        wanted = {"resource_path": f"{base}/a", "agent_id": "bob"}
        several = {"resource_paths": [f"{base}/many/{n}" for n in range(32)], "agent_id": base}
        for n in range(3):
            self.client.request("POST", "/locks", several | {"resource_paths": [f"{base}/{n}/{m}" for m in range(32)]})
        one = "/locks/{path}"
        text = {"Content-Type": "text/plain"}
        for method, path, target, status, code, body, headers in [
                ("patch", "/contexts/{id}", f"/contexts/{base}", 400, "invalid_request", {"colour": "red", "agent_id": "a"}, {}),
                ("patch", "/contexts/{id}", f"/contexts/{base}", 400, "invalid_request", {"display_name": "nobody asks"}, {}),
                ("patch", "/contexts/{id}", f"/contexts/{base}", 400, "invalid_request", {"pin_units": [uuid7()], "agent_id": "a"}, {}),
                ("patch", "/contexts/{id}", f"/contexts/{base}", 412, "precondition_failed", {"agent_id": "a"}, {"If-Match": "*"}),
                ("patch", "/contexts/{id}", f"/contexts/{base}", 415, "unsupported_media_type", "{}", text),
                ("post", "/locks", "/locks", 400, "invalid_request", {}, {}),
                ("post", "/locks", "/locks", 400, "invalid_request", wanted | {"resource_path": "a//b"}, {}),
                ("post", "/locks", "/locks", 400, "invalid_request", wanted | {"resource_paths": ["a"]}, {}),
                ("post", "/locks", "/locks", 409, "lock_held", wanted, {}),
                ("post", "/locks", "/locks", 409, "lock_held", wanted | {"wait_seconds": 0.01}, {}),
                ("post", "/locks", "/locks", 415, "unsupported_media_type", "{}", text),
                ("post", "/locks", "/locks", 429, "rate_limited", several, {}),
                ("get", "/locks", "/locks?limit=0", 400, "invalid_request", None, {}),
                ("get", "/locks", "/locks?cursor=x", 400, "invalid_request", None, {}),
                ("get", "/locks", "/locks?prefix=%C2%84", 400, "invalid_request", None, {}),
                ("get", one, f"/locks/{base}/none", 404, "not_found", None, {}),
                ("get", one, f"/locks/{base}//none", 400, "invalid_request", None, {}),
                ("put", one, f"/locks/{base}/a", 400, "invalid_request", {}, {}),
                ("put", one, f"/locks/{base}/a", 409, "lock_not_held", {"lock_id": other["lock_id"]}, {}),
                ("put", one, f"/locks/{base}/a", 409, "lock_not_held", {"lock_id": lock["lock_id"]}, {"X-Agent-ID": "bob"}),
                ("put", one, f"/locks/{base}/none", 409, "lock_not_held", {"lock_id": lock["lock_id"]}, {}),
                ("put", one, f"/locks/{base}/a", 415, "unsupported_media_type", "{}", text),
                ("delete", one, f"/locks/{base}/a", 400, "invalid_request", None, {}),
                ("delete", one, f"/locks/{base}/a?agent_id=bob", 409, "lock_not_held", None, {}),
                ("delete", one, f"/locks/{base}/none?agent_id=bob", 404, "not_found", None, {})]:
            with self.subTest(method=method, target=target, status=status, body=str(body)[:60]):
                answer = self.client.request(method.upper(), target, body, headers)
                self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer)
                self.assertDescribed(path, method, answer)
                if code == "lock_held" or (code == "lock_not_held" and "none" not in target):
                    problem = answer.json()
                    self.assertEqual((problem["holder_agent"], problem["expires_at"]), ("anna", lock["expires_at"]))

    def test_a_circle_of_waiters_is_described(self):
        """anna, who holds a, waits for b, and bob, who holds b, for a: one of them may not."""
        base = Names.fresh("contract")
        self.acquire(f"{base}/a", "anna")
        self.acquire(f"{base}/b", "bob")
        with self.server.raw() as anna, self.server.raw() as bob:
            for raw, agent, path in ((anna, "anna", "b"), (bob, "bob", "a")):
                raw.send(http_request(
                    "POST", "/locks", {"resource_path": f"{base}/{path}", "agent_id": agent, "wait_seconds": 60}))
            # Whoever comes second is refused; the other goes on waiting.
            ready, _, _ = select.select([anna.socket, bob.socket], [], [], 20)
            self.assertEqual(len(ready), 1)
            answer = (anna if anna.socket in ready else bob).answer()
        self.assertEqual((answer.status, answer.json()["code"]), (409, "deadlock"), answer)
        self.assertDescribed("/locks", "post", answer)
        self.assertEqual(set(answer.json()["cycle"]), {"anna", "bob"})

    def test_changes_of_contexts_are_described(self):
        path, target = "/contexts/{id}", "/contexts/" + Names.fresh("contract")

        def change(status, condition=None, **patch):
            fields = {"X-Agent-ID": "anna"} | ({"If-Match": condition} if condition else {})
            answer = self.client.request("PATCH", target, patch, fields)
            self.assertEqual(answer.status, status, answer)
            self.assertDescribed(path, "patch", answer)
            return answer

        made = change(201, metadata={"a": "1", "b": "2"})
        self.assertEqual(self.client.get(target).headers["etag"], made.headers["etag"])
        changed = change(200, made.headers["etag"], metadata={"a": None, "c": "3"}, display_name="x")
        self.assertEqual(changed.json()["context"]["metadata"], {"b": "2", "c": "3"})
        change(412, made.headers["etag"], display_name="too late")
        change(200, f'"other", {changed.headers["etag"]}', add_agents=["bob"])
        self.assertEqual(change(200, "*").json()["context"]["display_name"], "x")

    def test_conditions_and_ranges_are_described(self):
        path = "/workunit/{id}/payload"
        item = self.document["paths"][path]
        target, _ = self.filled(path, item, item["get"])
        whole = self.client.get(target)
        tag = whole.headers["etag"]
        for headers, status in [
                ({}, 200), ({"Range": "bytes=1-2"}, 206), ({"Range": "bytes=99-"}, 416), ({"If-None-Match": tag}, 304),
                ({"Range": "bytes=0-0", "If-Range": tag}, 206), ({"Range": "bytes=0-0", "If-Range": '"x"'}, 200)]:
            with self.subTest(headers=headers):
                answer = self.client.get(target, headers)
                self.assertEqual(answer.status, status, answer)
                self.assertDescribed(path, "get", answer)

    # -- streams -----------------------------------------------------------------------------------------------------

    def test_streams_are_as_described(self):
        """Their answers never end: what they begin with is held against the document."""
        context = Names.fresh("contract")
        self.client.create(unit(context, "seen"))
        for path in STREAMS:
            operation = self.document["paths"][path]["get"]
            with self.subTest(path=path), self.server.raw() as raw:
                raw.send(http_request("GET", f"{path}?context={context}&after=0&type=MESSAGE&agent=tester&events=workunit"))
                until(lambda: b"event: workunit" in raw.buffer and b"\n\n" in raw.buffer.split(b"event: workunit")[1]
                      or not raw._more(), what="a unit")
                head, events = raw.buffer.split(b"\r\n\r\n", 1)
                fields = {name.lower(): value for name, value in re.findall(r"(?m)^([\w-]+): (.*?)\r?$", head.decode())}
                described = operation["responses"]["200"]
                self.assertIn(fields["content-type"], described["content"])
                self.assertFields(described, fields, head)
                data = re.search(rb"event: workunit\n(?:id: \d+\n)?data: (.*)\n", events) or re.search(
                    rb"data: (\{\"id\".*)\n", events)
                self.fits({"$ref": "#/components/schemas/WorkUnit"}, json.loads(data[1]))
            for query, status in [("?after=x", 400), ("?after=999999999999", 410), ("?x=1", 400), ("?events=none", 400)]:
                with self.subTest(path=path, query=query):
                    answer = self.client.get(path + query)
                    self.assertEqual(answer.status, status, answer)
                    self.assertDescribed(path, "get", answer)

    def followed(self, context):
        """Something of each kind of events, of this context and of a lock below it. Returns the streams' query."""
        self.client.create(unit(context, "seen"))
        self.assertEqual(self.client.request("PATCH", f"/contexts/{context}", {"display_name": "x", "agent_id": "anna"}).status, 200)
        self.acquire(f"{context}/a")
        self.assertEqual(self.client.request("DELETE", f"/locks/{context}/a?agent_id=anna").status, 200)
        return f"context={context}&events=workunit,context,lock&lock={context}/&after=0"

    def test_events_of_streams_are_as_described(self):
        query = self.followed(Names.fresh("contract"))
        schemas = {"subscribed": "Subscribed", "workunit": "WorkUnit", "context": "Context", "lock": "LockEvent"}
        with self.server.raw() as raw:
            raw.send(http_request("GET", f"/stream/sse?{query}"))
            until(lambda: b'"action":"released"' in raw.buffer and raw.buffer.endswith(b"\n\n") or not raw._more(), what="the release")
            events = re.findall(r"^event: (\w+)\n(?:id: \d+\n)?data: (.*)\n", raw.buffer.decode(), re.M)
        self.assertEqual(events[0][0], "subscribed")
        self.assertEqual({name for name, _ in events}, set(schemas))
        self.assertEqual([json.loads(data)["action"] for name, data in events if name == "lock"], ["acquired", "released"])
        for name, data in events:
            self.fits({"$ref": f"#/components/schemas/{schemas[name]}"}, json.loads(data))

    def upgrade(self, path, version=13):
        """The head of an answer to an upgrade, described; and the connection, with what came behind the head."""
        raw = self.server.raw()
        self.addCleanup(raw.close)
        raw.send(http_request("GET", path, fields=[
            "Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Version: {version}",
            "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==", "Sec-WebSocket-Protocol: engram.v1+json"]))
        until(lambda: b"\r\n\r\n" in raw.buffer or not raw._more(), what="the head of an answer")
        head, raw.buffer = raw.buffer.split(b"\r\n\r\n", 1)
        status = int(head[9:12])
        fields = {name.lower(): value for name, value in re.findall(r"(?m)^([\w-]+): (.*?)\r?$", head.decode())}
        described = self.document["paths"]["/stream"]["get"]["responses"].get(str(status))
        self.assertIsNotNone(described, head)
        self.assertFields(described, fields, head)
        return status, raw

    @staticmethod
    def frame(raw):
        """The next frame of the server's, which has no mask and is whole: its first byte and its content."""
        def take(count):
            until(lambda: len(raw.buffer) >= count or not raw._more(), what="a frame")
            taken, raw.buffer = raw.buffer[:count], raw.buffer[count:]
            return taken
        first, length = take(2)
        if length == 126:
            length, = struct.unpack(">H", take(2))
        return first, take(length)

    def test_frames_of_streams_are_as_described(self):
        query = self.followed(Names.fresh("contract"))
        status, raw = self.upgrade(f"/stream?{query}")
        self.assertEqual(status, 101)
        frames = []
        while not frames or frames[-1].get("action") != "released":
            first, content = self.frame(raw)
            self.assertEqual(first, 0x81, content)
            frames.append(json.loads(content))
            self.fits({"$ref": "#/components/schemas/ServerFrame"}, frames[-1])
        self.assertEqual(frames[0]["type"], "subscribed")
        self.assertEqual({frame["type"] for frame in frames}, {"subscribed", "workunit", "context", "lock"})
        self.assertEqual(self.upgrade("/stream", version=8)[0], 426)

    # -- metrics -----------------------------------------------------------------------------------------------------

    def test_promtool_has_nothing_to_say(self):
        promtool = TOOLS / "promtool"
        self.assertTrue(promtool.exists(), "promtool is not there: run `make tools`")
        page = self.client.get("/metrics")
        done = subprocess.run([promtool, "check", "metrics"], input=page.body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, ""))
        text = page.body.decode()
        self.assertNotRegex(text, r'(?m)^engram_http_responses_total\{code="other",[^}]*\} [1-9]', "an undescribed status")
        for name in re.findall(r"(?m)^# TYPE (\S+)", text):
            self.assertRegex(name, r"^(engram|process)_[a-z0-9_]+$")
        for label in {label for labels in re.findall(r"(?m)^[a-z_]+\{(.*)\} ", text) for label in re.findall(r"(\w+)=", labels)}:
            self.assertIn(label, {"route", "code", "family", "reason", "format", "kind", "loop", "thread", "le", "version", "event", "cause", "scope"})
