"""`kill -9` while the index is written: it becomes complete by itself, and is what one built anew would be."""

import http.client
import random
import re
import signal
import subprocess
import threading
import time
import unittest

from harness import Names, NotReady, Options, Server, unit
from test_search import caught_up, everything, ids, search
from test_verify import verify

WRITERS = 4
LINES = ["the build of src/main.swift failed", "snake_case_name is not defined", "東京タワー に行く", "naïve café, E1234", ""]


class Writer(threading.Thread):
    """Posts units, each with a word of its own, until the server goes. Knows which were acknowledged."""

    def __init__(self, server, context, number, chance):
        super().__init__(daemon=True)
        self.server, self.context, self.number, self.chance = server, context, number, chance
        self.acknowledged, self.refused = {}, None

    def run(self):
        try:
            with self.server.client(60) as client:
                while True:
                    # Letters, so that it is one word to every tokenizer.
                    word = f"word{self.number}n{len(self.acknowledged)}".translate(str.maketrans("0123456789", "abcdefghij"))
                    given = unit(
                        self.context, f"{self.chance.choice(LINES)} {word} " + "and so on " * self.chance.choice((1, 30, 300)),
                        agent=f"agent-{self.number % 3}", metadata={"word": word})
                    answer = client.post(given)
                    if answer.status != 201:
                        self.refused = answer
                        return
                    self.acknowledged[word] = answer.json()["work_unit"]
        except (OSError, http.client.HTTPException):
            return


class SearchCrash(unittest.TestCase):
    def setUp(self):
        self.kills = Options.kills or (50 if Options.full else 3)
        self.seed = random.randrange(1 << 32)
        self.chance = random.Random(self.seed)
        self.context, self.writers = Names.fresh("search-crash"), 0
        # Everything acknowledged so far: ids in the order of the log.
        self.known = {}

    def load(self, server, seconds):
        """Writers for about that long, then SIGKILL. Returns {word: unit} of what was acknowledged."""
        writers = []
        for _ in range(WRITERS):
            self.writers += 1
            writers.append(Writer(server, self.context, self.writers, random.Random(self.chance.random())))
        for writer in writers:
            writer.start()
        time.sleep(seconds)
        self.assertTrue(server.alive(), server.said())
        server.kill()
        found = {}
        for writer in writers:
            writer.join(90)
            self.assertFalse(writer.is_alive(), "a writer hangs although the server is gone")
            self.assertIsNone(writer.refused, f"a good unit was refused: {writer.refused}")
            found |= writer.acknowledged
        for one in found.values():
            self.known[one["position"]] = one["id"]
        return found

    def start(self, server):
        """Starts it, and sometimes kills it again on the way, at its start or while its index catches up."""
        for _ in range(self.chance.choice((0, 0, 1, 2))):
            half = subprocess.Popen(
                server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(self.chance.uniform(0.01, 0.5))
            half.send_signal(signal.SIGKILL)
            half.wait()
        try:
            server.start()
        except NotReady as error:
            self.fail(f"seed {self.seed}: {error}")

    def complete(self, client):
        """Waits until everything acknowledged can be found, with nobody posting."""
        deadline = time.monotonic() + 300
        while not caught_up(client, max(self.known, default=0)):
            self.assertLess(time.monotonic(), deadline, f"seed {self.seed}: the index doesn't catch up")
            time.sleep(0.02)

    def sound(self, directory, label):
        done = verify(directory)
        self.assertEqual(done.returncode, 0, f"{label}verify: {done.stdout[-1000:]}{done.stderr[-1000:]}")
        return done.stdout

    def test_killed_while_it_indexes(self):
        indexed = 0
        with Server() as server:
            for turn in range(1, self.kills + 1):
                label = f"kill {turn}, seed {self.seed}: "
                fresh = self.load(server, self.chance.choice((0.1, 0.3, 0.6, 1.0)) if turn > 1 else 1.0)
                self.start(server)
                with server.client(60) as client:
                    self.complete(client)
                    for word, one in fresh.items():
                        self.assertEqual(ids(search(client, word)), [one["id"]], f"{label}{word}")
                self.assertEqual(server.terminate(), 0, label)
                said = self.sound(server.directory, label)
                found = re.search(r"search index: complete to position (\d+), (\d+) units", said)
                self.assertTrue(found, f"{label}verify didn't look at the index: {said[-500:]}")
                self.assertGreaterEqual(int(found[1]), max(self.known), label)
                self.assertGreaterEqual(int(found[2]), len(self.known), label)
                server.start()
                indexed += len(fresh)
            with server.client(60) as client:
                self.complete(client)
                # All of them, newest first; a unit in flight at a kill may be there too.
                found = [one["work_unit"] for one in everything(client, context_id=self.context, limit=1000)]
            positions = [one["position"] for one in found]
            self.assertEqual(positions, sorted(set(positions), reverse=True), f"seed {self.seed}")
            self.assertEqual(
                {position: name for position, name in self.known.items()},
                {one["position"]: one["id"] for one in found if one["position"] in self.known}, f"seed {self.seed}")
            self.assertLessEqual(len(found) - len(self.known), self.kills * WRITERS, f"seed {self.seed}")
        self.assertGreater(indexed, self.kills, "the load was no load")
        print(f"     {self.kills} kills, {indexed} units", flush=True)
