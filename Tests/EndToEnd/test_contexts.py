"""Contexts: listed, read, and true at once on every connection."""

import threading
import unittest

from harness import Names, Server, quoted, unit, units_path
from urllib.parse import urlencode


def walk(client, **query):
    """All contexts of a list, page by page."""
    found, cursor, turns = [], None, 0
    while cursor != "":
        more = {"cursor": cursor} if cursor else {}
        answer = client.get("/contexts?" + urlencode(query | more))
        assert answer.status == 200, answer
        page = answer.json()
        assert list(page) == ["contexts", "next_cursor"]
        found += page["contexts"]
        cursor, turns = page["next_cursor"], turns + 1
        assert turns < 2000, "a list without end"
    return found


class Contexts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(lambda: self.client.close())

    def read(self, name, client=None, **query):
        answer = (client or self.client).get(f"/contexts/{quoted(name)}" + ("?" + urlencode(query) if query else ""))
        self.assertEqual(answer.status, 200, answer)
        return answer

    def test_a_context_has_every_member(self):
        name = Names.fresh('odd "na/me" é')
        first = self.client.create(unit(name, agent="ann"))
        second = self.client.create(unit(name, agent="bob"))
        self.client.create(unit(name, agent="ann"))
        answer = self.read(name)
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.json(), {"context": {
            "id": name, "display_name": "", "agent_ids": ["ann", "bob"], "pinned_units": [], "metadata": {},
            "created_at": first["timestamp"], "updated_at": second["timestamp"], "revision": 2, "last_sequence": 3}})
        self.assertEqual(answer.headers["etag"], '"2.3"')
        self.assertEqual(self.client.get(f"/v1/contexts/{quoted(name)}").body, answer.body)

    def test_entity_tags(self):
        name = Names.fresh()
        self.client.create(unit(name))
        path, tag = f"/contexts/{quoted(name)}", '"1.1"'
        for field in (tag, "W/" + tag, "*", f'"x", {tag}', f'"a" , W/{tag} ,"b"'):
            answer = self.client.get(path, {"If-None-Match": field})
            self.assertEqual((answer.status, answer.body, answer.headers["etag"]), (304, b"", tag), field)
            self.assertEqual(self.client.request("HEAD", path, headers={"If-None-Match": field}).status, 304)
            self.assertEqual(self.client.get(path + "?include=recent", {"If-None-Match": field}).status, 200)
        for field in ('"1.2"', "1.1", '"11"', '""'):
            self.assertEqual(self.client.get(path, {"If-None-Match": field}).status, 200, field)
        self.client.create(unit(name))
        changed = self.client.get(path, {"If-None-Match": tag})
        self.assertEqual((changed.status, changed.headers["etag"]), (200, '"1.2"'))
        head = self.client.request("HEAD", path)
        self.assertEqual(
            (head.status, head.body, head.headers["content-length"], head.headers["etag"]),
            (200, b"", changed.headers["content-length"], '"1.2"'))

    def test_unknown_contexts(self):
        for headers in ({}, {"If-None-Match": "*"}):
            answer = self.client.get(f"/contexts/{Names.fresh()}", headers)
            self.assertEqual((answer.status, answer.json()["code"]), (404, "not_found"))
        self.assertEqual(self.client.get(f"/contexts/{Names.fresh()}?include=recent").status, 404)

    def test_recent_units_are_the_newest_first(self):
        name = Names.fresh()
        made = [self.client.create(unit(name, f"{n}")) for n in range(130)]
        whole = self.read(name, include="recent").json()
        self.assertEqual(list(whole), ["context", "recent"])
        self.assertEqual(whole["recent"], made[:29:-1])
        self.assertEqual(whole["context"]["last_sequence"], 130)
        for query in ("include=pinned,recent", "include=recent&include=pinned"):
            both = self.client.get(f"/contexts/{quoted(name)}?{query}")
            self.assertEqual(list(both.json()), ["context", "pinned", "recent"])
            self.assertEqual(both.json()["pinned"], [])
            self.assertEqual(both.headers["etag"], '"1.130"')
            head = self.client.request("HEAD", f"/contexts/{quoted(name)}?{query}")
            self.assertEqual(head.headers["content-length"], both.headers["content-length"])

    def test_wrong_values_are_named(self):
        for path, pointer in (
                ("/contexts?limit=0", "/limit"), ("/contexts?limit=1001", "/limit"), ("/contexts?agent_id=", "/agent_id"),
                ("/contexts?agent_id=a&agent_id=b", "/agent_id"), ("/contexts?prefix=" + "p" * 257, "/prefix"),
                ("/contexts?prefix=%01", "/prefix"), ("/contexts?cursor=x", "/cursor"), ("/contexts?order=id", "/order"),
                ("/contexts?prefix=%ff", None), ("/contexts/a?include=all", "/include"), ("/contexts/a?include=", "/include"),
                ("/contexts/a?include=recent,", "/include"), ("/contexts/a?limit=5", "/limit"), ("/contexts/%01", "/id")):
            with self.subTest(path=path[:60]):
                answer = self.client.get(path)
                self.assertEqual(answer.status, 400, answer)
                self.assertEqual(answer.pointers(), [pointer] if pointer else [])

    def test_lists_by_prefix_agent_and_limit_also_after_restarts(self):
        base = Names.fresh("list-")
        names = [f"{base}/{text}" for text in ("a", "a b", "aa", "b", "é", "z" * 200, "\U0001F600")]
        agents = {name: ["lister-all"] + ([f"lister-{n % 2}"]) for n, name in enumerate(names)}
        for name in reversed(names):
            for agent in agents[name]:
                self.client.create(unit(name, agent=agent))
        in_order = sorted(names, key=str.encode)
        for restart in (None, self.server.kill, self.server.terminate):
            if restart:
                restart()
                self.server.start()
                self.client = self.server.client()
            for limit in (1, 2, 3, 100):
                listed = walk(self.client, prefix=base + "/", limit=limit)
                self.assertEqual([item["id"] for item in listed], in_order)
                self.assertEqual([item["last_sequence"] for item in listed], [2] * len(names))
                for agent in ("lister-0", "lister-1", "lister-all"):
                    found = walk(self.client, prefix=base + "/a", agent_id=agent, limit=limit)
                    self.assertEqual(
                        [item["id"] for item in found],
                        [name for name in in_order if agent in agents[name] and name.startswith(base + "/a")])
                self.assertEqual(walk(self.client, prefix=base, agent_id="lister-none", limit=limit), [])
            self.assertEqual(listed[0], self.read(in_order[0]).json()["context"])
        cursor = self.client.get(f"/contexts?limit=1&prefix={quoted(base)}").json()["next_cursor"]
        for other in ("", "prefix=x", f"prefix={quoted(base)}&agent_id=lister-0"):
            answer = self.client.get(f"/contexts?{other}&cursor={cursor}")
            self.assertEqual((answer.status, answer.pointers()), (400, ["/cursor"]))

    def test_a_201_is_seen_at_once_in_both(self):
        """Whichever loop a connection is on, with others writing: a new context is listed and read as it is."""
        over, broken = threading.Event(), []

        def noise(number):
            try:
                with self.server.client() as client:
                    while not over.is_set():
                        client.create(unit(f"noise-{number}", "n" * 500))
            except Exception as error:
                broken.append(error)

        writers = [threading.Thread(target=noise, args=(number,)) for number in range(3)]
        for writer in writers:
            writer.start()
        clients = [self.server.client() for _ in range(6)]
        try:
            for n in range(120):
                name = Names.fresh(f"fresh-{n}")
                writer, reader = clients[n % 6], clients[(n + 1 + n // 6 % 5) % 6]
                for step in range(1 + n % 3):
                    writer.create(unit(name, agent=f"agent-{step % 2}"))
                    revision = 1 + min(step, 1)
                    answer = self.read(name, reader)
                    self.assertEqual(answer.headers["etag"], f'"{revision}.{step + 1}"')
                    for query in ({"prefix": name}, {"prefix": name[:8], "agent_id": f"agent-{step % 2}"}):
                        listed = {item["id"]: item for item in walk(reader, **query, limit=1000)}
                        self.assertEqual(listed.get(name), answer.json()["context"], f"try {n}")
        finally:
            over.set()
            for writer in writers:
                writer.join()
            for client in clients:
                client.close()
        self.assertEqual(broken, [])

    def test_methods(self):
        for path in ("/contexts", "/contexts/a", units_path("a")):
            answer = self.client.request("POST", path, {})
            self.assertEqual(answer.status, 405)
            self.assertIn("GET", answer.headers["allow"])
