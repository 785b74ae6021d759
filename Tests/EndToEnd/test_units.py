"""Work units: what goes in comes out, in order, once."""

import base64
import json
import re
import threading
import unittest

from harness import Names, Server, http_request, quoted, unit, units_path, uuid7

MEMBERS = {
    "id", "context_id", "agent_id", "type", "timestamp", "metadata", "payload", "payload_encoding",
    "relationships", "sequence", "position"}
UUID7 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
MEBIBYTE = 1 << 20

TEXTS = {
    "plain": "hello",
    "empty": "",
    "quotes": 'say "it"',
    "backslashes": "C:\\temp\\\\x \\n is not a newline \\u0041",
    "controls": "".join(chr(code) for code in range(0x20)) + "\x7f",
    "slash": "</script> a/b",
    "two and three bytes": "äöü ß € 漢字 \u2028\u2029",
    "four bytes": "🦊🚀 \U0001F468\u200D\U0001F469\u200D\U0001F467 \U0010FFFF",
    "zero": "before\x00after",
    "escape at every step": '\\"' * 300,
    "long": "0123456789abcdef" * 4096,
}
BINARIES = {
    "every byte": bytes(range(256)),
    "one": b"\x00",
    "two": b"\xff\xfe",
    "three": b"\x80\x81\x82",
    "not UTF-8": b"\xc3\x28\xa0\xa1\xf5",
    "empty": b"",
}


class UnitSuite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)
        self.context = Names.fresh("units")

    def assertStatus(self, answer, status, code=None):
        self.assertEqual(answer.status, status, answer)
        if status >= 400:
            problem = answer.json()
            self.assertIn("application/problem+json", answer.headers.get("content-type", ""), answer)
            self.assertEqual(problem["status"], status)
            for member in ("type", "title", "detail", "code", "request_id"):
                self.assertIsInstance(problem.get(member), str, f"{member} of {problem}")
            if code:
                self.assertEqual(problem["code"], code, problem)


class Creating(UnitSuite):
    def test_a_new_unit_carries_every_member(self):
        answer = self.client.post(unit(self.context, "hello", agent="anna", kind="TASK_STATUS"))
        self.assertStatus(answer, 201)
        made = answer.json()["work_unit"]
        self.assertEqual(set(made), MEMBERS)
        self.assertEqual(
            (made["context_id"], made["agent_id"], made["type"], made["payload"], made["payload_encoding"]),
            (self.context, "anna", "TASK_STATUS", "hello", "utf8"))
        self.assertEqual((made["metadata"], made["relationships"], made["sequence"]), ({}, [], 1))
        self.assertRegex(made["id"], UUID7)
        self.assertRegex(made["timestamp"], RFC3339)
        self.assertGreaterEqual(made["position"], 1)

    def test_the_answer_the_unit_and_the_list_are_the_same_unit(self):
        made = self.client.create(unit(
            self.context, "same", metadata={"k": "v", "ü": "\"\\"},
            relationships=[{"target_id": uuid7(), "type": "CAUSES", "metadata": {"why": "because"}}]))
        self.assertEqual(self.client.get(f"/workunit/{made['id']}").json()["work_unit"], made)
        self.assertEqual(self.client.listing(self.context)["work_units"], [made])

    def test_text_comes_back_as_it_went_in(self):
        for name, text in TEXTS.items():
            with self.subTest(name):
                made = self.client.create(unit(self.context, text))
                self.assertEqual((made["payload"], made["payload_encoding"]), (text, "utf8"))
                read = self.client.get(f"/workunit/{made['id']}").json()["work_unit"]
                self.assertEqual(read["payload"], text)
                raw = self.client.get(f"/workunit/{made['id']}/payload")
                self.assertEqual(raw.status, 200)
                self.assertEqual(raw.body, text.encode())
                self.assertEqual(raw.headers["content-type"].replace(" ", "").lower(), "text/plain;charset=utf-8")
                self.assertEqual(raw.headers.get("x-content-type-options"), "nosniff")
        listed = [item["payload"] for item in self.client.all_units(self.context)]
        self.assertEqual(listed, list(TEXTS.values()))

    def test_every_way_to_escape_means_the_same_text(self):
        escaped = '{"context_id":"%s","agent_id":"a","type":"MESSAGE","payload":"%s"}'
        for spelled, text in [
            ("\\u0041\\u00e4\\u20ac", "Aä€"), ("\\ud83e\\udd8a", "🦊"), ("\\/\\b\\f\\n\\r\\t", "/\b\f\n\r\t"),
            ("\\u0000\\u001f", "\x00\x1f"), ("\\u005C\\u0022", '\\"')]:
            with self.subTest(spelled):
                made = self.client.create(escaped % (self.context, spelled))
                self.assertEqual(made["payload"], text)
                self.assertEqual(self.client.get(f"/workunit/{made['id']}/payload").body, text.encode())

    def test_bytes_come_back_as_they_went_in(self):
        for name, data in BINARIES.items():
            with self.subTest(name):
                made = self.client.create(unit(self.context, data))
                self.assertEqual(made["payload_encoding"], "base64")
                self.assertEqual(base64.b64decode(made["payload"], validate=True), data)
                raw = self.client.get(f"/workunit/{made['id']}/payload")
                self.assertEqual(raw.body, data)
                self.assertEqual(raw.headers["content-type"], "application/octet-stream")

    def test_broken_base64_is_named(self):
        for text in ["!", "QQ", "QQ=A", "====", "QUJD\n", "Q Q="]:
            with self.subTest(text):
                answer = self.client.post(unit(self.context, text, payload_encoding="base64"))
                self.assertStatus(answer, 400, "invalid_request")
                self.assertIn("/payload", answer.pointers())
        self.assertEqual(self.client.listing(self.context)["work_units"], [])

    def test_eight_mebibytes_are_the_limit(self):
        text = "x" * (8 * MEBIBYTE)
        made = self.client.create(unit(self.context, text))
        self.assertEqual(self.client.get(f"/workunit/{made['id']}/payload").body, text.encode())
        self.assertStatus(self.client.post(unit(self.context, text + "x")), 413, "payload_too_large")
        binary = bytes(range(256)) * (8 * MEBIBYTE // 256)
        made = self.client.create(unit(self.context, binary))
        self.assertEqual(self.client.get(f"/workunit/{made['id']}/payload").body, binary)
        with self.server.client() as other:
            self.assertStatus(other.post(unit(self.context, binary + b"x")), 413, "payload_too_large")
            self.assertEqual([item["sequence"] for item in other.listing(self.context)["work_units"]], [1, 2])

    def test_minimal_answer(self):
        answer = self.client.post(unit(self.context, "short"), {"Prefer": "return=minimal"})
        self.assertStatus(answer, 201)
        self.assertEqual(set(answer.json()), {"id", "sequence", "position"})
        stored = self.client.get(f"/workunit/{answer.json()['id']}").json()["work_unit"]
        self.assertEqual({key: stored[key] for key in answer.json()}, answer.json())

    def test_types_by_name_and_number(self):
        names = ["MESSAGE", "REASONING", "TOOL_CALL", "TOOL_RESULT", "FILE_CHANGE", "TASK_STATUS", "ERROR", "SYSTEM"]
        for number, name in enumerate(names, 1):
            for given in (name, number):
                self.assertEqual(self.client.create(unit(self.context, "t", kind=given))["type"], name)
        for given in ("message", "NOTHING", 0, 9, -1, 1.5, None, True):
            with self.subTest(given):
                answer = self.client.post(unit(self.context, "t", kind=given))
                self.assertStatus(answer, 400, "invalid_request")
                self.assertIn("/type", answer.pointers())

    def test_relationship_types_by_name_and_number(self):
        names = ["SEQUENTIAL", "CAUSES", "DEPENDS_ON", "REFERENCES", "RESPONDS_TO", "MODIFIES", "REPLACES"]
        target = uuid7()
        for number, name in enumerate(names, 1):
            made = self.client.create(unit(
                self.context, relationships=[{"target_id": target, "type": name}, {"target_id": target, "type": number}]))
            self.assertEqual(made["relationships"], [{"target_id": target, "type": name, "metadata": {}}] * 2)
        answer = self.client.post(unit(self.context, relationships=[{"target_id": target, "type": "LIKES"}]))
        self.assertStatus(answer, 400)
        self.assertIn("/relationships/0/type", answer.pointers())

    def test_meta_is_metadata(self):
        made = self.client.create(unit(
            self.context, meta={"a": "b"}, relationships=[{"target_id": uuid7(), "type": 1, "meta": {"c": "d"}}]))
        self.assertEqual(made["metadata"], {"a": "b"})
        self.assertEqual(made["relationships"][0]["metadata"], {"c": "d"})
        self.assertNotIn("meta", made)

    def test_what_is_the_servers_is_ignored(self):
        made = self.client.create(unit(
            self.context, timestamp="1999-01-01T00:00:00Z", ts=12, sequence=77, position=88))
        self.assertEqual(made["sequence"], 1)
        self.assertFalse(made["timestamp"].startswith("1999"))

    def test_limits_of_metadata_and_relationships(self):
        fits = {f"key{n}": "v" for n in range(64)}
        self.client.create(unit(self.context, metadata=fits))
        self.assertStatus(self.client.post(unit(self.context, metadata=fits | {"one": "more"})), 400)
        self.client.create(unit(self.context, metadata={"k" * 128: "v" * 4096}))
        self.assertStatus(self.client.post(unit(self.context, metadata={"k" * 129: "v"})), 400)
        self.assertStatus(self.client.post(unit(self.context, metadata={"k": "v" * 4097})), 400)
        link = {"target_id": uuid7(), "type": 1}
        self.assertEqual(len(self.client.create(unit(self.context, relationships=[link] * 256))["relationships"]), 256)
        self.assertStatus(self.client.post(unit(self.context, relationships=[link] * 257)), 400)

    def test_context_and_agent_names(self):
        for name in ["a", "x" * 256, "ä" * 128, "a b", "a/b", "%2F", "..", "🦊", "a?b#c&d=e+f", '"\\']:
            with self.subTest(name):
                context = self.context + "|" + name if len(name.encode()) < 200 else name
                made = self.client.create(unit(context, agent=name))
                self.assertEqual((made["context_id"], made["agent_id"]), (context, name))
                for path in (units_path(context), f"/contexts/{quoted(context)}/workunits"):
                    self.assertEqual(self.client.get(path).json()["work_units"], [made])
        for bad in ["", "x" * 257, "a\nb", "a\x00", "a\x7f"]:
            with self.subTest(bad=bad):
                answer = self.client.post(unit(bad))
                self.assertStatus(answer, 400)
                self.assertIn("/context_id", answer.pointers())
                answer = self.client.post(unit(self.context, agent=bad))
                self.assertStatus(answer, 400)
                self.assertIn("/agent_id", answer.pointers())


class WhoAsks(UnitSuite):
    def test_the_agent_comes_from_header_or_body(self):
        body = unit(self.context, "x")
        del body["agent_id"]
        answer = self.client.post(body, {"X-Agent-ID": "header"})
        self.assertStatus(answer, 201)
        self.assertEqual(answer.json()["work_unit"]["agent_id"], "header")
        self.assertStatus(self.client.post(unit(self.context, agent="same"), {"X-Agent-ID": "same"}), 201)
        self.assertStatus(self.client.post(unit(self.context, agent="one"), {"X-Agent-ID": "two"}), 400)
        self.assertStatus(self.client.post(body), 400)
        self.assertEqual(len(self.client.listing(self.context)["work_units"]), 2)


class RetryRule(UnitSuite):
    def test_the_same_unit_again_is_200_and_nothing_new(self):
        given = unit(
            self.context, "once", id=uuid7(), metadata={"a": "1", "b": "2"},
            relationships=[{"target_id": uuid7(), "type": "CAUSES"}])
        made = self.client.create(given)
        self.assertEqual(made["id"], given["id"])
        again = self.client.post(given)
        self.assertStatus(again, 200)
        self.assertEqual(again.json()["work_unit"], made)
        shuffled = given | {"metadata": {"b": "2", "a": "1"}, "type": 1, "timestamp": "2001-01-01T00:00:00Z"}
        self.assertStatus(self.client.post(dict(reversed(shuffled.items()))), 200)
        self.assertEqual(len(self.client.listing(self.context)["work_units"]), 1)
        self.assertEqual(self.client.create(unit(self.context, "next"))["sequence"], 2)

    def test_the_same_id_with_anything_else_is_409(self):
        given = unit(self.context, "once", id=uuid7(), metadata={"a": "1"})
        self.client.create(given)
        for name, change in {
            "payload": {"payload": "twice"}, "agent": {"agent_id": "other"}, "type": {"type": "ERROR"},
            "metadata": {"metadata": {}}, "context": {"context_id": Names.fresh()},
            "relationships": {"relationships": [{"target_id": uuid7(), "type": 1}]}}.items():
            with self.subTest(name):
                self.assertStatus(self.client.post(given | change), 409, "conflict")
        self.assertEqual(len(self.client.listing(self.context)["work_units"]), 1)

    def test_ids_must_be_uuid7(self):
        for given in ["", "x", "00000000-0000-4000-8000-000000000000", uuid7() + "0", uuid7()[:-1], 5]:
            with self.subTest(given):
                answer = self.client.post(unit(self.context, id=given))
                self.assertStatus(answer, 400)
                self.assertIn("/id", answer.pointers())

    def test_an_id_in_capitals_is_the_same_id(self):
        given = unit(self.context, "case", id=uuid7())
        made = self.client.create(given)
        answer = self.client.post(given | {"id": given["id"].upper()})
        self.assertIn(answer.status, (200, 400), answer)
        self.assertEqual(len(self.client.listing(self.context)["work_units"]), 1)
        self.assertEqual(made["id"], given["id"])

    def test_racing_twins_append_once(self):
        given = unit(self.context, "race", id=uuid7())
        statuses = []

        def post():
            with self.server.client() as client:
                statuses.append(client.post(given).status)

        racers = [threading.Thread(target=post) for _ in range(16)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        self.assertEqual(sorted(statuses), [200] * 15 + [201])
        self.assertEqual(len(self.client.listing(self.context)["work_units"]), 1)


class Reading(UnitSuite):
    def fill(self, count):
        return [self.client.create(unit(self.context, f"unit {n}")) for n in range(1, count + 1)]

    def sequences(self, **query):
        return [item["sequence"] for item in self.client.listing(self.context, **query)["work_units"]]

    def test_the_list_is_in_the_order_of_the_posts(self):
        made = self.fill(25)
        self.assertEqual([item["sequence"] for item in made], list(range(1, 26)))
        positions = [item["position"] for item in made]
        self.assertEqual(positions, sorted(set(positions)))
        self.assertEqual(self.client.listing(self.context), {"work_units": made, "next_cursor": ""})
        self.assertEqual(self.client.get(f"/contexts/{quoted(self.context)}/workunits").json()["work_units"], made)

    def test_unknown_context_is_an_empty_list(self):
        self.assertEqual(self.client.listing(self.context), {"work_units": [], "next_cursor": ""})
        self.assertEqual(
            self.client.get(f"/contexts/{self.context}/workunits").json(), {"work_units": [], "next_cursor": ""})

    def test_limit_after_before_reverse(self):
        self.fill(12)
        for query, expected in [
            ({"limit": 3}, [1, 2, 3]), ({"after": 4}, list(range(5, 13))), ({"before": 4}, [1, 2, 3]),
            ({"after": 3, "before": 7}, [4, 5, 6]), ({"reverse": "true"}, list(range(12, 0, -1))),
            ({"reverse": "true", "limit": 2}, [12, 11]), ({"reverse": "true", "before": 5}, [4, 3, 2, 1]),
            ({"reverse": "true", "after": 10}, [12, 11]), ({"after": 12}, []), ({"before": 1}, []),
            ({"after": 99}, []), ({"reverse": "false"}, list(range(1, 13))), ({"limit": 1000}, list(range(1, 13))),
            ({"after": 3, "before": 7, "reverse": "true", "limit": 2}, [6, 5])]:
            with self.subTest(str(query)):
                self.assertEqual(self.sequences(**query), expected)

    def test_one_hundred_is_the_default(self):
        self.fill(105)
        page = self.client.listing(self.context)
        self.assertEqual([item["sequence"] for item in page["work_units"]], list(range(1, 101)))
        self.assertNotEqual(page["next_cursor"], "")

    def test_pages_join_without_hole_or_duplicate(self):
        self.fill(23)
        for query in ({}, {"reverse": "true"}, {"after": 2}, {"before": 20, "reverse": "true"}):
            for limit in (1, 5, 23):
                with self.subTest(f"{query} {limit}"):
                    whole, pages, cursor, turns = self.sequences(**query, limit=1000), [], None, 0
                    while cursor != "" and turns < 100:
                        page = self.client.listing(
                            self.context, **query, limit=limit, **({"cursor": cursor} if cursor else {}))
                        self.assertLessEqual(len(page["work_units"]), limit)
                        pages += [item["sequence"] for item in page["work_units"]]
                        cursor, turns = page["next_cursor"], turns + 1
                    self.assertEqual(pages, whole)

    def test_a_cursor_belongs_to_its_query(self):
        self.fill(5)
        cursor = self.client.listing(self.context, limit=2)["next_cursor"]
        for query in ({"limit": 2, "reverse": "true"}, {"limit": 2, "after": 1}):
            with self.subTest(str(query)):
                self.assertStatus(self.client.get(units_path(self.context, **query, cursor=cursor)), 400)
        self.assertStatus(self.client.get(units_path(Names.fresh(), limit=2, cursor=cursor)), 400)
        for broken in ("x", "!!", cursor + "x", "%00", "9" * 400):
            with self.subTest(broken):
                self.assertStatus(self.client.get(units_path(self.context, limit=2, cursor=broken)), 400)

    def test_values_out_of_range_are_named(self):
        for query in [
            {"limit": 0}, {"limit": 1001}, {"limit": -1}, {"limit": "x"}, {"limit": ""}, {"limit": "1e2"},
            {"limit": "9" * 30}, {"after": -1}, {"after": "x"}, {"after": "18446744073709551616"}, {"before": "y"},
            {"reverse": "perhaps"}]:
            with self.subTest(str(query)):
                answer = self.client.get(units_path(self.context, **query))
                self.assertStatus(answer, 400, "invalid_request")
                self.assertIn(next(iter(query)), answer.body.decode())

    def test_a_large_list_comes_whole(self):
        made = [self.client.create(unit(self.context, "y" * 300_000)) for _ in range(8)]
        self.assertEqual(self.client.listing(self.context)["work_units"], made)

    def test_unknown_unit(self):
        for path in (f"/workunit/{uuid7()}", f"/workunit/{uuid7()}/payload"):
            self.assertStatus(self.client.get(path), 404, "not_found")
        self.assertIn(self.client.get("/workunit/not-an-id").status, (400, 404))


class Conventions(UnitSuite):
    def test_every_path_answers_under_v1(self):
        made = self.client.post(unit(self.context, "v1"), path="/v1/workunit")
        self.assertStatus(made, 201)
        made = made.json()["work_unit"]
        for path in (
            f"/workunit/{made['id']}", units_path(self.context), f"/contexts/{self.context}/workunits",
            f"/workunit/{made['id']}/payload", "/livez", "/readyz", "/healthz"):
            with self.subTest(path):
                plain, prefixed = self.client.get(path), self.client.get("/v1" + path)
                self.assertEqual((plain.status, plain.body), (200, prefixed.body))
                self.assertEqual(prefixed.status, 200)

    def test_head_is_get_without_the_body(self):
        made = self.client.create(unit(self.context, "head"))
        for path in (f"/workunit/{made['id']}", units_path(self.context), f"/workunit/{made['id']}/payload", "/healthz"):
            with self.subTest(path), self.server.raw(5) as wire:
                got = self.client.get(path)
                # Over a bare socket: a library would throw away a body that must not be there.
                wire.send(http_request("HEAD", path) + http_request("GET", "/healthz"))
                head, next_one = wire.answer(head_only=True), wire.answer()
                self.assertEqual(head.status, 200)
                self.assertEqual(head.headers.get("content-length"), str(len(got.body)))
                self.assertEqual(head.headers.get("content-type"), got.headers.get("content-type"))
                self.assertEqual((next_one.status, next_one.body.strip()), (200, b"OK"), "a body behind HEAD")
        self.assertEqual(self.client.request("HEAD", f"/workunit/{uuid7()}").status, 404)

    def test_request_ids(self):
        made = self.client.get("/healthz").headers.get("x-request-id")
        self.assertTrue(made)
        self.assertNotEqual(made, self.client.get("/healthz").headers.get("x-request-id"))
        answer = self.client.get("/healthz", {"X-Request-ID": "mine-123"})
        self.assertEqual(answer.headers.get("x-request-id"), "mine-123")
        problem = self.client.get(f"/workunit/{uuid7()}", {"X-Request-ID": "mine-456"})
        self.assertEqual(problem.json()["request_id"], "mine-456")

    def test_media_types(self):
        body = json.dumps(unit(self.context, "typed"))
        for given in ("application/json", "application/json; charset=utf-8", "Application/JSON", None):
            with self.subTest(given):
                fields = {"Content-Type": given} if given else {}
                self.assertStatus(self.client.request("POST", "/workunit", body, fields), 201)
        for given in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "json"):
            with self.subTest(given):
                answer = self.client.request("POST", "/workunit", body, {"Content-Type": given})
                self.assertStatus(answer, 415, "unsupported_media_type")

    def test_success_is_json(self):
        made = self.client.post(unit(self.context, "json"))
        self.assertTrue(made.headers["content-type"].startswith("application/json"))
        self.assertTrue(self.client.get(units_path(self.context)).headers["content-type"].startswith("application/json"))

    def test_health(self):
        self.assertEqual(self.client.get("/healthz").body.strip(), b"OK")
        for path in ("/livez", "/readyz", "/readyz?verbose"):
            self.assertEqual(self.client.get(path).status, 200, path)

    def test_a_payload_has_an_entity_tag(self):
        made = self.client.create(unit(self.context, "0123456789"))
        path = f"/workunit/{made['id']}/payload"
        tag = self.client.get(path).headers["etag"]
        self.assertRegex(tag, r'^"[^"]+"$')
        for given, status in ((tag, 304), (f'"other", {tag}', 304), (f"W/{tag}", 304), ("*", 304), ('"other"', 200)):
            with self.subTest(given), self.server.raw(5) as wire:
                # Behind it a second request: a 304 has no body.
                wire.send(http_request("GET", path, fields=[f"If-None-Match: {given}"]) + http_request("GET", "/healthz"))
                self.assertEqual([wire.answer().status, wire.answer().status], [status, 200])

    def test_a_payload_has_ranges(self):
        made = self.client.create(unit(self.context, "0123456789"))
        path = f"/workunit/{made['id']}/payload"
        for given, expected, where in (
            ("2-4", b"234", "2-4"), ("-3", b"789", "7-9"), ("7-", b"789", "7-9"), ("0-99", b"0123456789", "0-9"),
            ("-99", b"0123456789", "0-9"), ("9-9", b"9", "9-9")):
            with self.subTest(given):
                part = self.client.get(path, {"Range": f"bytes={given}"})
                self.assertEqual((part.status, part.body), (206, expected))
                self.assertEqual(part.headers["content-range"], f"bytes {where}/10")
        beyond = self.client.get(path, {"Range": "bytes=10-"})
        self.assertEqual((beyond.status, beyond.headers.get("content-range")), (416, "bytes */10"))
        # What is no range is no wish for one (RFC 9110, section 14.2).
        for given in ("bytes=x", "bytes=4-2", "units=1-2"):
            with self.subTest(given):
                self.assertEqual(self.client.get(path, {"Range": given}).body, b"0123456789")
