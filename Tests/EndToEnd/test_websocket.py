"""WebSocket by the letter of RFC 6455: the handshake, and the cases of `websocket_cases.py`."""

import base64
import struct
import time
import unittest

from harness import Names, Options, Server, unit
from websocket import ABSENT, CLOSE, CONTINUATION, PING, PONG, PROTOCOL, TEXT, WebSocket, accept_value, frame, handshake
from websocket_cases import PING_TEXT, Cases, close_body

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The example of RFC 6455, section 1.3."""


class WebSocketSuite(unittest.TestCase):
    loops = 2

    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=cls.loops)
        cls.addClassCleanup(cls.server.discard)
        cls.context = Names.fresh("websocket")
        # Two that stay: by chance on different loops, they see whether a bad peer disturbs anybody.
        cls.bystanders = [WebSocket(cls.server.port, context=cls.context) for _ in range(2)]
        for bystander in cls.bystanders:
            cls.addClassCleanup(bystander.close)
            bystander.subscribed()

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)

    def connect(self, *path, **options):
        wire = WebSocket(self.server.port, *path, **options)
        self.addCleanup(wire.close)
        return wire

    def open(self, **options):
        wire = self.connect(**({"context": self.context} | options))
        self.assertEqual(wire.status, 101, wire.refusal)
        wire.subscribed()
        return wire

    def undisturbed(self):
        self.assertTrue(self.server.alive(), self.server.said())
        for bystander in self.bystanders:
            self.assertEqual(bystander.ping(), [])


class Conformance(Cases, WebSocketSuite):
    def test_empty_fragments_without_end(self):
        """A message that never grows and never ends is ended."""
        with self.open() as wire:
            wire.frame(TEXT, b"", fin=False)
            burst = frame(CONTINUATION, b"", fin=False) * 1000
            for _ in range(1000):
                wire.send(burst)
            self.assertIn(wire.end(), (1002, 1008, 1009))
        self.undisturbed()

    def test_tiny_fragments_without_end(self):
        with self.open() as wire:
            wire.frame(TEXT, b" ", fin=False)
            burst = frame(CONTINUATION, b" ", fin=False) * 1000
            for _ in range(1000):
                wire.send(burst)
            self.assertIn(wire.end(), (1002, 1008, 1009))
        self.undisturbed()

    def test_answers_come_before_the_close(self):
        with self.open() as wire:
            wire.send(frame(TEXT, PING_TEXT) * 20 + frame(CLOSE, close_body(1000)))
            for _ in range(20):
                self.answer(wire, "pong")
            self.assertEqual(wire.end(), 1000)

    def test_the_close_is_sent_once_and_the_connection_ended_by_the_server(self):
        with self.open() as wire:
            wire.frame(CLOSE, struct.pack(">H", 1000))
            frames = []
            while (one := wire.next_frame()) is not None:
                frames.append(one)
            self.assertEqual([one.opcode for one in frames], [CLOSE])

    def test_a_peer_that_never_answers_the_close(self):
        """A bad peer that keeps its side open is let go all the same."""
        wire = self.open()
        wire.frame(TEXT, PING_TEXT, mask=None)
        begun = time.monotonic()
        self.assertEqual(wire.end(), 1002)
        self.assertLess(time.monotonic() - begun, 15)


class Handshake(WebSocketSuite):
    def ask(self, request):
        return self.connect(request=request)

    def test_the_accept_value(self):
        self.assertEqual(accept_value(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        wire = self.ask(handshake(key=KEY))
        self.assertEqual((wire.status, wire.headers["sec-websocket-accept"]), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))

    def test_paths_and_spellings(self):
        for request in (
                handshake("/stream"), handshake("/v1/stream"), handshake(fields={"Upgrade": "WebSocket"}),
                handshake(fields={"Connection": "keep-alive, Upgrade"}), handshake(fields={"Connection": "UPGRADE"}),
                handshake(fields={"Upgrade": "h2c, websocket"}), handshake(fields={"Origin": "http://localhost"}),
                handshake(fields={"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}),
                handshake(extra=["Connection: keep-alive"]), handshake(fields={"X-Request-ID": "abc"})):
            with self.subTest(request[:200]):
                wire = self.ask(request)
                self.assertEqual(wire.status, 101, wire.refusal)
                wire.subscribed()
                wire.ping()
                self.assertIn("x-request-id", wire.headers)

    def test_the_subprotocol(self):
        for offered, chosen in (
                (None, None), (PROTOCOL, PROTOCOL), (f"mqtt, {PROTOCOL}", PROTOCOL), (f"{PROTOCOL},other", PROTOCOL),
                ("mqtt", None), ("engram.v2+json", None)):
            with self.subTest(offered):
                wire = self.ask(handshake(fields={"Sec-WebSocket-Protocol": offered or ABSENT}))
                self.assertEqual((wire.status, wire.headers.get("sec-websocket-protocol")), (101, chosen), wire.refusal)
        wire = self.ask(handshake(fields={"Sec-WebSocket-Protocol": "mqtt"}, extra=[f"Sec-WebSocket-Protocol: {PROTOCOL}"]))
        self.assertEqual((wire.status, wire.headers.get("sec-websocket-protocol")), (101, PROTOCOL))

    def test_other_versions(self):
        for version in ("12", "8", "0", "14", "255", "x", ""):
            with self.subTest(version):
                wire = self.ask(handshake(fields={"Sec-WebSocket-Version": version}))
                self.assertEqual((wire.status, wire.headers.get("sec-websocket-version")), (426, "13"), wire.refusal)
                self.assertEqual(wire.refusal.json()["code"], "upgrade_required")
        wire = self.ask(handshake(fields={"Sec-WebSocket-Version": ABSENT}))
        self.assertIn(wire.status, (400, 426))

    def test_bad_keys(self):
        sixteen = base64.b64encode(b"k" * 16).decode()
        for key in (ABSENT, "", "short", base64.b64encode(b"k" * 15).decode(), base64.b64encode(b"k" * 17).decode(),
                    base64.b64encode(b"k" * 32).decode(), sixteen[:-2], sixteen.replace("a", "%"), sixteen[:-1], "=" * 24, "é" * 24):
            with self.subTest(str(key)):
                wire = self.ask(handshake(fields={"Sec-WebSocket-Key": key}))
                self.assertEqual(wire.status, 400, wire.headers)
                self.assertEqual(wire.refusal.json()["code"], "invalid_request")
        wire = self.ask(handshake(key=sixteen, extra=[f"Sec-WebSocket-Key: {KEY}"]))
        self.assertEqual(wire.status, 400)

    def test_no_upgrade_no_websocket(self):
        """Whoever asks for less than an upgrade gets the stream in its other form, or is told what is wrong."""
        for request in (
                handshake(fields={"Connection": ABSENT}), handshake(fields={"Connection": "keep-alive"}),
                handshake(fields={"Upgrade": ABSENT}), handshake(fields={"Upgrade": "h2c"}),
                handshake(version="HTTP/1.0"), handshake("/stream/sse"), handshake("/stream-sse")):
            with self.subTest(request[:120]):
                wire = self.ask(request)
                self.assertIn(wire.status, (200, 400, 426), wire.headers)
                if wire.status == 200:
                    self.assertTrue(wire.headers["content-type"].startswith("text/event-stream"))
        for path in ("/stream/sse", "/stream-sse"):
            self.assertEqual(self.ask(handshake(path)).status, 200)

    def test_other_methods_and_paths(self):
        for method in ("POST", "PUT", "DELETE"):
            wire = self.ask(handshake(method=method, fields={"Content-Length": "0"}))
            self.assertEqual(wire.status, 405, method)
            self.assertIn("GET", wire.headers["allow"])
        self.assertEqual(self.ask(handshake("/streams")).status, 404)
        for path in ("/healthz", "/contexts"):
            wire = self.ask(handshake(path))
            self.assertEqual(wire.status, 200, "an upgrade that nobody offers is no error (RFC 9110, section 7.8)")

    def test_bad_queries_are_refused_before_the_upgrade(self):
        for query, status in (
                ({"after": "x"}, 400), ({"after": "-1"}, 400), ({"type": "NOTHING"}, 400), ({"events": "everything"}, 400),
                ({"colour": "red"}, 400), ({"after": str(1 << 50)}, 410),
                ({"context": [f"c{n}" for n in range(300)]}, 400)):
            with self.subTest(str(query)[:80]):
                wire = self.connect(**query)
                self.assertEqual(wire.status, status, wire.headers)
                self.assertEqual(wire.refusal.headers["content-type"], "application/problem+json")
                if status == 400:
                    self.assertIn(next(iter(query)), wire.refusal.body.decode())

    def test_the_connection_goes_on_after_a_refusal(self):
        with self.server.raw() as wire:
            wire.send(handshake(fields={"Sec-WebSocket-Version": "12"}))
            self.assertEqual(wire.answer().status, 426)
            wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            after = wire.answer()
            self.assertTrue(after is None or after.status == 200, after)

    def test_frames_in_the_segment_of_the_request(self):
        wire = self.ask(handshake(context=self.context) + frame(TEXT, PING_TEXT) * 3 + frame(PING, b"early"))
        self.assertEqual(wire.status, 101)
        # `subscribed` says that the subscription is live, for which these don't wait.
        frames = [wire.next_frame() for _ in range(5)]
        self.assertEqual(sorted(one.opcode for one in frames), [TEXT, TEXT, TEXT, TEXT, PONG], frames)
        self.assertEqual(sum(b'"pong"' in one.payload for one in frames), 3)

    def test_the_upgrade_behind_another_request(self):
        """Pipelined: the answers before it come first, and the stream begins."""
        healthz = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with self.server.raw() as wire:
            wire.send(healthz + healthz + handshake(context=self.context) + frame(TEXT, PING_TEXT))
            self.assertEqual([wire.answer().status for _ in range(2)], [200, 200])
            while b"\r\n\r\n" not in wire.buffer:
                self.assertTrue(wire._more())
            self.assertTrue(wire.buffer.startswith(b"HTTP/1.1 101 "), wire.buffer[:100])

    def test_in_single_bytes(self):
        request = handshake(context=self.context)
        with self.server.raw() as wire:
            for n in range(len(request)):
                wire.send(request[n:n + 1])
            while b"\r\n\r\n" not in wire.buffer:
                self.assertTrue(wire._more())
            self.assertTrue(wire.buffer.startswith(b"HTTP/1.1 101 "), wire.buffer[:100])

    def test_a_request_after_a_closed_websocket_is_not_heard(self):
        with self.open() as wire:
            self.assertEqual(wire.leave(), 1000)
        self.assertEqual(self.client.get("/healthz").status, 200)

    def test_thousands_come_and_go(self):
        turns = 3000 if Options.full else 200
        begun = self.server.rss_bytes()
        for n in range(turns):
            with self.open() as wire:
                if n % 3 == 0:
                    self.client.create(unit(Names.fresh(), "noise"))
                if n % 2 == 0:
                    self.assertEqual(wire.leave(), 1000)
        self.undisturbed()
        self.assertLess(self.server.rss_bytes() - begun, 64 << 20)
