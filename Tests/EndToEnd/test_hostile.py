"""Peers that ask and don't read, that end in the middle, and answers too large for one page."""

import os
import signal
import socket
import time
import unittest

from harness import Names, Options, Raw, Server, http_request, several_files, unit, units_path

LARGE = 6 << 20
RECEIVE_BUFFERS = 2048
"""Of one loop: `LoopOptions.receiveBufferCount`."""
STALL_SECONDS = 30


def narrow(server, request, room=4096):
    """A connection that takes little at a time, with `request` sent."""
    wire = Raw.__new__(Raw)
    wire.socket, wire.buffer = socket.socket(), b""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    wire.socket.settimeout(20)
    wire.socket.connect(("127.0.0.1", server.port))
    return wire.send(request)


def sockets(server):
    folder, count = f"/proc/{server.process.pid}/fd", 0
    for name in os.listdir(folder):
        try:
            count += os.readlink(f"{folder}/{name}").startswith("socket")
        except FileNotFoundError:  # closed meanwhile
            pass
    return count


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        several_files()
        cls.server = Server(loops=1)
        cls.addClassCleanup(cls.server.discard)

    def large_context(self, server, count):
        context = Names.fresh("hostile")
        with server.client() as client:
            for _ in range(count):
                client.create(unit(context, "x" * LARGE))
        return context

    def test_a_page_cut_by_its_bytes_goes_on_in_both_directions(self):
        context = self.large_context(self.server, 4)
        for reverse in ("false", "true"):
            seen, cursor = [], None
            while cursor != "":
                query = {"reverse": reverse, "limit": 10} | ({"cursor": cursor} if cursor else {})
                with self.server.client() as client:
                    page = client.listing(context, **query)
                seen += [found["sequence"] for found in page["work_units"]]
                cursor = page["next_cursor"]
            self.assertEqual(seen, [4, 3, 2, 1] if reverse == "true" else [1, 2, 3, 4])

    def test_an_end_in_the_middle_of_a_body_behind_a_request_closes(self):
        with self.server.raw() as wire:
            wire.send(
                http_request("POST", "/workunit", unit(Names.fresh("hostile"), "first"))
                + b"POST /workunit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
            wire.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(wire.answer().status, 201)
            self.assertTrue(wire.ended(timeout=10))

    def test_peers_that_ask_and_do_not_read_take_no_receive_buffers(self):
        context = self.large_context(self.server, 1)
        request = http_request("GET", units_path(context)) + http_request("GET", "/healthz")
        wires = []
        try:
            for _ in range(RECEIVE_BUFFERS + 50):
                wires.append(narrow(self.server, request))
            with self.server.client() as client:
                self.assertEqual(client.get("/healthz").status, 200)
            # What stood behind the answer is taken up once that is read.
            self.assertEqual(wires[0].answer().status, 200)
            self.assertEqual(wires[0].answer().body, b"OK")
        finally:
            for wire in wires:
                wire.close()

    def test_an_answer_that_is_read_late_does_not_hold_the_end_up(self):
        with Server(loops=1) as server:
            context = self.large_context(server, 1)
            wire = narrow(server, http_request("GET", units_path(context)))
            time.sleep(0.3)
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            answer = wire.answer()
            self.assertGreater(len(answer.body), LARGE)
            self.assertTrue(wire.ended())
            wire.close()
            self.assertEqual(server.process.wait(20), 0)
            self.assertLess(time.monotonic() - begun, 9)

    def test_slow_is_not_stalled_and_stalled_is_let_go(self):
        # Takes longer than a stall: in the full run only.
        if not Options.full:
            return
        context = self.large_context(self.server, 3)
        before = sockets(self.server)
        ended = narrow(self.server, http_request("GET", f"/stream?after=0&context={context}"))
        time.sleep(0.5)
        ended.socket.shutdown(socket.SHUT_WR)
        slow = narrow(self.server, http_request("GET", units_path(context), fields=["Connection: close"]), 65536)
        received = 0
        begun = time.monotonic()
        while time.monotonic() - begun < STALL_SECONDS + 10:
            received += len(slow.socket.recv(30_000))
            time.sleep(0.1)
        self.assertEqual(sockets(self.server), before + 1, "the stream is let go, the slow reader isn't")
        while chunk := slow.socket.recv(1 << 20):
            received += len(chunk)
        self.assertGreater(received, 2 * LARGE)
        slow.close()
        ended.close()
