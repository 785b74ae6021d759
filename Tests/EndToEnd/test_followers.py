"""Followers of both kinds, cut at random and resumed, over kills of the server under load; and slow ones among many."""

import http.client
import random
import threading
import time
import unittest

from harness import Names, Options, Server, unit, until, uuid7
from test_stream import Follower
from websocket import WebSocket

TYPES = ("MESSAGE", "ERROR", "TOOL_CALL", "SYSTEM")
MEBIBYTE = 1 << 20


class Cut(Exception):
    """The connection ended, by whose hand ever."""


class Tail(threading.Thread):
    """Follows one query for as long as it is told, through any number of connections, each from its last cursor."""

    def __init__(self, server, kind, query, seed, broken):
        super().__init__(daemon=True)
        self.server, self.kind, self.query, self.broken = server, kind, query, broken
        self.random = random.Random(seed)
        self.seen, self.cursor, self.connections = [], "0", 0
        self.over = threading.Event()

    def matches(self, one):
        return all((
            one["context_id"] in self.query.get("context", [one["context_id"]]),
            one["type"] in self.query.get("type", [one["type"]]), one["agent_id"] in self.query.get("agent", [one["agent_id"]])))

    def run(self):
        while not self.over.is_set():
            life = self.server.life
            try:
                self.follow(self.random.choice((1, 3, 20, 200, 2000)))
            except (OSError, Cut):
                time.sleep(0.01)
            except Exception as error:
                # A kill may cut an answer anywhere, also inside a frame; nothing else may.
                if self.server.life == life and life % 2 == 0:
                    self.broken.append(f"{self.kind} {self.query}: {error!r}")
                    return

    def follow(self, events):
        """One connection, given up after so many events."""
        if self.kind == "websocket":
            wire = WebSocket(self.server.port, after=self.cursor, timeout=30, **self.query)
        else:
            wire = Follower(self.server, last_event_id=self.cursor, timeout=30, **self.query)
        with wire:
            if wire.status not in (101, 200):
                raise AssertionError(f"refused with {wire.status} at {self.cursor}")
            self.connections += 1
            wire.subscribed()
            take = self.take_message if self.kind == "websocket" else self.take_event
            wire.timeout = 1
            while events > 0 and not self.over.is_set():
                try:
                    events -= take(wire)
                except AssertionError as error:
                    # A quiet stream is looked at again, so that `over` is heard.
                    if " within " not in str(error):
                        raise

    def take_message(self, wire):
        message = wire.json()
        if message is None:
            raise Cut
        if message["type"] == "workunit":
            self.seen.append(message["work_unit"])
        elif message["type"] not in ("progress", "context", "lock"):
            raise AssertionError(f"unexpected: {message}")
        self.cursor = message["cursor"]
        return 1

    def take_event(self, wire):
        event = wire.next()
        if event is None:
            raise Cut
        if event.name == "workunit":
            self.seen.append(event.json())
        elif event.name not in ("context", "lock"):
            raise AssertionError(f"unexpected: {event.name}")
        self.cursor = event.id
        return 1


class Killable(Server):
    """Counts its lives, odd while it is down, so that who is cut by a kill can tell it from a fault."""
    life = 1

    def kill(self):
        self.life += self.life % 2 == 0
        super().kill()

    def start(self, *timeout):
        super().start(*timeout)
        self.life += 1
        return self


class Followers(unittest.TestCase):
    def queries(self):
        one, two, three = self.contexts
        return [
            {}, {"context": [one]}, {"context": [one, two]}, {"type": ["ERROR", "SYSTEM"]}, {"agent": ["writer-1", "writer-2"]},
            {"context": [three], "type": ["TOOL_CALL"], "agent": ["writer-3"]},
            {"context": [two], "events": ["workunit", "context", "lock"]}, {"context": [one, two, three, "nothing"]}]

    def write(self, number, seed):
        """Posts until the server is gone; mostly small units, so that there are many."""
        chance, sent = random.Random(seed), 0
        try:
            with self.server.client(30) as client:
                while True:
                    size = chance.choice((0, 10, 200, 1000, 1000, 20_000))
                    answer = client.post(unit(
                        chance.choice(self.contexts), "p" * size, agent=f"writer-{number}", kind=chance.choice(TYPES), id=uuid7()))
                    if answer.status != 201:
                        return self.broken.append(f"a writer was told {answer}")
                    sent += 1
                    time.sleep(0.001)
        except (OSError, http.client.HTTPException):
            with self.guard:
                self.sent += sent

    def test_cut_and_resumed_over_kills(self):
        kills, seed = (20 if Options.full else 2), random.randrange(1 << 32)
        chance = random.Random(seed)
        self.contexts, self.broken = [Names.fresh("followers") for _ in range(3)], []
        self.guard, self.sent = threading.Lock(), 0
        with self.subTest(seed=seed), Killable(loops=2) as server:
            self.server, queries = server, self.queries()
            tails = [
                Tail(server, ("websocket", "sse")[n % 2], queries[(n + n // 8) % 8], seed + n, self.broken) for n in range(12)]
            for tail in tails:
                tail.start()
            for _ in range(kills):
                writers = [threading.Thread(target=self.write, args=(n, chance.random())) for n in range(4)]
                for writer in writers:
                    writer.start()
                time.sleep(chance.uniform(0.3, 1.5))
                server.kill()
                for writer in writers:
                    writer.join()
                self.assertFalse(self.broken, f"{self.broken[:3]}")
                time.sleep(chance.choice((0, 0.2)))
                server.start()
            with server.client() as client:
                made = sorted((one for name in self.contexts for one in client.all_units(name)), key=lambda one: one["position"])
            self.assertGreaterEqual(len(made), self.sent)
            self.assertGreater(self.sent, kills * 20, "the load was no load")
            self.hold(tails, made)
            print(
                f"     {kills} kills, {len(made)} units, {sum(tail.connections for tail in tails)} connections", flush=True)

    def hold(self, tails, made):
        """Every follower has every unit of its query once, in order, and as it is read."""
        try:
            for tail in tails:
                expected = [one for one in made if tail.matches(one)]
                until(lambda: len(tail.seen) >= len(expected) or self.broken or not tail.is_alive(), 120,
                      f"{tail.kind} {tail.query}: all of {len(expected)}")
        finally:
            for tail in tails:
                tail.over.set()
            for tail in tails:
                tail.join(40)
        self.assertFalse(self.broken, f"{self.broken[:3]}")
        for tail in tails:
            expected = [one for one in made if tail.matches(one)]
            label = f"{tail.kind} {tail.query}, {tail.connections} connections: "
            positions = [one["position"] for one in tail.seen]
            self.assertEqual(len(set(positions)), len(positions), label + "twice")
            self.assertEqual(positions, sorted(positions), label + "out of order")
            self.assertEqual({one["position"] for one in expected} - set(positions), set(), label + "missing")
            self.assertEqual(tail.seen, expected, label + "more, or changed")


class Slow(unittest.TestCase):
    """One that stops reading and one that reads a byte a second, of each kind, among many."""

    COUNT, SIZE = 120, 100_000

    def crowd(self, server, context, count):
        """So many followers that read all they are sent; the second value waits, and gives what each has seen."""
        seen, broken = [[] for _ in range(count)], []

        def read(n):
            try:
                kind = WebSocket(server.port, context=context, timeout=60) if n % 2 else Follower(server, context=context, timeout=60)
                with kind as wire:
                    wire.subscribed()
                    ready.release()
                    for _ in range(self.COUNT):
                        seen[n].append(wire.units(1)[0]["sequence"])
            except Exception as error:
                broken.append(error)
                ready.release()

        ready = threading.Semaphore(0)
        readers = [threading.Thread(target=read, args=(n,), daemon=True) for n in range(count)]
        for reader in readers:
            reader.start()
        for _ in readers:
            ready.acquire()

        def finish():
            for reader in readers:
                reader.join(120)
            self.assertEqual(broken, [])
            return seen

        return finish

    def load(self, server, context, count):
        finish = self.crowd(server, context, count)
        begun = time.monotonic()
        with server.client() as client:
            for n in range(self.COUNT):
                client.create(unit(context, f"{n}:" + "s" * self.SIZE))
        first = 1 + self.known
        self.known += self.COUNT
        for seen in finish():
            self.assertEqual(seen, list(range(first, first + self.COUNT)))
        return time.monotonic() - begun

    def test_the_others_are_served_and_memory_stays(self):
        context, self.known = Names.fresh("slow"), 0
        count = 60 if Options.full else 10
        with Server(loops=2) as server:
            # Once without them, for what the window and the heap come to by themselves.
            for _ in range(2):
                alone = self.load(server, context, count)
            before = server.rss_bytes()
            slow = [
                WebSocket(server.port, context=context, receive_bytes=4096), Follower(server, context=context, receive_bytes=4096),
                WebSocket(server.port, context=context, receive_bytes=4096), Follower(server, context=context, receive_bytes=4096)]
            for wire in slow:
                self.addCleanup(wire.close)
                wire.subscribed()
            first = self.known
            stop = threading.Event()
            sipped = [b"", b""]

            def sip():
                while not stop.wait(1):
                    for n, wire in enumerate(slow[2:]):
                        sipped[n] += wire.socket.recv(1)

            sipper = threading.Thread(target=sip)
            sipper.start()
            # Others are held up by nobody; the bound is wide, for what is wrong is waiting for 30 s.
            crowded = self.load(server, context, count)
            self.assertLess(crowded, 3 * alone + 10)
            self.assertLess(server.rss_bytes() - before, 48 * MEBIBYTE, "slow subscribers hold memory")
            if Options.full:
                self.let_go(server, context, count, slow, first)
            stop.set()
            sipper.join()
            if not Options.full:
                for n, wire in enumerate(slow[2:]):
                    wire.buffer += sipped[n]
                for wire in slow:
                    self.assertEqual(
                        [one["sequence"] for one in wire.units(self.COUNT)], list(range(first + 1, first + 1 + self.COUNT)))

    def let_go(self, server, context, count, slow, first):
        """After 30 s without progress they are closed, and told so; from where they were they can go on."""
        time.sleep(35)
        self.load(server, context, count)
        wire = slow[0]
        got = []
        while (message := wire.json()) is not None:
            got.append(message["work_unit"]["sequence"])
        self.assertLess(len(got), self.COUNT, "it was never let go")
        self.assertEqual(got, list(range(first + 1, first + 1 + len(got))))
        if wire.closing is not None:
            self.assertEqual(wire.closing.code, 1013)
        got = []
        while (event := slow[1].next()) is not None:
            got.append(event.json()["sequence"])
        self.assertLess(len(got), self.COUNT, "it was never let go")
        self.assertEqual(got, list(range(first + 1, first + 1 + len(got))))
        with Follower(server, context=context, last_event_id=slow[1].last_id) as again:
            again.subscribed()
            self.assertEqual(again.units(1)[0]["sequence"], first + 1 + len(got))
