"""Python's `websockets` (Debian's python3-websockets) as a peer: as a client of Engram, and as a check of our own driver."""

import asyncio
import json
import random
import sys
import threading
import time
import unittest

from harness import Names, Options, Server, unit, until
from websocket import PROTOCOL, WebSocket
from websocket_cases import Cases

# Debian puts its packages here, where another Python than Debian's own doesn't look by itself.
sys.path.append("/usr/lib/python3/dist-packages")

import websockets


class PeerServer:
    """A server of `websockets` on a thread of its own that knows `ping`, and answers the rest with `error`."""

    def __init__(self):
        self.loop, ready = asyncio.new_event_loop(), threading.Event()

        async def start():
            self.server = await websockets.serve(
                self.serve, "127.0.0.1", 0, compression=None, max_size=16 << 20, ping_interval=None, close_timeout=1)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        def run():
            self.loop.run_until_complete(start())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        ready.wait(10)

    @staticmethod
    async def serve(peer, path):
        try:
            async for message in peer:
                if isinstance(message, bytes):
                    await peer.close(1003)
                    return
                try:
                    known = json.loads(message)["type"] == "ping"
                except (ValueError, KeyError, TypeError, RecursionError):
                    known = False
                await peer.send(json.dumps({"type": "pong" if known else "error"}))
        except websockets.ConnectionClosed:
            pass

    def close(self):
        async def stop():
            self.server.close()
            await self.server.wait_closed()

        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


class Driver(Cases, unittest.TestCase):
    """The cases that Engram is held to, put to `websockets`: they are the RFC's, not ours."""

    # It takes a length in any form, which section 5.2 forbids.
    minimal_lengths = False

    @classmethod
    def setUpClass(cls):
        cls.server = PeerServer()
        cls.addClassCleanup(cls.server.close)

    def open(self):
        wire = WebSocket(self.server.port, "/")
        self.addCleanup(wire.close)
        self.assertEqual(wire.status, 101)
        return wire

    def undisturbed(self):
        pass


class Client(unittest.TestCase):
    """Engram seen by `websockets`, which holds a server to the RFC and closes at the first mistake."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.context = Names.fresh("peer")

    def connect(self, query="", **options):
        options = {"open_timeout": 20, "ping_interval": None, "max_size": 16 << 20} | options
        return websockets.connect(f"ws://{self.server.address}/stream{query}", **options)

    def publish(self, ref, payload, **more):
        return json.dumps({"type": "publish", "ref": ref, "work_unit": unit(self.context, payload, **more)})

    def test_subscribe_publish_and_close(self):
        async def scenario():
            async with self.connect(f"?context={self.context}", subprotocols=[PROTOCOL]) as peer:
                self.assertEqual(peer.subprotocol, PROTOCOL)
                self.assertEqual(peer.extensions, [])
                first = json.loads(await peer.recv())
                self.assertEqual((first["type"], first["contexts"]), ("subscribed", [self.context]))
                seen, acks = [], []
                for n, payload in enumerate(("", "x", "é🦊" * 50, "y" * 100_000, "z" * 3_000_000)):
                    await peer.send(self.publish(f"r{n}", payload))
                    while len(seen) <= n or len(acks) <= n:
                        message = json.loads(await asyncio.wait_for(peer.recv(), 20))
                        (seen if message["type"] == "workunit" else acks).append(message)
                    self.assertEqual(seen[n]["work_unit"]["payload"], payload)
                    self.assertEqual(
                        {name: acks[n][name] for name in ("type", "ref", "id", "sequence", "position")},
                        {"type": "ack", "ref": f"r{n}"} | {
                            name: seen[n]["work_unit"][name] for name in ("id", "sequence", "position")})
            self.assertEqual((peer.close_code, peer.close_sent.code, peer.close_rcvd.code), (1000, 1000, 1000))

        asyncio.run(scenario())

    def test_fragments_of_its_making(self):
        async def scenario():
            async with self.connect(f"?context={self.context}") as peer:
                await peer.recv()
                text = self.publish("f", "fragmented 🦊 " * 100)
                await peer.send([text[n:n + 7] for n in range(0, len(text), 7)])
                kinds = {json.loads(await asyncio.wait_for(peer.recv(), 20))["type"] for _ in range(2)}
                self.assertEqual(kinds, {"ack", "workunit"})

        asyncio.run(scenario())

    def test_pings(self):
        async def scenario():
            async with self.connect("", ping_interval=0.05, ping_timeout=5) as peer:
                for data in (b"", b"abc", b"\xff" * 125):
                    await asyncio.wait_for(await peer.ping(data), 20)
                await asyncio.sleep(0.3)
                self.assertTrue(peer.open)
                for code, reason in ((1000, ""), (4321, "fertig ✓")):
                    async with self.connect() as other:
                        await other.close(code, reason)
                        self.assertEqual(other.close_code, code)

        asyncio.run(scenario())

    def test_what_it_is_told_when_refused(self):
        async def scenario():
            for query, status in (("?after=x", 400), (f"?after={1 << 50}", 410)):
                with self.assertRaises(websockets.InvalidStatusCode) as caught:
                    await self.connect(query)
                self.assertEqual(caught.exception.status_code, status)
            async with self.connect() as peer:
                await peer.send(b"binary")
                with self.assertRaises(websockets.ConnectionClosed) as caught:
                    while True:
                        await asyncio.wait_for(peer.recv(), 20)
                self.assertEqual(caught.exception.rcvd.code, 1003)

        asyncio.run(scenario())

    def test_shutdown_says_going_away(self):
        async def scenario(server):
            peers = [await self.connect() for _ in range(10)]
            for peer in peers:
                await peer.recv()
            ending = asyncio.get_running_loop().run_in_executor(None, server.terminate)
            for peer in peers:
                with self.assertRaises(websockets.ConnectionClosed) as caught:
                    while True:
                        await asyncio.wait_for(peer.recv(), 20)
                self.assertEqual(caught.exception.rcvd.code, 1001)
            self.assertEqual(await ending, 0)

        with Server(loops=2) as server:
            self.server = server
            asyncio.run(scenario(server))


class Reconnects(unittest.TestCase):
    """Subscribers that come back again and again under load: none missed, none doubled, in order."""

    WRITERS, PACE = 3, 0.02 if Options.full else 0.004

    def write(self, server, number):
        """Posts at a steady pace, not as fast as it can: the subscribers are what is tested."""
        try:
            with server.client() as client:
                n = 0
                while not self.over.is_set():
                    client.create(unit(self.contexts[(number + n) % 3], f"{number}/{n}", agent=f"writer-{number}"))
                    n += 1
                    time.sleep(self.PACE)
        except Exception as error:
            self.broken.append(error)

    async def follow(self, server, contexts, turns, chance):
        """One subscriber: `turns` connections, each from where the last one ended. Returns its units."""
        seen, cursor = [], "0"
        query = "".join(f"&context={name}" for name in contexts)

        async def take(peer, patience=30):
            nonlocal cursor
            message = json.loads(await asyncio.wait_for(peer.recv(), patience))
            if message["type"] == "workunit":
                seen.append(message["work_unit"])
            elif message["type"] != "progress":
                raise AssertionError(f"unexpected: {message}")
            cursor = message["cursor"]

        for turn in range(turns + 1):
            async with websockets.connect(
                    f"ws://{server.address}/stream?after={cursor}{query}", open_timeout=30, ping_interval=None) as peer:
                first = json.loads(await asyncio.wait_for(peer.recv(), 30))
                self.assertEqual(first["type"], "subscribed")
                if turn == turns:
                    # The last one stays until it has all. It reads while the others come back, because a peer of which
                    # nothing is heard for 45 s, no pong either, is closed.
                    while not self.finished.is_set():
                        try:
                            await take(peer, 0.2)
                        except asyncio.TimeoutError:
                            continue
                    while len(seen) < sum(len(self.made[name]) for name in contexts):
                        await take(peer)
                    return seen
                for _ in range(chance.randrange(12)):
                    await take(peer)
                if chance.random() < 0.5:
                    peer.transport.abort()
            self.count += 1

    def test_reconnects_under_load(self):
        followers, turns = (20, 50) if Options.full else (6, 10)
        seed = random.randrange(1 << 32)
        self.contexts = [Names.fresh("reconnect") for _ in range(3)]
        self.over, self.finished, self.broken, self.count = threading.Event(), threading.Event(), [], 0
        sets = [self.contexts[:1 + n % 3] for n in range(followers)]
        with self.subTest(seed=seed), Server(loops=2) as server:
            writers = [threading.Thread(target=self.write, args=(server, n)) for n in range(self.WRITERS)]

            def finish():
                self.made = {name: [] for name in self.contexts}
                try:
                    until(
                        lambda: self.count >= followers * turns or self.broken, 1500 if Options.full else 300,
                        f"{self.count} reconnects")
                    self.over.set()
                    for writer in writers:
                        writer.join()
                    with server.client() as client:
                        self.made = {name: client.all_units(name) for name in self.contexts}
                finally:
                    self.over.set()
                    self.finished.set()

            async def scenario():
                ending = asyncio.get_running_loop().run_in_executor(None, finish)
                try:
                    return await asyncio.gather(
                        *(self.follow(server, names, turns, random.Random(seed + n)) for n, names in enumerate(sets)))
                except Exception as error:
                    self.broken.append(error)
                    raise
                finally:
                    await ending

            for writer in writers:
                writer.start()
            results = asyncio.run(scenario())
            self.assertEqual(self.broken, [])
            self.assertGreaterEqual(self.count, followers * turns)
            for names, seen in zip(sets, results):
                expected = sorted((one for name in names for one in self.made[name]), key=lambda one: one["position"])
                positions = [one["position"] for one in seen]
                self.assertEqual(positions, sorted(set(positions)), "out of order, or twice")
                self.assertEqual(seen, expected, "missing, or changed")
        print(f"     {self.count} reconnects, {sum(map(len, self.made.values()))} units", flush=True)
