"""HTTP/1.1 as it should not be spoken, and as it may be: after each case the server answers the next client."""

import json
import socket
import struct
import threading
import time
import unittest

from harness import Names, Server, http_request, unit, units_path

OK_GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def get(*fields, line="GET /healthz HTTP/1.1", host="Host: localhost"):
    """The bytes of a GET with these extra field lines, exactly as given."""
    lines = [line, *([host] if host is not None else []), *fields]
    return b"\r\n".join(item if isinstance(item, bytes) else item.encode() for item in lines) + b"\r\n\r\n"


def post(*fields, body=b"{}", host="Host: localhost"):
    return get("Content-Type: application/json", *fields, line="POST /workunit HTTP/1.1", host=host) + body


BAD = (400,)
# Statuses where RFC 9110 leaves a choice between "no such thing here" and "malformed".
VERSION = (400, 505)
CODING = (400, 501)
METHOD = (400, 405, 501)
# Far more than is read: the answer may drown in the reset that follows.
FLOOD = (400, 413, 414, 431, None)

# name: (bytes, statuses that are right). Each is answered, and the connection is then closed.
MALFORMED = {
    # the request line (RFC 9112, section 3)
    "no version": (b"GET /healthz\r\nHost: localhost\r\n\r\n", BAD),
    "only a word": (b"GET\r\n\r\n", BAD),
    "noise": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", BAD),
    "zeros": (b"\x00" * 64 + b"\r\n\r\n", BAD),
    "two spaces": (get(line="GET  /healthz HTTP/1.1"), BAD),
    "a tab between": (get(line="GET\t/healthz\tHTTP/1.1"), BAD),
    "a space at the end": (get(line="GET /healthz HTTP/1.1 "), BAD),
    "a space in the target": (get(line="GET /heal thz HTTP/1.1"), BAD),
    "a space in front": (get(line=" GET /healthz HTTP/1.1"), BAD),
    "no target": (get(line="GET HTTP/1.1"), BAD),
    "a target without a slash": (get(line="GET healthz HTTP/1.1"), BAD),
    "a control in the target": (get(line="GET /heal\x01thz HTTP/1.1"), BAD),
    "a zero in the target": (get(line="GET /heal\x00thz HTTP/1.1"), BAD),
    "raw bytes in the target": (get(line=b"GET /heal\xff\xfethz HTTP/1.1"), BAD),
    "a broken method": (get(line="G(T /healthz HTTP/1.1"), BAD),
    "HTTP/0.9": (get(line="GET /healthz HTTP/0.9"), VERSION),
    "HTTP/2.0": (get(line="GET /healthz HTTP/2.0"), VERSION),
    "HTTP/1.10": (get(line="GET /healthz HTTP/1.10"), VERSION),
    "HTTP/1": (get(line="GET /healthz HTTP/1"), VERSION),
    "http/1.1": (get(line="GET /healthz http/1.1"), VERSION),
    "HTTP/1.x": (get(line="GET /healthz HTTP/1.x"), VERSION),
    "the HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 501, 505)),
    # line ends (section 2.2)
    "a bare CR in the line": (get(line="GET /heal\rthz HTTP/1.1"), BAD),
    "a bare CR in a value": (get("X: a\rb"), BAD),
    "a bare LF in a value": (get("X: a\nY\x01: b"), BAD),
    # fields (section 5)
    "no colon": (get("Broken"), BAD),
    "no name": (get(": value"), BAD),
    "a space before the colon": (get("X : y"), BAD),
    "a tab before the colon": (get("X\t: y"), BAD),
    "a space in a name": (get("X Y: z"), BAD),
    "a control in a name": (get("X\x01: y"), BAD),
    "raw bytes in a name": (get("X\u00e9: y"), BAD),
    "a zero in a value": (get("X: a\x00b"), BAD),
    "a control in a value": (get("X: a\x02b"), BAD),
    "a folded field": (get("X: a", " b"), BAD),
    "a folded first field": (get(" X: a", host=None), BAD),
    "a delete character in a value": (get("X: a\x7fb"), BAD),
    # Host (section 3.2)
    "no Host": (get(host=None), BAD),
    "an empty Host": (get(host="Host:"), BAD),
    "two Hosts": (get("Host: f"), BAD),
    "two Hosts alike": (get("Host: localhost"), BAD),
    "a broken Host": (get(host="Host: a b"), BAD),
    # framing (section 6)
    "a negative length": (post("Content-Length: -1"), BAD),
    "a signed length": (post("Content-Length: +2"), BAD),
    "a length in words": (post("Content-Length: two"), BAD),
    "a hexadecimal length": (post("Content-Length: 0x2"), BAD),
    "a length with a point": (post("Content-Length: 2.0"), BAD),
    "an empty length": (post("Content-Length: "), BAD),
    "a length with a space inside": (post("Content-Length: 2 2"), BAD),
    "two different lengths": (post("Content-Length: 2", "Content-Length: 3"), BAD),
    "two lengths in one": (post("Content-Length: 2, 3"), BAD),
    "a length above 64 bits": (post("Content-Length: 18446744073709551618"), (400, 413)),
    "a length of 400 digits": (post("Content-Length: " + "9" * 400), (400, 413)),
    "a length above the limit": (post("Content-Length: 16777217"), (413,)),
    "length and chunked": (post("Content-Length: 2", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"), BAD),
    "chunked and length": (post("Transfer-Encoding: chunked", "Content-Length: 2", body=b"2\r\n{}\r\n0\r\n\r\n"), BAD),
    "an unknown coding": (post("Transfer-Encoding: gzip"), CODING),
    "chunked before gzip": (post("Transfer-Encoding: chunked, gzip"), CODING),
    "gzip before chunked": (post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), CODING),
    "chunked twice": (post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), CODING),
    "chunked with a mark in front": (post("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), CODING),
    "an empty coding": (post("Transfer-Encoding: ", body=b"0\r\n\r\n"), CODING),
    "coding in HTTP/1.0": (
        get("Transfer-Encoding: chunked", line="POST /workunit HTTP/1.0") + b"2\r\n{}\r\n0\r\n\r\n", CODING),
    # chunks (section 7.1)
    "a chunk size in words": (post("Transfer-Encoding: chunked", body=b"two\r\n{}\r\n0\r\n\r\n"), BAD),
    "a negative chunk": (post("Transfer-Encoding: chunked", body=b"-2\r\n{}\r\n0\r\n\r\n"), BAD),
    "a chunk with 0x": (post("Transfer-Encoding: chunked", body=b"0x2\r\n{}\r\n0\r\n\r\n"), BAD),
    "an empty chunk size": (post("Transfer-Encoding: chunked", body=b"\r\n{}\r\n0\r\n\r\n"), BAD),
    "a chunk above 64 bits": (post("Transfer-Encoding: chunked", body=b"ffffffffffffffffff\r\n{}"), (400, 413)),
    "a chunk of 64 bits": (post("Transfer-Encoding: chunked", body=b"ffffffffffffffff\r\n{}"), (400, 413)),
    "a chunk above the limit": (post("Transfer-Encoding: chunked", body=b"1000001\r\n{}"), (413,)),
    "a chunk without its end": (post("Transfer-Encoding: chunked", body=b"2\r\n{}XX0\r\n\r\n"), BAD),
    "a chunk longer than it says": (post("Transfer-Encoding: chunked", body=b"1\r\n{}\r\n0\r\n\r\n"), BAD),
    "a broken trailer": (post("Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\nbro ken\r\n\r\n"), BAD),
    "a chunk extension without end": (
        post("Transfer-Encoding: chunked", body=b"2;" + b"x" * 70_000 + b"\r\n{}\r\n0\r\n\r\n"), FLOOD),
    "trailers without end": (
        post("Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"), FLOOD),
    # sizes
    "a target of 20 KiB": (get(line=f"GET /{'a' * 20_000} HTTP/1.1"), (414, 431)),
    "a field of 20 KiB": (get("X: " + "a" * 20_000), (431,)),
    "a name of 20 KiB": (get("a" * 20_000 + ": x"), (431,)),
    "a head of 64 KiB": (get(*(f"X{n}: {'a' * 700}" for n in range(90))), FLOOD),
    "101 fields": (get(*(f"X{n}: a" for n in range(100))), (431,)),
    "a line that never ends": (b"G" * 40_000, FLOOD),
}

# name: (bytes, statuses). Well-formed HTTP that asks for the impossible; whether it closes is left open.
REFUSED = {
    "an open percent": (get(line="GET /workunits/a% HTTP/1.1"), BAD),
    "half a percent": (get(line="GET /workunits/a%4 HTTP/1.1"), BAD),
    "a percent of no digits": (get(line="GET /workunits/a%zz HTTP/1.1"), BAD),
    "a percent-encoded zero": (get(line="GET /workunits/a%00b HTTP/1.1"), BAD),
    "percent-encoded bytes that are no UTF-8": (get(line="GET /workunits/a%ff HTTP/1.1"), BAD),
    "an unknown expectation": (post("Expect: 200-maybe", "Content-Length: 2"), (400, 417)),
    "CONNECT": (get(line="CONNECT engram:80 HTTP/1.1"), METHOD),
    "OPTIONS *": (get(line="OPTIONS * HTTP/1.1"), (200, 204, 400, 404, 405)),
    "TRACE": (get(line="TRACE /healthz HTTP/1.1"), METHOD),
}

# name: bytes. Unusual, and right: answered with 200, and the connection goes on.
UNUSUAL = {
    "an empty line first": b"\r\n" + OK_GET,
    "the absolute form": b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no space after the colon": b"GET /healthz HTTP/1.1\r\nHost:localhost\r\nX:y\r\n\r\n",
    "spaces around a value": b"GET /healthz HTTP/1.1\r\nHost: \t localhost \t \r\n\r\n",
    "an empty value": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX:\r\n\r\n",
    "odd capitals": b"GET /healthz HTTP/1.1\r\nhOST: LocalHost\r\ncOnNeCtIoN: Keep-Alive\r\n\r\n",
    "every token character": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n",
    "raw bytes in a value": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: caf\xc3\xa9 \xff\r\n\r\n",
    "99 fields and a Host": get(*(f"X{n}: a" for n in range(99))),
    "a head just below the limit": get(*(f"X{n}: {'a' * 140}" for n in range(95))),
    "a length of zero": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
}


class Spoken(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.context = Names.fresh("http")

    def assertUnharmed(self):
        with self.server.raw(5) as witness:
            answer = witness.send(OK_GET).answer()
            self.assertIsNotNone(answer, f"no answer to the next client; the server said: {self.server.said()}")
            self.assertEqual(answer.status, 200)

    def body(self, payload="x"):
        return json.dumps(unit(self.context, payload)).encode()


class Malformed(Spoken):
    def test_there_are_at_least_sixty(self):
        self.assertGreaterEqual(len(MALFORMED), 60)

    def test_each_is_answered_and_closed(self):
        for name, (data, statuses) in MALFORMED.items():
            with self.subTest(name):
                with self.server.raw(5) as wire:
                    answer = wire.send(data).answer()
                    self.assertIn(answer and answer.status, statuses, answer or "closed without an answer")
                    self.assertTrue(wire.ended(2), "answered, but not closed")
                self.assertUnharmed()

    def test_each_refusal_is_answered(self):
        for name, (data, statuses) in REFUSED.items():
            with self.subTest(name):
                with self.server.raw(5) as wire:
                    answer = wire.send(data).answer()
                    self.assertIn(answer and answer.status, statuses, answer or "closed without an answer")
                self.assertUnharmed()

    def test_each_cut_at_every_byte_of_its_first_forty(self):
        for name in ("no version", "two Hosts", "a bare CR in a value", "a negative length", "a chunk size in words"):
            data, _ = MALFORMED[name]
            for length in range(1, min(len(data), 40)):
                with self.server.raw(5) as wire:
                    wire.send(data[:length])
        self.assertUnharmed()

    def test_none_smuggles_a_second_request(self):
        second = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for name in ("length and chunked", "chunked and length", "two different lengths", "an unknown coding",
                     "a space before the colon", "coding in HTTP/1.0"):
            with self.subTest(name), self.server.raw(5) as wire:
                wire.send(MALFORMED[name][0] + second)
                self.assertGreaterEqual(wire.answer().status, 400)
                self.assertIsNone(wire.answer(), "a second answer after a malformed request")

    def test_the_error_is_a_problem_document(self):
        with self.server.raw() as wire:
            answer = wire.send(get("Broken")).answer()
        self.assertIn("application/problem+json", answer.headers.get("content-type", ""))
        self.assertEqual((answer.json()["status"], answer.json()["code"]), (400, "invalid_request"))
        with self.server.raw() as wire:
            answer = wire.send(get("X: " + "a" * 20_000)).answer()
        self.assertEqual(answer.json()["code"], "head_too_large")

    def test_random_noise(self):
        import random
        random.seed(7)
        for _ in range(100):
            with self.server.raw(2) as wire:
                wire.send(random.randbytes(random.randrange(1, 3000)) + b"\r\n\r\n")
        self.assertUnharmed()


class Unusual(Spoken):
    def test_each_is_answered_and_kept_open(self):
        for name, data in UNUSUAL.items():
            with self.subTest(name), self.server.raw(5) as wire:
                answer = wire.send(data).answer()
                self.assertIsNotNone(answer, "closed without an answer")
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(wire.send(OK_GET).answer().status, 200, "the next request on the connection")

    def test_split_at_every_byte(self):
        data = http_request("POST", "/workunit", self.body("split"), ["Prefer: return=minimal"])
        head = data.index(b"\r\n\r\n") + 4
        for cut in [*range(1, head + 3), len(data) - 1]:
            with self.server.raw(5) as wire:
                wire.send(data[:cut])
                time.sleep(0.0005)
                answer = wire.send(data[cut:]).answer()
                self.assertIsNotNone(answer, f"cut at {cut}")
                self.assertEqual(answer.status, 201, f"cut at {cut}: {answer}")

    def test_one_byte_at_a_time(self):
        with self.server.raw(20) as wire:
            for byte in http_request("POST", "/workunit", self.body("drip")):
                wire.send(bytes([byte]))
            self.assertEqual(wire.answer().status, 201)

    def test_http_1_0(self):
        with self.server.raw(5) as wire:
            answer = wire.send(b"GET /healthz HTTP/1.0\r\n\r\n").answer()
            self.assertEqual((answer.status, answer.body.strip()), (200, b"OK"))
            self.assertTrue(wire.ended(5), "HTTP/1.0 without keep-alive ends")

    def test_connection_close(self):
        with self.server.raw(5) as wire:
            answer = wire.send(get("Connection: close")).answer()
            self.assertEqual((answer.status, answer.headers.get("connection", "").lower()), (200, "close"))
            self.assertTrue(wire.ended(5))

    def test_keep_alive_carries_a_thousand(self):
        with self.server.raw(10) as wire:
            for _ in range(1000):
                self.assertEqual(wire.send(OK_GET).answer().status, 200)


class Pipelining(Spoken):
    def test_answers_come_in_the_order_of_the_requests(self):
        with self.server.raw() as wire:
            requests = b"".join(
                http_request("POST", "/workunit", self.body(str(n))) + http_request("GET", "/healthz") for n in range(50))
            wire.send(requests)
            for n in range(50):
                posted, health = wire.answer(), wire.answer()
                self.assertEqual(posted.status, 201, posted)
                self.assertEqual(posted.json()["work_unit"]["payload"], str(n))
                self.assertEqual(posted.json()["work_unit"]["sequence"], n + 1)
                self.assertEqual(health.body.strip(), b"OK")

    def test_a_read_behind_a_write_sees_it(self):
        with self.server.raw() as wire:
            wire.send(http_request("POST", "/workunit", self.body("seen")) + http_request("GET", units_path(self.context)))
            wire.answer()
            self.assertEqual(len(wire.answer().json()["work_units"]), 1)

    def test_a_refused_request_does_not_break_the_next(self):
        with self.server.raw() as wire:
            wire.send(
                http_request("POST", "/workunit", b"{") + http_request("GET", "/nowhere") + http_request("GET", "/healthz"))
            self.assertEqual([wire.answer().status for _ in range(3)], [400, 404, 200])

    def test_a_thousand_at_once(self):
        with self.server.raw(30) as wire:
            sender = threading.Thread(target=wire.send, args=(OK_GET * 1000,))
            sender.start()
            for n in range(1000):
                answer = wire.answer()
                self.assertIsNotNone(answer, f"ended after {n} answers")
                self.assertEqual(answer.status, 200)
            sender.join()

    def test_malformed_behind_good(self):
        with self.server.raw(5) as wire:
            wire.send(http_request("POST", "/workunit", self.body("good")) + b"BAD\r\n\r\n")
            self.assertEqual(wire.answer().status, 201)
            self.assertIn(wire.answer().status, (400, 501))
            self.assertTrue(wire.ended(5))


class Bodies(Spoken):
    def chunked(self, body, size, extension=b"", trailer=b""):
        pieces = [body[start:start + size] for start in range(0, len(body), size)]
        return b"".join(
            b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"

    def test_chunked(self):
        for size, extension, trailer in [
            (1, b"", b""), (7, b"", b""), (100_000, b"", b""), (16, b";a=b", b""), (16, b';a="b;c"', b""),
            (16, b"", b"X-Trailer: yes\r\n")]:
            with self.subTest(f"{size} {extension} {trailer}"), self.server.raw() as wire:
                data = post("Transfer-Encoding: chunked", body=self.chunked(self.body("c" * 500), size, extension, trailer))
                answer = wire.send(data).answer()
                self.assertIsNotNone(answer)
                self.assertEqual(answer.status, 201, answer)
                self.assertEqual(answer.json()["work_unit"]["payload"], "c" * 500)
                self.assertEqual(wire.send(OK_GET).answer().status, 200)

    def test_chunked_in_capitals_with_leading_zeros(self):
        body = self.body("z")
        with self.server.raw() as wire:
            data = post("transfer-encoding: CHUNKED", body=b"000%X\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            self.assertEqual(wire.send(data).answer().status, 201)

    def test_a_large_chunked_body(self):
        with self.server.raw() as wire:
            data = post("Transfer-Encoding: chunked", body=self.chunked(self.body("b" * 3_000_000), 50_000))
            answer = wire.send(data).answer()
            self.assertEqual(answer.status, 201)
            self.assertEqual(len(answer.json()["work_unit"]["payload"]), 3_000_000)

    def test_chunks_above_the_limit_in_sum(self):
        with self.server.raw(30) as wire:
            sender = threading.Thread(
                target=wire.send, args=(post("Transfer-Encoding: chunked", body=(b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 17),))
            sender.start()
            answer = wire.answer()
            sender.join()
            self.assertTrue(answer is None or answer.status == 413, answer)
        self.assertUnharmed()

    def test_expect_100_continue(self):
        body = self.body("expected")
        with self.server.raw() as wire:
            wire.send(post("Expect: 100-continue", f"Content-Length: {len(body)}", body=b""))
            self.assertEqual(wire.interim(), 100)
            self.assertEqual(wire.send(body).answer().status, 201)
            self.assertEqual(wire.send(OK_GET).answer().status, 200)

    def test_expect_without_waiting(self):
        body = self.body("eager")
        with self.server.raw() as wire:
            wire.send(post("Expect: 100-continue", f"Content-Length: {len(body)}", body=body))
            self.assertEqual(wire.answer().status, 201)
            self.assertEqual(wire.send(OK_GET).answer().status, 200)

    def test_a_body_too_large_is_refused_before_it_is_sent(self):
        with self.server.raw(5) as wire:
            wire.send(post("Expect: 100-continue", "Content-Length: 99999999", body=b""))
            self.assertEqual(wire.interim(), 413)
        self.assertUnharmed()

    def test_a_body_on_a_get_is_no_second_request(self):
        with self.server.raw(5) as wire:
            wire.send(get("Content-Length: 3") + b"abc" + OK_GET)
            first = wire.answer()
            self.assertIn(first.status, (200, 400))
            second = wire.answer()
            self.assertTrue(second is None or second.status == 200, second)


class Patience(Spoken):
    def test_a_half_open_client_still_gets_its_answer(self):
        with self.server.raw(5) as wire:
            wire.send(http_request("POST", "/workunit", self.body("half")))
            wire.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(wire.answer().status, 201)
            self.assertTrue(wire.ended(5))

    def test_a_hundred_dripping_clients_hold_nobody_up(self):
        slow = [self.server.raw() for _ in range(100)]
        try:
            for step in range(4):
                for wire in slow:
                    wire.send(OK_GET[step * 3:step * 3 + 3])
                begun = time.monotonic()
                self.assertUnharmed()
                self.assertLess(time.monotonic() - begun, 5)
            for wire in slow:
                wire.send(OK_GET[12:])
            for wire in slow:
                self.assertEqual(wire.answer().status, 200)
        finally:
            for wire in slow:
                wire.close()

    def test_a_client_that_goes_in_the_middle_of_its_body(self):
        for _ in range(20):
            with self.server.raw() as wire:
                wire.send(http_request("POST", "/workunit", self.body("gone"))[:-5])
        for _ in range(20):
            wire = self.server.raw()
            wire.send(http_request("POST", "/workunit", self.body("reset"))[:-5])
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()
        with self.server.client() as client:
            self.assertEqual(client.listing(self.context)["work_units"], [], "half a body became a unit")

    def test_a_client_that_does_not_read(self):
        with self.server.client() as client:
            for _ in range(4):
                client.create(unit(self.context, "w" * 1_000_000))
        with self.server.raw(30) as wire:
            wire.send(http_request("GET", units_path(self.context)) * 8)
            self.assertUnharmed()
            for _ in range(8):
                answer = wire.answer()
                self.assertIsNotNone(answer)
                self.assertEqual(len(answer.json()["work_units"]), 4)


class Routing(Spoken):
    def setUp(self):
        super().setUp()
        self.client = self.server.client()
        self.addCleanup(self.client.close)

    def test_wrong_methods_are_told_the_right_ones(self):
        for method, path, allowed in [
            ("GET", "/workunit", {"POST"}), ("DELETE", "/workunit", {"POST"}), ("PUT", "/workunit", {"POST"}),
            ("POST", "/workunits/c", {"GET", "HEAD"}), ("DELETE", "/workunits/c", {"GET", "HEAD"}),
            ("PATCH", "/healthz", {"GET", "HEAD"}), ("POST", "/contexts/c/workunits", {"GET", "HEAD"}),
            ("PUT", "/workunit/01890a5d-ac96-774b-bcce-b302099a8057", {"GET", "HEAD"}),
            ("POST", "/stream/sse", {"GET"})]:
            with self.subTest(f"{method} {path}"):
                answer = self.client.request(method, path)
                self.assertEqual((answer.status, answer.json()["code"]), (405, "method_not_allowed"), answer)
                named = {name.strip() for name in answer.headers.get("allow", "").split(",")}
                self.assertLessEqual(allowed, named)
                self.assertNotIn(method, named)

    def test_methods_that_nobody_knows(self):
        for method in ("get", "BREW", "Post"):
            with self.subTest(method), self.server.client() as client:
                self.assertIn(client.request(method, "/healthz").status, (405, 501))

    def test_unknown_paths(self):
        for path in ("/", "/nowhere", "/healthz/", "/v1", "/v2/healthz",
                     "/v1/v1/healthz", "//healthz", "/HEALTHZ", "/workunits/a/b/c", "/../healthz", "/stream/ssee"):
            with self.subTest(path):
                answer = self.client.get(path)
                self.assertEqual((answer.status, answer.json()["code"]), (404, "not_found"), answer)

    def test_unknown_query_parameters_are_named(self):
        for path, name in [
            ("/workunits/c?color=red", "color"), ("/workunits/c?limit=5&Limit=6", "Limit"), ("/healthz?x=1", "x"),
            ("/contexts/c/workunits?page=2", "page"), ("/stream/sse?contex=c", "contex"),
            ("/workunits/c?%63olor=red", "color"), ("/workunits/c?limits", "limits")]:
            with self.subTest(path):
                answer = self.client.get(path)
                self.assertEqual((answer.status, answer.json()["code"]), (400, "invalid_request"), answer)
                self.assertIn(name, answer.body.decode())
        answer = self.client.post(unit(self.context, "x"), path="/workunit?dry_run=1")
        self.assertEqual(answer.status, 400, answer)
        self.assertIn("dry_run", answer.body.decode())
        self.assertEqual(self.client.listing(self.context)["work_units"], [])

    def test_broken_queries(self):
        for query in ("limit=%zz", "limit=5%", "limit=1&limit=2", "cursor=%ff"):
            with self.subTest(query):
                self.assertEqual(self.client.get(f"/workunits/c?{query}").status, 400)

    def test_strange_and_right_queries(self):
        self.client.create(unit(self.context, "q"))
        for query in ("", "limit=%35", "%6cimit=5"):
            with self.subTest(query):
                self.assertEqual(self.client.get(f"/workunits/{self.context}?{query}").status, 200)
