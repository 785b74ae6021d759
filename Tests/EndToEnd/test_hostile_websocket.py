"""WebSocket peers that are slow, silent, or talk too much: they cost little, are let go, and disturb nobody."""

import json
import os
import threading
import time
import unittest

from harness import Names, Options, Raw, Server, several_files, unit, until
from test_hostile import sockets
from test_websocket import WebSocketSuite
from websocket import CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocket, frame, handshake

MEBIBYTE = 1 << 20


class Hostile(WebSocketSuite):
    def setUp(self):
        super().setUp()
        several_files()

    def test_slow_handshakes(self):
        """Five hundred that never finish their request keep nobody out."""
        request = handshake(context=self.context)
        wires = [Raw(self.server.port).send(request[:1 + n % (len(request) - 1)]) for n in range(500)]
        try:
            self.undisturbed()
            with self.open() as wire:
                wire.ping()
            # One of them may still go on.
            wires[100].send(request[101:])
            self.assertTrue(wires[100]._more())
            self.assertTrue(wires[100].buffer.startswith(b"HTTP/1.1 101 "))
        finally:
            for wire in wires:
                wire.close()

    def test_a_handshake_that_stops_is_ended(self):
        # Takes longer than a head may take: in the full run only.
        if not Options.full:
            return
        with self.server.raw(timeout=30) as wire:
            wire.send(handshake()[:60])
            self.assertEqual(wire.answer().status, 408)

    def test_half_frames_then_silence(self):
        """Pieces of frames, of heads and of huge messages; each connection then says nothing more."""
        before = self.server.rss_bytes()
        halves = [
            b"\x81", b"\x81\xfe", b"\x81\xff\x00\x00", frame(TEXT, b"abc")[:4], frame(TEXT, b"abc")[:-1],
            frame(TEXT, b"abc", fin=False), frame(PING, b"abc")[:-1], frame(CLOSE, b"\x03")[:-1],
            frame(TEXT, b"x" * 5000, announced=8 << 20, form=64)]
        wires = [self.open().send(halves[n % len(halves)]) for n in range(300)]
        self.undisturbed()
        # Nobody gets memory for what he only announces.
        self.assertLess(self.server.rss_bytes() - before, 64 * MEBIBYTE)
        with self.open() as wire:
            wire.ping()
        count = sockets(self.server)
        for wire in wires:
            wire.close()
        until(lambda: sockets(self.server) <= count - 300, what="the connections are let go")

    def test_thousands_of_pings(self):
        count = 200_000 if Options.full else 20_000
        with self.open() as wire:
            burst = frame(PING, b"p" * 20) * 1000
            before = self.server.rss_bytes()
            for _ in range(count // 1000):
                wire.send(burst)
                # Read what is there, so that neither side waits for the other.
                wire.socket.settimeout(0.001)
                try:
                    wire._more()
                except TimeoutError:
                    pass
            wire.text({"type": "ping"})
            pongs = 0
            while (one := wire.next_frame()).opcode == PONG:
                self.assertEqual(one.payload, b"p" * 20)
                pongs += 1
            self.assertEqual(json.loads(one.payload)["type"], "pong")
            self.assertGreater(pongs, 0)
            self.assertLess(self.server.rss_bytes() - before, 32 * MEBIBYTE)
        self.undisturbed()

    def test_pings_by_who_does_not_read(self):
        """The pongs of a peer that takes none are not heaped up."""
        before = self.server.rss_bytes()
        wires = [self.open(receive_bytes=4096) for _ in range(8)]
        burst = frame(PING, b"p" * 125) * 500
        for wire in wires:
            wire.socket.setblocking(False)
        deadline = time.monotonic() + (10 if Options.full else 3)
        sent = 0
        while time.monotonic() < deadline:
            for wire in wires:
                try:
                    sent += wire.socket.send(burst)
                except (BlockingIOError, ConnectionError):
                    pass
        self.assertGreater(sent, 100_000)
        self.assertLess(self.server.rss_bytes() - before, 48 * MEBIBYTE)
        self.undisturbed()

    def test_pong_floods(self):
        with self.open() as wire:
            burst = frame(PONG, b"p" * 125) * 1000
            before = self.server.rss_bytes()
            for _ in range(1000 if Options.full else 100):
                wire.send(burst)
            self.undisturbed()
            wire.ping()
            self.assertLess(self.server.rss_bytes() - before, 32 * MEBIBYTE)

    def test_messages_by_who_does_not_read(self):
        """Errors and pongs of the application, asked for and not taken, are bounded like events."""
        before = self.server.rss_bytes()
        wires = [self.open(receive_bytes=4096) for _ in range(8)]
        burst = (frame(TEXT, b'{"type":"ping"}') + frame(TEXT, b"{") + frame(TEXT, b'{"type":"subscribe","after":"x"}')) * 200
        for wire in wires:
            wire.socket.setblocking(False)
        deadline = time.monotonic() + (10 if Options.full else 3)
        while time.monotonic() < deadline:
            for wire in wires:
                try:
                    wire.socket.send(burst)
                except (BlockingIOError, ConnectionError):
                    pass
        self.assertLess(self.server.rss_bytes() - before, 64 * MEBIBYTE)
        self.undisturbed()

    def test_publishers_that_do_not_read(self):
        """Publishing without taking the acks stops somewhere; what was acknowledged by then is there."""
        context = Names.fresh("hostile")
        with self.open(receive_bytes=4096) as wire:
            message = json.dumps({"type": "publish", "ref": "r" * 100, "work_unit": unit(context, "x" * 200)}).encode()
            wire.socket.setblocking(False)
            burst, sent, rest = frame(TEXT, message), 0, b""
            deadline = time.monotonic() + (10 if Options.full else 2)
            while time.monotonic() < deadline:
                try:
                    rest = rest or burst * 50
                    done = wire.socket.send(rest)
                    rest, sent = rest[done:], sent + done
                except BlockingIOError:
                    time.sleep(0.001)
                except ConnectionError:
                    break
            self.undisturbed()
            wire.socket.settimeout(20)
            first = [wire.expect("ack")["sequence"] for _ in range(10)]
            self.assertEqual(first, list(range(1, 11)))
        self.assertGreater(sent, 100_000)
        units = self.client.all_units(context)
        self.assertEqual([one["sequence"] for one in units], list(range(1, len(units) + 1)))

    def test_refs_are_bounded(self):
        with self.open() as wire:
            wire.text({"type": "publish", "ref": "r" * (1 << 20), "work_unit": unit(Names.fresh(), "x")})
            message = wire.json()
            if message is None:
                self.assertIn(wire.closing.code, (1008, 1009))
            else:
                self.assertEqual((message["type"], message["code"]), ("error", "invalid_request"))
                self.assertLess(len(message.get("ref") or ""), 1 << 20)
        self.undisturbed()

    def test_unsubscribe_and_subscribe_floods(self):
        """A peer that changes its mind thousands of times, each time from the start of history."""
        context = Names.fresh("hostile")
        for n in range(200):
            self.client.create(unit(context, "x" * 1000))
        wires = [self.open() for _ in range(4)]
        message = json.dumps({"type": "subscribe", "contexts": [context], "after": "0"}).encode()
        before = self.server.rss_bytes()
        for wire in wires:
            for _ in range(500 if Options.full else 100):
                wire.send(frame(TEXT, message) + frame(TEXT, b'{"type":"unsubscribe"}'))
            wire.send(frame(TEXT, message))
        self.undisturbed()
        for wire in wires:
            count = 0
            while count < (501 if Options.full else 101):
                count += wire.json()["type"] == "subscribed"
            self.assertEqual([one["sequence"] for one in wire.units(200)], list(range(1, 201)))
        self.assertLess(self.server.rss_bytes() - before, 64 * MEBIBYTE)

    def test_a_flood_of_starts_that_only_the_store_knows(self):
        """Each subscription has the store asked: not for more than one of a connection at a time, or nobody else is served."""
        with Server() as server, server.client() as client:
            for _ in range(10):
                client.create(unit("large", "x" * (8 << 20)))
            before = server.rss_bytes()
            with WebSocket(server.port, context="nothing") as wire:
                burst = frame(TEXT, b'{"type":"subscribe","contexts":["nothing"],"after":"0"}') * 1000
                halt = threading.Event()

                def flood():
                    wire.socket.settimeout(1)
                    while not halt.is_set():
                        try:
                            # Where it is cut doesn't matter: what is not read is not understood.
                            wire.socket.sendall(burst)
                        except OSError:
                            return

                sender = threading.Thread(target=flood)
                sender.start()
                try:
                    until_time = time.monotonic() + 3
                    while time.monotonic() < until_time:
                        client.create(unit("small", "y"))
                        self.assertEqual(client.get("/workunits/large?limit=1").status, 200)
                finally:
                    halt.set()
                    sender.join()
            self.assertLess(server.rss_bytes() - before, 256 * MEBIBYTE)

    def test_a_cursor_that_another_connection_was_told_is_known(self):
        """Whatever loop a peer is on, it may resume from what it has seen elsewhere."""
        with Server(loops=2) as server, server.client() as client:
            told = [WebSocket(server.port) for _ in range(8)]
            asking = [WebSocket(server.port, events="lock") for _ in range(8)]
            for wire in told + asking:
                wire.subscribed()
            until_time = time.monotonic() + (10 if Options.full else 3)
            while time.monotonic() < until_time:
                client.create(unit("told", "x"))
                for one, other in zip(told, asking):
                    cursor = one.expect("workunit")["cursor"]
                    other.text({"type": "subscribe", "after": cursor, "events": ["lock"]})
                for wire in asking:
                    wire.subscribed()
            for wire in told + asking:
                wire.close()

    def test_huge_messages_at_once(self):
        """Many large messages on the way together have one bound, not one each."""
        with Server(loops=2) as server:
            before = server.rss_bytes()
            wires = []
            for _ in range(40):
                wire = WebSocket(server.port, context="nothing", timeout=60)
                wire.subscribed()
                wires.append(wire.send(frame(TEXT, b" " * (8 << 20), announced=(8 << 20) + 1)[:-1]))
            with server.client() as client:
                self.assertEqual(client.get("/livez").status, 200)
            self.assertLess(server.rss_bytes() - before, 400 * MEBIBYTE)
            for wire in wires:
                wire.close()
            until(lambda: server.rss_bytes() - before < 200 * MEBIBYTE, 30, "the memory is given back")

    def test_a_flood_of_connections(self):
        count = 3000 if Options.full else 300
        before = sockets(self.server)
        wires = [self.open() for _ in range(count)]
        made = self.client.create(unit(self.context, "to all"))
        for wire in wires:
            self.assertEqual(wire.units(1), [made])
        for bystander in self.bystanders:
            self.assertEqual(bystander.units(1), [made])
        for wire in wires:
            wire.close()
        until(lambda: sockets(self.server) <= before + 5, 60, "the connections are let go")
        self.undisturbed()

    def test_noise_after_the_upgrade(self):
        """Bytes by chance: whatever they mean, the connection ends or goes on, and the server stays."""
        for n in range(300 if Options.full else 60):
            with self.open() as wire:
                wire.send(os.urandom(1 + n * 37 % 5000))
                wire.send(frame(CLOSE, b"\x03\xe8"))
        self.undisturbed()

    def test_noise_in_frames(self):
        """Frames that are right in form, with contents by chance."""
        for n in range(300 if Options.full else 60):
            with self.open() as wire:
                for _ in range(5):
                    size = os.urandom(1)[0]
                    wire.send(frame(TEXT if n % 2 else CONTINUATION, os.urandom(size), fin=bool(size & 1)))
        self.undisturbed()

    def test_shutdown_with_silent_peers(self):
        """Peers that read nothing, or stopped inside a frame, hold the end up no longer than its 10 s."""
        with Server(loops=2) as server:
            wires = [WebSocket(server.port, context="c", pongs=False) for _ in range(20)]
            for n, wire in enumerate(wires):
                wire.subscribed()
                wire.send(b"\x81\xfe"[:n % 3])
            begun = time.monotonic()
            self.assertEqual(server.terminate(timeout=20), 0)
            self.assertLess(time.monotonic() - begun, 13)
            for wire in wires:
                self.assertEqual(wire.end(), 1001)
                wire.close()
