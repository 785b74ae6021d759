"""Lists of units: every filter alone and combined, cursors, and what a client may rely on while others write."""

import random
import threading
import unittest

from harness import Names, Server, quoted, unit, units_path, until

TYPES = ["MESSAGE", "REASONING", "TOOL_CALL", "TOOL_RESULT", "FILE_CHANGE", "TASK_STATUS", "ERROR", "SYSTEM"]


def walk(client, context, path=None, **query):
    """All units of a filtered list, page by page; an empty page is no end, only an empty cursor is."""
    units, cursor, turns = [], None, 0
    while cursor != "":
        more = {"cursor": cursor} if cursor else {}
        page = client.listing(context, **query, **more)
        assert len(page["work_units"]) <= int(query.get("limit", 100))
        units += page["work_units"]
        cursor, turns = page["next_cursor"], turns + 1
        assert turns < 5000, "a list without end"
    return units


def matches(item, query):
    """What a reader of the contract would say."""
    types = query.get("type", [])
    numbers = {str(n + 1): name for n, name in enumerate(TYPES)}
    return (
        (not types or item["type"] in [numbers.get(name, name) for name in types])
        and ("agent_id" not in query or item["agent_id"] == query["agent_id"])
        and ("since" not in query or item["timestamp"] >= query["since"])
        and ("until" not in query or item["timestamp"] < query["until"])
        and ("after" not in query or item["sequence"] > query["after"])
        and ("before" not in query or item["sequence"] < query["before"])
        and all(
            item["metadata"].get(name[9:]) == value
            for name, values in query.items() if name.startswith("metadata.")
            for value in ([values] if isinstance(values, str) else values)))


class Filters(unittest.TestCase):
    COUNT = 700

    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)
        cls.context = Names.fresh("filters")
        cls.random = random.Random(7)
        cls.made = []
        with cls.server.client() as client:
            for n in range(cls.COUNT):
                cls.post_one(client, n)

    @classmethod
    def post_one(cls, client, n):
        chance = cls.random
        metadata = {"model": chance.choice(["large", "large", "sm/all~ é"])}
        if chance.random() < 0.05:
            metadata["a=b&c"] = chance.choice(["1", "", "x+y z%", "\"quoted\"\n"])
        if chance.random() < 0.3:
            metadata["trace"] = f"t-{n}"
        kind = "ERROR" if chance.random() < 0.02 else chance.choice(TYPES[:4])
        agent = chance.choice(["ann", "bob", "çyd"]) if chance.random() < 0.99 else "guest"
        cls.made.append(client.create(unit(cls.context, f"{n}", agent=agent, kind=kind, metadata=metadata)))

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)

    def random_query(self):
        chance, query = self.random, {}
        if chance.random() < 0.4:
            query["type"] = chance.sample(["MESSAGE", "2", "TOOL_CALL", "ERROR", "7", "SYSTEM"], chance.randint(1, 3))
        if chance.random() < 0.3:
            query["agent_id"] = chance.choice(["ann", "bob", "çyd", "guest", "nobody"])
        for edge in ("since", "until"):
            if chance.random() < 0.3:
                query[edge] = chance.choice(self.made)["timestamp"]
        for edge in ("after", "before"):
            if chance.random() < 0.2:
                query[edge] = chance.randint(0, self.COUNT + 2)
        if chance.random() < 0.3:
            query["metadata.model"] = chance.choice(["large", "sm/all~ é", "none"])
        if chance.random() < 0.2:
            query["metadata.a=b&c"] = chance.choice(["1", "", "x+y z%", "\"quoted\"\n"])
        if chance.random() < 0.1:
            query["metadata.trace"] = f"t-{chance.randint(0, self.COUNT)}"
        return query

    def compare(self, count):
        for n in range(count):
            query = self.random_query()
            expected = [item for item in self.made if matches(item, query)]
            reverse = self.random.random() < 0.5
            if reverse:
                query["reverse"] = "true"
                expected.reverse()
            query["limit"] = self.random.choice([1, 3, 20, 100, 1000]) if len(expected) < 50 else 100
            with self.subTest(query=query):
                self.assertEqual(walk(self.client, self.context, **query), expected)

    def test_any_filters_together(self):
        self.compare(150)

    def test_after_a_restart(self):
        """What was in the window is in the store then, and the other way round."""
        self.server.kill()
        self.server.start()
        self.client = self.server.client()
        self.compare(60)
        self.assertEqual(self.server.terminate(), 0)
        self.server.start()
        self.client = self.server.client()
        for n in range(30):
            self.post_one(self.client, self.COUNT + n)
        self.compare(60)

    def test_both_paths_are_one_list(self):
        for query in ("", "?type=ERROR", "?metadata.model=large&limit=7&reverse=true"):
            one = self.client.get(f"/workunits/{quoted(self.context)}{query}")
            other = self.client.get(f"/contexts/{quoted(self.context)}/workunits{query}")
            self.assertEqual((one.status, one.body), (200, other.body))

    def test_head_is_get_without_the_body(self):
        path = units_path(self.context, type="ERROR", limit=3)
        whole, head = self.client.get(path), self.client.request("HEAD", path)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], whole.headers["content-length"])

    def test_a_filter_on_an_unknown_context_is_an_empty_list(self):
        for query in ({"type": "ERROR"}, {"metadata.a": "b"}, {"since": "2020-01-01T00:00:00Z", "reverse": "true"}):
            self.assertEqual(self.client.listing(Names.fresh(), **query), {"work_units": [], "next_cursor": ""})

    def test_times_in_any_spelling(self):
        middle = self.made[self.COUNT // 2]
        stamp = middle["timestamp"]
        date, clock = stamp[:10], stamp[11:26]
        expected = [item for item in self.made if item["timestamp"] >= stamp]
        for since in (stamp, stamp.lower(), f"{date}T{clock}+00:00", f"{date}T{clock}000Z", f"{date}t{clock}-00:00"):
            with self.subTest(since=since):
                self.assertEqual(walk(self.client, self.context, since=since, limit=1000), expected)
        # A `+` that wasn't encoded comes as a space.
        answer = self.client.get(f"/workunits/{quoted(self.context)}?since={date}T{clock}+00:00&limit=1000")
        self.assertEqual(answer.json()["work_units"], expected)
        for empty in ({"since": "9999-12-31T23:59:59Z"}, {"until": "1969-01-01T00:00:00Z"}, {"since": stamp, "until": stamp}):
            self.assertEqual(walk(self.client, self.context, **empty), [])

    def test_values_that_are_wrong_are_named(self):
        long = "k" * 129
        for query, pointer in (
                ("type=NOISE", "/type"), ("type=0", "/type"), ("type=9", "/type"), ("type=message", "/type"),
                ("type=MESSAGE&type=", "/type"), ("agent_id=", "/agent_id"), ("agent_id=a%00", "/agent_id"),
                ("agent_id=a&agent_id=b", "/agent_id"), ("agent_id=" + "a" * 257, "/agent_id"),
                ("since=yesterday", "/since"), ("since=2026-02-30T00:00:00Z", "/since"), ("since=", "/since"),
                ("since=2026-01-01", "/since"), ("until=2026-01-01T00:00:00", "/until"),
                ("until=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z", "/until"),
                (f"metadata.{long}=1", f"/metadata.{long}"), ("metadata.a%2Fb~=" + "v" * 4097, "/metadata.a~1b~0"),
                ("metadata=1", "/metadata"), ("meta.a=1", "/meta.a"), ("limit=0", "/limit"), ("limit=1001", "/limit"),
                ("reverse=yes", "/reverse"), ("cursor=nonsense", "/cursor"), ("after=-1", "/after"),
                ("&".join(f"metadata.k{n}=v" for n in range(65)), "/metadata.k64")):
            with self.subTest(query=query[:60]):
                answer = self.client.get(f"/workunits/{quoted(self.context)}?{query}")
                self.assertEqual(answer.status, 400, answer)
                self.assertEqual(answer.pointers(), [pointer])

    def test_a_key_twice_with_two_values_matches_nothing(self):
        path = f"/workunits/{quoted(self.context)}?metadata.model=large&metadata.model=none"
        self.assertEqual(self.client.get(path).json(), {"work_units": [], "next_cursor": ""})
        twice = f"/workunits/{quoted(self.context)}?metadata.model=large&metadata.model=large&limit=5"
        self.assertEqual(len(self.client.get(twice).json()["work_units"]), 5)

    def test_a_cursor_is_bound_to_its_filters(self):
        base = {"limit": 2, "type": "MESSAGE", "agent_id": "ann", "metadata.model": "large"}
        cursor = self.client.listing(self.context, **base)["next_cursor"]
        self.assertNotEqual(cursor, "")
        self.client.listing(self.context, **base | {"limit": 50, "cursor": cursor})
        self.client.listing(self.context, **base | {"type": "1", "cursor": cursor})
        for change in (
                {"type": "REASONING"}, {"agent_id": "bob"}, {"metadata.model": "none"}, {"metadata.x": "y"},
                {"since": "2020-01-01T00:00:00Z"}, {"until": "2090-01-01T00:00:00Z"}, {"reverse": "true"}, {"after": 1}):
            with self.subTest(change=change):
                answer = self.client.get(units_path(self.context, **base | change | {"cursor": cursor}))
                self.assertEqual((answer.status, answer.pointers()), (400, ["/cursor"]))


class WhileOthersWrite(unittest.TestCase):
    def test_a_walk_has_all_that_was_there_and_nothing_twice(self):
        """Two loops, writers at full speed, readers that filter: each walk has every matching unit that was
        acknowledged before it began, in order, once, and only matching ones."""
        with Server(loops=2) as server:
            context, over, broken, made = Names.fresh("busy"), threading.Event(), [], []

            def write(agent):
                try:
                    with server.client() as client:
                        n = 0
                        while not over.is_set():
                            kind = "ERROR" if n % 17 == 0 else "MESSAGE"
                            made.append(client.create(unit(context, "w" * 300, agent=agent, kind=kind, metadata={"n": f"{n % 5}"})))
                            n += 1
                except Exception as error:
                    broken.append(error)

            writers = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(4)]
            for writer in writers:
                writer.start()
            try:
                until(lambda: broken or len(made) > 300, 60, "that some were written")
                for turn in range(40):
                    query = [
                        {"type": ["ERROR"]}, {"agent_id": "w1"}, {"metadata.n": "3"},
                        {"type": ["ERROR", "MESSAGE"], "agent_id": "w2", "metadata.n": "0"}][turn % 4]
                    known = {item["id"] for item in list(made) if matches(item, query)}
                    more = {"reverse": "true"} if turn % 3 == 0 else {}
                    with server.client() as client:
                        found = walk(client, context, **query, **more, limit=[7, 100, 1000][turn % 3])
                    sequences = [item["sequence"] for item in found]
                    self.assertEqual(sequences, sorted(set(sequences), reverse=bool(more)))
                    self.assertTrue(all(matches(item, query) for item in found))
                    self.assertLessEqual(known, {item["id"] for item in found})
            finally:
                over.set()
                for writer in writers:
                    writer.join()
            self.assertEqual(broken, [])
            self.assertGreater(len(made), 301)
