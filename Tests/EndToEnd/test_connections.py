"""Many connections, idle ones, and clients that vanish at the worst moment."""

import os
import socket
import struct
import threading
import time
import unittest

from harness import Names, Options, Server, http_request, unit, units_path, until

IDLE = 2000


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def vanish(wire):
    """Closes with a reset, as a process that is killed under load does."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


class Connections(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.context = Names.fresh("connections")

    def test_two_thousand_idle_and_a_load_beside_them(self):
        idle = []
        try:
            for _ in range(IDLE):
                idle.append(self.server.raw())
            for wire in idle[::10]:
                self.assertEqual(wire.send(http_request("GET", "/healthz")).answer().status, 200)
            counts, broken = [], []

            def load(number):
                try:
                    with self.server.client() as client:
                        for n in range(500 if Options.full else 100):
                            client.create(unit(self.context, f"{number}/{n}"))
                        counts.append(n + 1)
                except Exception as error:
                    broken.append(error)

            writers = [threading.Thread(target=load, args=(number,)) for number in range(8)]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
            self.assertEqual(broken, [])
            with self.server.client() as client:
                self.assertEqual(len(client.all_units(self.context)), sum(counts))
            # The idle ones are still there, first to last.
            for wire in idle:
                answer = wire.send(http_request("GET", "/healthz")).answer()
                self.assertIsNotNone(answer, "an idle connection was closed")
                self.assertEqual(answer.status, 200)
        finally:
            for wire in idle:
                wire.close()

    def test_descriptors_come_back(self):
        with self.server.client() as client:
            self.assertEqual(client.get("/healthz").status, 200)
        before = until(lambda: descriptors(self.server), 5)
        for _ in range(3):
            wires = [self.server.raw() for _ in range(300)]
            for number, wire in enumerate(wires):
                if number % 3 == 0:
                    wire.close()
                elif number % 3 == 1:
                    vanish(wire)
                else:
                    wire.send(http_request("GET", "/healthz")).answer()
                    wire.close()
        until(lambda: descriptors(self.server) <= before + 8, 20, "the server's descriptors back at their number")

    def test_clients_that_vanish_before_their_answer(self):
        """Each either appended its unit or didn't, perhaps later on another loop; the server lives, and the context
        has no gap."""
        for _ in range(300):
            wire = self.server.raw()
            wire.send(http_request("POST", "/workunit", unit(self.context, "gone" * 100)))
            vanish(wire)
        with self.server.client() as client:
            client.create(unit(self.context, "last"))
            units = client.all_units(self.context)
        self.assertEqual([one["sequence"] for one in units], list(range(1, len(units) + 1)))
        self.assertEqual([one["payload"] for one in units].count("last"), 1)

    def test_clients_that_vanish_while_they_read(self):
        with self.server.client() as client:
            for _ in range(4):
                client.create(unit(self.context, "r" * 1_000_000))
        for number in range(60):
            wire = self.server.raw()
            wire.send(http_request("GET", units_path(self.context)))
            if number % 2:
                wire.socket.recv(1000)
            vanish(wire)
        with self.server.client() as client:
            self.assertEqual(len(client.listing(self.context)["work_units"]), 4)

    def test_a_storm_of_short_connections(self):
        broken = []

        def storm():
            try:
                for _ in range(500 if Options.full else 150):
                    with self.server.raw() as wire:
                        answer = wire.send(http_request("GET", "/healthz", fields=["Connection: close"])).answer()
                        if answer is None or answer.status != 200:
                            broken.append(answer)
            except OSError as error:
                broken.append(error)

        clients = [threading.Thread(target=storm) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        self.assertEqual(broken, [])

    def test_nothing_said_costs_nothing(self):
        """Idle connections cause no work: the server's processor time stands still."""
        wires = [self.server.raw() for _ in range(200)]
        try:
            for wire in wires:
                wire.send(http_request("GET", "/healthz")).answer()
            time.sleep(1)
            before, begun = self.processor_seconds(), time.monotonic()
            time.sleep(2)
            used, passed = self.processor_seconds() - before, time.monotonic() - begun
            self.assertLess(used, 0.1 * passed, "an idle server is busy")
        finally:
            for wire in wires:
                wire.close()

    def processor_seconds(self):
        with open(f"/proc/{self.server.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
