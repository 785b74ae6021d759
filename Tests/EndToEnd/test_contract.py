"""`/openapi.json` against the server that serves it: the document is valid, its examples are true, its parameters are
those that are taken, and what isn't in it is refused. `make contract` goes on where this ends."""

import glob
import json
import re
import site
import subprocess
import unittest

from harness import ROOT, Names, Server, http_request, quoted, unit, until, uuid7

TOOLS = ROOT / ".build" / "tools"
STREAMS = ("/stream", "/stream/sse", "/stream-sse")
CHANGING = {"timestamp", "created_at", "updated_at", "position", "request_id"}
MADE_UP_ID = "019b7c9e-"
"""Ids that the server makes stand in the examples with this beginning."""

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
        cls.play_writes()

    @classmethod
    def play_writes(cls):
        """Posts the examples of the two writes, in order: reads find what they left. Keeps the answers."""
        cls.played = []
        with cls.server.client() as client:
            for path in ("/workunit", "/workunits"):
                post = cls.document["paths"][path]["post"]
                for media, content in post["requestBody"]["content"].items():
                    for name, example in content.get("examples", {}).items():
                        value = example["value"]
                        is_lines = media == "application/x-ndjson"
                        body = "".join(json.dumps(one) + "\n" for one in value) if is_lines else json.dumps(value)
                        answer = client.request("POST", path, body=body, headers={"Content-Type": media})
                        cls.played.append((path, name, answer))

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)

    # -- reading the document --------------------------------------------------------------------------------------

    def operations(self, streams=False):
        for path, item in self.document["paths"].items():
            if streams or path not in STREAMS:
                for method in ("get", "head", "post"):
                    if method in item:
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

    def assertDescribed(self, path, method, answer):
        """The answer's status, content type, fields and body are as the document has them."""
        operation = self.document["paths"][path][method]
        described = operation["responses"].get(str(answer.status))
        self.assertIsNotNone(described, f"{method} {path} answers {answer}")
        for name, field in described.get("headers", {}).items():
            field = self.document["components"]["headers"][field["$ref"].rsplit("/", 1)[1]]
            if field["required"]:
                self.assertIn(name.lower(), answer.headers, f"{method} {path}: {answer}")
        content = described.get("content")
        if content is None:
            self.assertEqual(answer.body, b"", f"{method} {path}: {answer}")
            return
        media = answer.headers["content-type"]
        self.assertIn(media, content, f"{method} {path}")
        if "json" in media:
            self.fits(content[media]["schema"], answer.json())

    def filled(self, path, item):
        """The path with the examples of its parameters, and a query of all the others."""
        query = []
        for parameter in item["parameters"]:
            example = parameter.get("example")
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], quoted(example))
            elif parameter["in"] == "query" and example is not None:
                query.append((parameter, self.pairs(parameter, example)))
        return path, query

    @staticmethod
    def pairs(parameter, value):
        """An example as it stands in a query (OpenAPI 3.1, style `form`)."""
        def text(one):
            return quoted(str(one).lower() if isinstance(one, bool) else str(one))
        if isinstance(value, dict):
            return [f"{quoted(name)}={text(one)}" for name, one in value.items()]
        if isinstance(value, list):
            if parameter.get("explode", True):
                return [f"{parameter['name']}={text(one)}" for one in value]
            return [f"{parameter['name']}={','.join(text(one) for one in value)}"]
        return [f"{parameter['name']}={text(value)}"]

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
        self.assertTrue(self.played)
        for path, name, answer in self.played:
            with self.subTest(path=path, example=name):
                post = self.document["paths"][path]["post"]
                self.assertEqual(answer.status, 201, answer)
                self.assertDescribed(path, "post", answer)
                expected = post["responses"]["201"]["content"]["application/json"]["examples"][name]["value"]
                self.assertIsNone(same(expected, answer.json()))

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
            for parameter in item["parameters"]:
                if "example" in parameter:
                    with self.subTest(path=path, parameter=parameter["name"]):
                        seen += 1
                        self.fits(parameter["schema"], parameter["example"], is_answer=False)
        self.assertGreater(seen, 20)

    def test_examples_of_reads_are_answered_as_described(self):
        """Every read with the examples of its path, and with each example of its query, and with all."""
        for path, method, item, operation in self.operations():
            if method == "post":
                continue
            target, query = self.filled(path, item)
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

    def test_only_described_parameters_are_taken(self):
        """Of all names that any route has, each route takes its own."""
        names = {
            parameter["name"]: self.pairs(parameter, parameter["example"])[0]
            for item in self.document["paths"].values() for parameter in item["parameters"]
            if parameter["in"] == "query" and "example" in parameter}
        names["cursor"] = "cursor="
        self.assertGreater(len(names), 15)
        for path, method, item, _ in self.operations():
            if method == "post":
                target, own = path, set()
            else:
                target, _ = self.filled(path, item)
                own = {parameter["name"] for parameter in item["parameters"] if parameter["in"] == "query"}
            for name, pair in names.items():
                with self.subTest(method=method, path=path, parameter=name):
                    body = json.dumps(unit(Names.fresh("contract"))) if method == "post" else None
                    answer = self.client.request(method.upper(), f"{target}?{pair}", body=body)
                    if name in own:
                        self.assertLess(answer.status, 400, answer)
                    else:
                        self.assertEqual(answer.status, 400, f"?{pair} is taken: {answer}")
                        if method != "head":
                            self.assertIn("is not a query parameter", answer.json()["detail"])
                            self.assertDescribed(path, method, answer)

    def test_only_described_methods_are_taken(self):
        for path, item in self.document["paths"].items():
            described = {method.upper() for method in item if method != "parameters"}
            target, _ = self.filled(path, item)
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
                (many, 415, "x", {"Content-Type": "text/plain"})]:
            with self.subTest(path=path, status=status, body=str(body)[:60]):
                answer = self.client.request("POST", path, body=body, headers=headers)
                self.assertEqual(answer.status, status, answer)
                self.assertDescribed(path, "post", answer)
        for path, target, status in [
                ("/workunit/{id}", "/workunit/x", 400), ("/workunit/{id}", f"/workunit/{uuid7()}", 404),
                ("/workunits/{context_id}", "/workunits/demo?limit=0", 400),
                ("/workunits/{context_id}", "/workunits/demo?cursor=x", 400),
                ("/contexts/{id}", "/contexts/" + Names.fresh("nothing"), 404),
                ("/contexts/{id}", "/contexts/demo?include=everything", 400), ("/readyz", "/readyz?verbose=x", 400)]:
            with self.subTest(target=target):
                answer = self.client.get(target)
                self.assertEqual(answer.status, status, answer)
                self.assertDescribed(path, "get", answer)

    def test_conditions_and_ranges_are_described(self):
        path, target = "/workunit/{id}/payload", None
        target, _ = self.filled(path, self.document["paths"][path])
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
                for name in described["headers"]:
                    self.assertIn(name.lower(), fields)
                data = re.search(rb"event: workunit\n(?:id: \d+\n)?data: (.*)\n", events) or re.search(
                    rb"data: (\{\"id\".*)\n", events)
                self.fits({"$ref": "#/components/schemas/WorkUnit"}, json.loads(data[1]))
            for query, status in [("?after=x", 400), ("?after=999999999999", 410), ("?x=1", 400), ("?events=none", 400)]:
                with self.subTest(path=path, query=query):
                    answer = self.client.get(path + query)
                    self.assertEqual(answer.status, status, answer)
                    self.assertDescribed(path, "get", answer)

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
            self.assertIn(label, {"route", "code", "family", "reason", "format", "kind", "loop", "thread", "le", "version"})
