"""`kill -9` under load: what was acknowledged is there, unchanged, once, in order; and nothing is half there."""

import hashlib
import http.client
import random
import signal
import subprocess
import threading
import time
import unittest

from harness import Names, Options, Server, unit, uuid7

WRITERS = 8
# A writer mixes sizes: most units of about 1 KB, some that fill many blocks of the log.
SIZES = [0, 10, 900, 1000, 1100, 1000, 4096, 20_000, 200_000]


class Writer(threading.Thread):
    """Posts units with ids of its own until the server goes. Knows what was acknowledged and what was in flight."""

    def __init__(self, server, context, seed):
        super().__init__(daemon=True)
        self.server, self.context = server, context
        self.random = random.Random(seed)
        self.acknowledged, self.in_flight, self.refused = [], None, None

    def run(self):
        try:
            with self.server.client(30) as client:
                while True:
                    size = self.random.choice(SIZES)
                    given = unit(
                        self.context, f"{len(self.acknowledged)}:" + self.random.choice("abcé\"\\🦊") * size,
                        agent=self.name, id=uuid7(), metadata={"n": str(len(self.acknowledged))})
                    self.in_flight = given
                    answer = client.post(given)
                    if answer.status == 503:
                        self.in_flight = None
                        return
                    if answer.status != 201:
                        self.refused = answer
                        return
                    self.acknowledged.append(answer.json()["work_unit"])
                    self.in_flight = None
        except (OSError, http.client.HTTPException):
            return


def fingerprint(one):
    return (one["id"], one["sequence"], one["position"], hashlib.sha256(one["payload"].encode()).hexdigest())


class Crash(unittest.TestCase):
    def setUp(self):
        self.kills = Options.kills or (100 if Options.full else 3)
        self.seed = random.randrange(1 << 32)
        self.random = random.Random(self.seed)
        self.contexts = [Names.fresh("crash") for _ in range(3)]
        # Everything acknowledged so far, by context and id; kept as fingerprints, for hundreds of thousands.
        self.known = {context: {} for context in self.contexts}
        # The highest sequence that a crash-surviving unit had, per context: nothing below it may be new afterwards.
        self.length = dict.fromkeys(self.contexts, 0)

    def load(self, server, seconds, stop):
        """Eight writers for about that long; `stop` ends the server under them. Returns the writers, all joined."""
        writers = [
            Writer(server, self.contexts[n % len(self.contexts)], self.random.random()) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(seconds)
        code = stop()
        for writer in writers:
            writer.join(60)
            self.assertFalse(writer.is_alive(), "a writer hangs although the server is gone")
            self.assertIsNone(writer.refused, f"a good unit was refused: {writer.refused}")
            for one in writer.acknowledged:
                self.known[writer.context][one["id"]] = fingerprint(one)
        return writers, code

    def verify(self, server, writers, turn):
        """Reads the contexts from where the last turn left them, and holds them to what was acknowledged."""
        label = f"kill {turn}, seed {self.seed}: "
        in_flight = {writer.in_flight["id"]: writer.in_flight for writer in writers if writer.in_flight}
        for context in self.contexts:
            with server.client(60) as client:
                units, after = [], self.length[context]
                while page := client.listing(context, after=after, limit=1000)["work_units"]:
                    units += page
                    after = page[-1]["sequence"]
            self.assertEqual(
                [one["sequence"] for one in units],
                list(range(self.length[context] + 1, self.length[context] + 1 + len(units))),
                label + "sequences have a gap or repeat")
            positions = [one["position"] for one in units]
            self.assertEqual(positions, sorted(set(positions)), label + "positions do not grow")
            found = {one["id"]: fingerprint(one) for one in units}
            self.assertEqual(len(found), len(units), label + "a unit is there twice")
            recent = {
                key: value for writer in writers if writer.context == context
                for key, value in ((one["id"], fingerprint(one)) for one in writer.acknowledged)}
            lost = recent.keys() - found.keys()
            self.assertFalse(lost, label + f"{len(lost)} acknowledged units are lost, such as {list(lost)[:3]}")
            changed = [key for key in recent if found[key] != recent[key]]
            self.assertFalse(changed, label + f"acknowledged units changed: {changed[:3]}")
            for extra in found.keys() - recent.keys():
                self.assertIn(extra, in_flight, label + "a unit that nobody was posting")
                self.assertEqual(
                    next(one["payload"] for one in units if one["id"] == extra), in_flight[extra]["payload"],
                    label + "an unacknowledged unit is there, but not as it was sent")
                self.known[context][extra] = found[extra]
            self.length[context] += len(units)
        self.retry(server, in_flight, label)

    def retry(self, server, in_flight, label):
        """A client that got no answer sends again: 201 if it was lost, 200 if it was kept, never twice."""
        for given in in_flight.values():
            with server.client() as client:
                first, second = client.post(given), client.post(given)
            kept = given["id"] in self.known[given["context_id"]]
            self.assertEqual((first.status, second.status), (200 if kept else 201, 200), label + repr(first))
            one = first.json()["work_unit"]
            self.assertEqual(one, second.json()["work_unit"], label)
            if not kept:
                self.length[given["context_id"]] += 1
                self.assertEqual(one["sequence"], self.length[given["context_id"]], label)
            self.known[given["context_id"]][one["id"]] = fingerprint(one)

    def everything(self, server):
        """At the end, from the start: each context is exactly what is known of it."""
        for context in self.contexts:
            with server.client(60) as client:
                units = client.all_units(context)
            self.assertEqual({one["id"]: fingerprint(one) for one in units}, self.known[context], f"seed {self.seed}")
            self.assertEqual([one["sequence"] for one in units], list(range(1, len(units) + 1)))

    def test_killed_under_load(self):
        slowest = (0, 0)
        with Server() as server:
            for turn in range(1, self.kills + 1):
                # Some kills come while the server is still young, some after a while.
                seconds = self.random.choice([0.05, 0.2, 0.5, 1.0, 1.5]) if turn > 1 else 1.0
                writers, _ = self.load(server, seconds, server.kill)
                mebibytes = server.log_bytes() / (1 << 20)
                server.start()
                slowest = max(slowest, (server.ready_seconds, mebibytes))
                self.assertLess(
                    server.ready_seconds, 10 + mebibytes / 32, f"kill {turn}: not ready in time with {mebibytes:.0f} MiB of log")
                self.verify(server, writers, turn)
            self.everything(server)
            count = sum(len(units) for units in self.known.values())
            self.assertGreater(count, self.kills, "the load was no load")
            self.assertEqual(server.terminate(), 0)
        print(
            f"     {self.kills} kills, {count} units; slowest start {slowest[0] * 1000:.0f} ms "
            f"with {slowest[1]:.0f} MiB of log files", flush=True)

    def test_killed_again_while_it_recovers(self):
        with Server() as server:
            for turn in range(1, (20 if Options.full else 3) + 1):
                writers, _ = self.load(server, 0.4, server.kill)
                for _ in range(3):
                    half = subprocess.Popen(
                        server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    time.sleep(self.random.uniform(0.001, 0.12))
                    half.send_signal(signal.SIGKILL)
                    half.wait()
                server.start()
                self.verify(server, writers, turn)
            self.everything(server)

    def test_terminated_under_load(self):
        """SIGTERM: in flight is answered, the exit is clean, and nothing is lost either."""
        with Server() as server:
            for turn in range(1, (10 if Options.full else 2) + 1):
                writers, code = self.load(server, 0.5, server.terminate)
                self.assertEqual(code, 0, f"turn {turn}: {server.said()}")
                server.start()
                self.verify(server, writers, turn)
            self.everything(server)
