"""Read your writes: after a 201 on one connection, any other connection sees the unit, whichever loop it is on."""

import threading
import unittest

from harness import Names, Options, Server, unit

CONNECTIONS = 8


class Visibility(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def test_a_201_is_seen_at_once_everywhere(self):
        """Eight readers spread over the loops (the kernel picks by port), asked in turn right after each 201."""
        tries = 10_000 if Options.full else 500
        context = Names.fresh("visible")
        clients = [self.server.client() for _ in range(CONNECTIONS)]
        try:
            for n in range(tries):
                writer, reader = clients[n % CONNECTIONS], clients[(n + 1 + n // CONNECTIONS % 7) % CONNECTIONS]
                made = writer.create(unit(context, str(n)))
                if n % 2:
                    answer = reader.get(f"/workunit/{made['id']}")
                    self.assertEqual(answer.status, 200, f"try {n}: {answer}")
                    self.assertEqual(answer.json()["work_unit"], made)
                else:
                    newest = reader.listing(context, reverse="true", limit=1)["work_units"]
                    self.assertEqual(newest, [made], f"try {n}")
        finally:
            for client in clients:
                client.close()

    def test_a_201_is_seen_under_load(self):
        tries = 2000 if Options.full else 200
        over, broken = threading.Event(), []

        def noise(number):
            context = Names.fresh("noise")
            try:
                with self.server.client() as client:
                    while not over.is_set():
                        client.create(unit(context, "n" * 1000))
            except Exception as error:
                broken.append(error)

        writers = [threading.Thread(target=noise, args=(number,)) for number in range(6)]
        for writer in writers:
            writer.start()
        try:
            for n in range(tries):
                # A fresh connection each time lands on either loop.
                with self.server.client() as writer, self.server.client() as reader:
                    made = writer.create(unit("under-load", str(n)))
                    self.assertEqual(reader.get(f"/workunit/{made['id']}").status, 200, f"try {n}")
        finally:
            over.set()
            for writer in writers:
                writer.join()
        self.assertEqual(broken, [])
