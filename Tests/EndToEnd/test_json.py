"""Bodies that are no JSON, too much JSON, or JSON that says the wrong thing: a clear 400, and nothing changed."""

import json
import unittest

from harness import Names, Server, http_request, unit, uuid7

# Each is sent as the whole body: none is a JSON text (RFC 8259).
BROKEN = {
    "nothing": b"",
    "a space": b" ",
    "an open brace": b"{",
    "a closed brace": b"}",
    "no value": b'{"type":}',
    "no colon": b'{"type" "MESSAGE"}',
    "no quotes": b'{type:"MESSAGE"}',
    "single quotes": b"{'type':'MESSAGE'}",
    "a trailing comma": b'{"type":"MESSAGE",}',
    "a leading comma": b'{,"type":"MESSAGE"}',
    "two commas": b'{"type":"MESSAGE",,"payload":""}',
    "a comment": b'{"type":"MESSAGE"/* so */}',
    "text behind": b'{"type":"MESSAGE"} x',
    "two texts": b"{}{}",
    "an open string": b'{"type":"MESS',
    "an open escape": b'{"type":"\\',
    "an unknown escape": b'{"type":"\\x41"}',
    "a short escape": b'{"type":"\\u00"}',
    "an escape of no digits": b'{"type":"\\u00zz"}',
    "half a surrogate pair": b'{"payload":"\\ud83e"}',
    "the other half": b'{"payload":"\\udd8a"}',
    "a pair the wrong way round": b'{"payload":"\\udd8a\\ud83e"}',
    "half a pair, then text": b'{"payload":"\\ud83ex"}',
    "a raw newline": b'{"payload":"a\nb"}',
    "a raw tab": b'{"payload":"a\tb"}',
    "a raw zero": b'{"payload":"a\x00b"}',
    "a zero outside": b'{"payload":"a"}\x00',
    "a leading zero": b'{"sequence":01}',
    "a plus": b'{"sequence":+1}',
    "a bare minus": b'{"sequence":-}',
    "a bare point": b'{"sequence":1.}',
    "a point first": b'{"sequence":.5}',
    "a bare exponent": b'{"sequence":1e}',
    "hexadecimal": b'{"sequence":0x10}',
    "not a number": b'{"sequence":NaN}',
    "infinity": b'{"sequence":Infinity}',
    "a wrong literal": b'{"sequence":nul}',
    "a capital literal": b'{"sequence":True}',
    "a bracket for a brace": b'{"metadata":[}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"type":1}'.encode("utf-16"),
}

# Bytes that are no UTF-8 (RFC 3629), each inside the payload's quotes.
NOT_UTF8 = {
    "a stray continuation": b"\x80",
    "a lead without its rest": b"\xc3",
    "an overlong slash": b"\xc0\xaf",
    "an overlong zero": b"\xe0\x80\x80",
    "a surrogate": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "never a byte": b"\xff",
    "three of four": b"\xf0\x9f\xa6",
}

# Member, value, and the pointer that the answer must name.
WRONG = [
    ({"type": []}, "/type"), ({"type": {}}, "/type"), ({"type": ""}, "/type"), ({"type": 1e300}, "/type"),
    ({"context_id": 5}, "/context_id"), ({"context_id": None}, "/context_id"), ({"context_id": ["a"]}, "/context_id"),
    ({"agent_id": 5}, "/agent_id"), ({"agent_id": {}}, "/agent_id"),
    ({"payload": 5}, "/payload"), ({"payload": {"a": 1}}, "/payload"), ({"payload": ["a"]}, "/payload"),
    ({"payload_encoding": "utf16"}, "/payload_encoding"), ({"payload_encoding": 1}, "/payload_encoding"),
    ({"metadata": "x"}, "/metadata"), ({"metadata": []}, "/metadata"), ({"metadata": {"x": 1}}, "/metadata/x"),
    ({"metadata": {"x": {}}}, "/metadata/x"), ({"metadata": {"a/b~c": 1}}, "/metadata/a~1b~0c"),
    ({"meta": {"x": 1}}, "/meta/x"),
    ({"relationships": {}}, "/relationships"), ({"relationships": [5]}, "/relationships/0"),
    ({"relationships": [{"type": 1}]}, "/relationships/0/target_id"),
    ({"relationships": [{"target_id": "x", "type": 1}]}, "/relationships/0/target_id"),
    ({"relationships": [{"target_id": uuid7(), "type": 1}, {"target_id": uuid7(), "type": 0}]}, "/relationships/1/type"),
    ({"relationships": [{"target_id": uuid7(), "type": 1, "metadata": {"k": 1}}]}, "/relationships/0/metadata/k"),
    ({"relationships": [{"target_id": uuid7(), "type": 1, "weight": 1}]}, "/relationships/0/weight"),
    ({"id": "x"}, "/id"), ({"id": 7}, "/id"),
    ({"surprise": 1}, "/surprise"), ({"Type": "MESSAGE"}, "/Type"), ({"a/b": 1}, "/a~1b"), ({"": 1}, "/"),
]


class Bodies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=1)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(lambda: self.client.close())
        self.context = Names.fresh("json")

    def refused(self, body, pointer=None, statuses=(400,)):
        """Posts a body that must be refused, on a connection that must go on working."""
        answer = self.client.request("POST", "/workunit", body, {"Content-Type": "application/json"})
        self.assertIn(answer.status, statuses, answer)
        problem = answer.json()
        self.assertIn("application/problem+json", answer.headers["content-type"])
        self.assertEqual(problem["code"], "payload_too_large" if answer.status == 413 else "invalid_request")
        self.assertTrue(problem["detail"], problem)
        if pointer is not None:
            self.assertIn(pointer, answer.pointers(), problem)
        if answer.headers.get("connection", "").lower() == "close":
            self.client.close()
            self.client = self.server.client()
        return answer

    def tearDown(self):
        self.assertEqual(self.client.listing(self.context)["work_units"], [], "a refused body left a unit")
        self.assertEqual(self.client.create(unit(self.context, "still there"))["sequence"], 1)

    def test_broken(self):
        for name, body in BROKEN.items():
            with self.subTest(name):
                self.refused(body)

    def test_broken_at_every_byte(self):
        whole = json.dumps(unit(
            self.context, "é\\ \" \u2028 🦊", metadata={"a": "b"},
            relationships=[{"target_id": uuid7(), "type": 1}]), ensure_ascii=False).encode()
        for length in range(len(whole)):
            with self.subTest(length):
                self.refused(whole[:length])

    def test_not_utf8(self):
        frame = json.dumps(unit(self.context, "X")).encode()
        for name, data in NOT_UTF8.items():
            with self.subTest(name):
                self.refused(frame.replace(b'"X"', b'"' + data + b'"'))
            with self.subTest(name + " in a key"):
                self.refused(frame[:-1] + b', "' + data + b'": 1}')

    def test_too_deep(self):
        for depth in (33, 100, 10_000, 1_000_000):
            for opened, closed in ((b"[", b"]"), (b'{"a":', b"}")):
                with self.subTest(f"{depth} {opened}"):
                    self.refused(opened * depth + b"1" + closed * depth)
                with self.subTest(f"{depth} {opened} never closed"):
                    self.refused(opened * depth)

    def test_deep_inside_what_is_ignored(self):
        frame = json.dumps(unit(self.context, "x"))[:-1]
        self.refused(frame + ', "timestamp": ' + "[" * 40 + "]" * 40 + "}")

    def test_huge_numbers(self):
        """An integer beyond 2^53 is no JSON here, wherever it stands; other numbers are just no type."""
        frame = '{"context_id":"%s","agent_id":"a","payload":"","type":%%s}' % self.context
        for number in ("9" * 10_000, "-" + "9" * 400, "9007199254740993"):
            with self.subTest(number[:16]):
                self.refused(frame % number)
                self.refused(frame % f'1,"timestamp":{number}')
        for number in ("1e999999", "1E-999999", "0." + "0" * 5000 + "1"):
            with self.subTest(number[:16]):
                self.refused(frame % number, "/type")

    def test_huge_keys_and_many_members(self):
        frame = json.dumps(unit(self.context, "x"))[:-1]
        self.refused(frame + ', "%s": 1}' % ("k" * 100_000))
        self.refused(frame + ", " + ", ".join(f'"m{n}": 1' for n in range(20_000)) + "}")

    def test_above_the_largest_body(self):
        with self.server.raw() as wire:
            answer = wire.send(http_request("POST", "/workunit", b" " * ((16 << 20) + 1))).answer()
            # The server need not read what it has refused: the answer may drown in the reset.
            self.assertIn(answer and answer.status, (413, None), answer)

    def test_duplicate_keys(self):
        frame = json.dumps(unit(self.context, "x", metadata={"a": "1"}))[:-1]
        for name, body in {
            "alike": frame + ', "payload": "x"}',
            "different": frame + ', "payload": "y"}',
            "escaped": frame + ', "p\\u0061yload": "y"}',
            "metadata": frame.replace('"a": "1"', '"a": "1", "a": "2"') + "}",
            "metadata, escaped": frame.replace('"a": "1"', '"a": "1", "\\u0061": "2"') + "}",
            "both names of one thing": frame + ', "meta": {}}',
            "in a relationship": frame + ', "relationships": [{"target_id": "%s", "type": 1, "type": 2}]}' % uuid7(),
        }.items():
            with self.subTest(name):
                self.refused(body)

    def test_not_an_object(self):
        for body in ("[]", "null", "true", "5", '"text"', "[{}]"):
            with self.subTest(body):
                self.refused(body)

    def test_wrong_values_and_unknown_members_are_pointed_at(self):
        for change, pointer in WRONG:
            with self.subTest(str(change)):
                self.refused(unit(self.context, "x") | change, pointer)

    def test_what_is_missing_is_pointed_at(self):
        for name in ("context_id", "type"):
            with self.subTest(name):
                body = unit(self.context, "x")
                del body[name]
                self.refused(body, f"/{name}")
