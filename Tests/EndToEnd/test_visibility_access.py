"""What an agent may not see looks like what doesn't exist: in lists, searches, walks and streams, also when policies
change and credentials end while a stream is open.

ann reads and writes `team/**`, bob reads `private/**` and may not search, root may do everything."""

import base64
import json
import signal
import time
import unittest

from access import EVERYTHING, Credential, Guarded, Rule
from harness import Client, quoted, unit, until, uuid7
from test_stream import Follower
from websocket import WebSocket

REQUEST_ID = {"X-Request-ID": "the-same"}
SECRET = "zebra"


class Token(Credential):
    """May end, at a second since 1970."""

    ends = None

    @property
    def line(self):
        return super().line + (f":{self.ends}" if self.ends else "")


def token(agent, ends=None):
    made = Token(agent, *(["root"] if agent == "root" else []))
    made.ends = ends
    return made


def fields(agent, **more):
    return token(agent).fields | more


def rules(*names):
    """What of contexts and locks is the team's: ann's."""
    return [
        EVERYTHING,
        Rule(["context:read"], ["context/private/**"], agents=["bob"]),
        Rule(["search"], agents=["ann"]),
        Rule(["context:read", "context:write", "lock:read", "lock:acquire"],
             [f"{kind}/{name}/**" for kind in ("context", "lock") for name in names], agents=["ann"])]


class Changing(Guarded):
    """Its tokens and rules can be read anew."""

    def __init__(self):
        super().__init__([token(agent) for agent in ("root", "ann", "bob")], rules("team"), loops=2)

    def reload(self, team="team", agents=("ann", "bob"), ends=None):
        """Returns once what is new counts."""
        before = self.reloads()
        self.configure([token(agent, (ends or {}).get(agent)) for agent in ("root", *agents)], rules(team))
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self.reloads() > before, what=f"the reload; it said: {self.said()}")

    def reloads(self):
        return sum("reloaded" in line for line in [*self.stdout, *self.stderr])


class As(Client):
    """A connection of one agent."""

    def __init__(self, server, agent):
        super().__init__(server.port)
        self.agent = agent

    def request(self, method, path, body=None, headers=None):
        return super().request(method, path, body, fields(self.agent) | REQUEST_ID | (headers or {}))

    def search(self, **query):
        answer = self.request("POST", "/search", query)
        if answer.status != 200:
            raise AssertionError(f"POST /search {query}: {answer}")
        return answer.json()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Changing()
        cls.addClassCleanup(cls.server.discard)
        cls.root, cls.ann, cls.bob = (As(cls.server, name) for name in ("root", "ann", "bob"))
        for client in (cls.root, cls.ann, cls.bob):
            cls.addClassCleanup(client.close)

    def post(self, context, payload="", **more):
        made = unit(context, payload, agent="root", **more)
        return self.root.create(made)

    def same(self, one, other):
        """Two answers are the same to the byte: status, fields (but for the date) and body."""
        def bare(answer):
            return answer.status, {name: value for name, value in answer.headers.items() if name != "date"}, answer.body
        self.assertEqual(bare(one), bare(other))


class ListTests(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.names = {"team": [f"team/{n}" for n in range(7)], "hidden": [f"private/{n}" for n in range(9)] + ["team-x", "tea"]}
        for name in cls.names["team"] + cls.names["hidden"]:
            cls.root.create(unit(name, agent="root"))
        cls.ann.request("PATCH", "/contexts/" + quoted("team/0"), {"add_agents": ["bob"]})
        cls.root.request("PATCH", "/contexts/" + quoted("private/0"), {"add_agents": ["eve"]})

    def pages(self, **query):
        found, cursor, pages = [], None, 0
        while cursor != "":
            parts = query | ({"cursor": cursor} if cursor else {})
            answer = self.ann.get("/contexts?" + "&".join(f"{name}={quoted(str(value))}" for name, value in parts.items()))
            self.assertEqual(answer.status, 200, answer)
            page = answer.json()
            found += [context["id"] for context in page["contexts"]]
            cursor, pages = page["next_cursor"], pages + 1
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            for name in self.names["hidden"] + self.names["team"]:
                self.assertNotIn(name.encode(), raw)
        return found, pages

    def test_a_list_has_what_is_seen_in_pages_of_any_size(self):
        for limit in (1, 2, 3, 100):
            found, pages = self.pages(limit=limit)
            self.assertEqual(found, self.names["team"])
            self.assertEqual(pages, -(-len(found) // limit))
        self.assertEqual(self.pages(limit=2, prefix="t")[0], self.names["team"])
        everything = [context["id"] for context in self.root.get("/contexts").json()["contexts"]]
        self.assertEqual(sorted(everything), sorted(self.names["team"] + self.names["hidden"]))

    def test_hidden_names_and_agents_are_like_missing_ones(self):
        self.same(self.ann.get("/contexts?prefix=private"), self.ann.get("/contexts?prefix=nowhere"))
        # eve is of a hidden context only, nobody of none.
        self.same(self.ann.get("/contexts?agent_id=eve"), self.ann.get("/contexts?agent_id=nobody"))
        self.assertEqual([one["id"] for one in self.ann.get("/contexts?agent_id=bob").json()["contexts"]], ["team/0"])
        self.assertEqual([one["id"] for one in self.root.get("/contexts?agent_id=eve").json()["contexts"]], ["private/0"])

    def test_cursors_of_others_and_forged_ones_open_nothing(self):
        # root's cursor is a name in the clear: it only says where ann's list goes on.
        page = self.root.get("/contexts?limit=3").json()
        went_on = self.ann.get("/contexts?limit=100&cursor=" + page["next_cursor"]).json()
        self.assertEqual([one["id"] for one in went_on["contexts"]], self.names["team"])
        cursor = self.ann.get("/contexts?limit=1").json()["next_cursor"]
        for forged in (cursor[:-1], cursor[:40] + ("A" if cursor[40] != "A" else "B") + cursor[41:], cursor + "A"):
            self.assertEqual(self.ann.get("/contexts?limit=1&cursor=" + forged).status, 400)
        self.assertEqual(self.ann.get("/contexts?limit=1&prefix=t&cursor=" + cursor).status, 400)

    def test_the_list_of_locks_leaves_out_what_is_hidden(self):
        paths = ["private/a", "team/a", "team/b", "zoo"]
        for path in paths:
            self.assertEqual(self.root.request("POST", "/locks", {"resource_path": path}).status, 200)
        found, cursor = [], None
        while cursor != "":
            page = self.ann.get("/locks?limit=1" + (f"&cursor={cursor}" if cursor else "")).json()
            found += [lock["resource_path"] for lock in page["locks"]]
            cursor = page["next_cursor"]
        self.assertEqual(found, ["team/a", "team/b"])


class SearchTests(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hidden, cls.seen = [], []
        for number in range(60):
            cls.hidden.append(cls.root.create(unit(f"private/{number % 5}", f"{SECRET} word {number}", agent="root")))
            if number % 10 == 0:
                cls.seen.append(cls.root.create(unit(f"team/{number % 20}", f"word {number}", agent="root")))
        cls.mine = cls.root.create(unit("team/x", f"one {SECRET} of ours", agent="root"))
        cls.last = cls.root.create(unit("private/0", f"{SECRET} and the last", agent="root"))["position"]

    def ask(self, client, **query):
        return client.search(min_position=self.last, wait_seconds=20, **query)

    def ids(self, page):
        return [result["work_unit"]["id"] for result in page["results"]]

    def test_only_what_is_seen_is_found_and_counted(self):
        for order in ("relevance", "recent"):
            page = self.ask(self.ann, query="word", order=order, limit=100)
            self.assertEqual(set(self.ids(page)), {one["id"] for one in self.seen})
            self.assertEqual((page["total_count"], page["total_is_exact"], page["next_cursor"]), (len(self.seen), True, ""))
            page = self.ask(self.ann, query=SECRET, order=order, highlight=True)
            self.assertEqual(self.ids(page), [self.mine["id"]])
            self.assertEqual((page["total_count"], page["total_is_exact"], page["partial"]), (1, True, False))
            self.assertEqual(self.ask(self.root, query=SECRET, order=order)["total_count"], 62)
        page = self.ask(self.ann, query="last")
        self.assertEqual((page["results"], page["total_count"], page["total_is_exact"]), ([], 0, True))
        # Filters alone.
        page = self.ask(self.ann, query="", limit=100)
        self.assertEqual(len(page["results"]), len(self.seen) + 1)
        self.assertEqual(self.ask(self.ann, query="", agent_ids=["root"], limit=100)["total_count"], len(self.seen) + 1)

    def test_pages_have_everything_once(self):
        for order in ("relevance", "recent"):
            found, cursor = [], None
            while cursor != "":
                page = self.ask(self.ann, query="word", order=order, limit=2, **({"cursor": cursor} if cursor else {}))
                found += self.ids(page)
                cursor = page["next_cursor"]
            self.assertEqual(sorted(found), sorted(one["id"] for one in self.seen))

    def test_hidden_contexts_are_like_missing_ones(self):
        for order in ("relevance", "recent"):
            for query in ("word", SECRET, "", "word -zebra"):
                answers = [
                    self.ann.request("POST", "/search", {"query": query, "order": order, "highlight": True, **contexts})
                    for contexts in ({"context_id": "private/0"}, {"context_id": "nowhere/0"})]
                self.same(*answers)
                both = self.ask(self.ann, query=query, order=order, context_ids=["private/0", "team/0"])
                one = self.ask(self.ann, query=query, order=order, context_ids=["team/0"])
                self.assertEqual((both["results"], both["total_count"]), (one["results"], one["total_count"]))

    def test_scores_tell_nothing_of_hidden_units(self):
        # One that only ann's unit has, and one that sixty hidden ones have: as rare, to her.
        ours = self.ask(self.ann, query="ours")["results"][0]["score"]
        secret = self.ask(self.ann, query=SECRET)["results"][0]["score"]
        self.assertEqual(ours, secret)

    def test_the_verb_is_needed(self):
        self.assertEqual(self.bob.request("POST", "/search", {"query": "word"}).status, 403)
        body = {"target_id": self.hidden[0]["id"]}
        self.assertEqual(self.bob.request("POST", "/search/relationships", body).status, 403)


class WalkTests(Case):
    def related(self, context, *targets):
        return self.post(context, relationships=[{"target_id": target, "type": "CAUSES"} for target in targets])

    def walk(self, client, root, **query):
        query = {"depth": 10, "limit": 1000} | query
        path = f"/workunit/{root}/relationships?" + "&".join(f"{name}={value}" for name, value in query.items())
        return client.get(path)

    def found(self, answer):
        self.assertEqual(answer.status, 200, answer)
        return {result["work_unit"]["id"] for result in answer.json()["results"]}

    def test_no_way_leads_through_what_is_hidden(self):
        far = self.related("team/far")
        near = self.related("team/near")
        hidden = self.related("private/x", far["id"])
        root = self.related("team/root", hidden["id"], near["id"], uuid7())
        above = self.related("private/above", root["id"], far["id"])
        everything = {far["id"], near["id"], hidden["id"], above["id"]}
        self.assertEqual(self.found(self.walk(self.root, root["id"])), everything)
        answer = self.walk(self.ann, root["id"])
        self.assertEqual(self.found(answer), {near["id"]})
        self.assertFalse(answer.json()["partial"])
        self.assertEqual(self.found(self.walk(self.ann, far["id"])), set())
        body = {"target_id": root["id"], "depth": 10, "direction": "both"}
        answer = self.ann.request("POST", "/search/relationships", body)
        self.assertEqual(self.found(answer), {near["id"]})

    def test_a_hidden_root_is_like_a_missing_one(self):
        hidden = self.related("private/x")
        self.same(self.walk(self.ann, hidden["id"]), self.walk(self.ann, uuid7()))
        asked = [{"target_id": hidden["id"]}, {"target_id": uuid7()}]
        self.same(*(self.ann.request("POST", "/search/relationships", body) for body in asked))
        self.assertEqual(self.walk(self.ann, hidden["id"]).status, 404)

    def test_an_edge_to_what_is_hidden_is_like_one_to_nothing(self):
        hidden = self.related("private/x")
        roots = [self.related("team/one", target) for target in (hidden["id"], uuid7())]
        self.same(*(self.walk(self.ann, root["id"]) for root in roots))


class StreamTests(Case):
    def test_live_and_from_history_only_what_is_seen(self):
        before = [self.post(context, "x")["id"] for context in ("team/1", "private/1", "team/2")]
        everything = {"events": "workunit,context,lock"}
        with WebSocket(self.server.port, fields=fields("ann"), after="0", **everything) as ann, \
                Follower(self.server, fields=fields("ann"), after="0", **everything) as stream, \
                WebSocket(self.server.port, fields=fields("ann"), context="private/1") as named, \
                WebSocket(self.server.port, fields=fields("bob"), after="0", **everything) as bob:
            for socket in (ann, named, bob):
                socket.subscribed()
            stream.subscribed()
            after = [self.post(context, "x")["id"] for context in ("private/1", "team/1", "private/2")]
            self.root.request("PATCH", "/contexts/" + quoted("team/1"), {"display_name": "seen"})
            self.root.request("PATCH", "/contexts/" + quoted("private/1"), {"display_name": "hidden"})
            for path in ("team/lock", "private/lock"):
                self.assertEqual(self.root.request("POST", "/locks", {"resource_path": path}).status, 200)
            said = ann.ping()
            units = [one["work_unit"]["id"] for one in said if one["type"] == "workunit"]
            self.assertEqual([one for one in units if one in before + after], [before[0], before[2], after[1]])
            self.assertEqual({one["context"]["id"].split("/")[0] for one in said if one["type"] == "context"}, {"team"})
            paths = [one["lock"]["resource_path"] for one in said if one["type"] == "lock"]
            self.assertEqual(paths[-1:], ["team/lock"])
            self.assertNotIn("private", json.dumps(said))
            self.assertEqual(named.ping(), [])
            said = bob.ping()
            self.assertEqual({one["type"] for one in said}, {"workunit", "context"})
            self.assertNotIn("team/", json.dumps(said))
            # The last that SSE has to say is ann's lock.
            heard = []
            while not heard or '"team/lock"' not in "".join(heard[-1].data):
                heard.append(stream.next())
            self.assertNotIn("private", "".join(data for event in heard for data in event.data))

    def test_history_from_the_disk_is_no_different(self):
        for number in range(200):
            self.post(f"{('team', 'private')[number % 2]}/disk", "x")
        for path in ("team/disk", "private/disk"):
            self.assertEqual(self.root.request("POST", "/locks", {"resource_path": path}).status, 200)
        # What was in memory is gone, and read from the store.
        self.assertEqual(self.server.terminate(), 0)
        self.server.start()
        for client in (self.root, self.ann, self.bob):
            client.close()
        with WebSocket(self.server.port, fields=fields("ann"), after="0", events="workunit,context,lock") as ann, \
                WebSocket(self.server.port, fields=fields("ann"), after="0", context="private/disk") as named:
            ann.subscribed()
            named.subscribed()
            last = self.post("team/disk", "last")["id"]
            said = []
            while not said or said[-1].get("work_unit", {}).get("id") != last:
                said.append(ann.json())
            self.assertEqual(sum(one["type"] == "workunit" and one["work_unit"]["context_id"] == "team/disk" for one in said), 101)
            self.assertIn("team/disk", [one["lock"]["resource_path"] for one in said if one["type"] == "lock"])
            self.assertNotIn("private", json.dumps(said))
            self.assertEqual(named.ping(), [])

    def test_publishes_need_what_posts_need(self):
        with WebSocket(self.server.port, fields=fields("ann")) as socket:
            socket.subscribed()
            for ref, context, agent in ((1, "private/1", "ann"), (2, "never/was", "ann"), (3, "team/1", "bob"),
                                        (4, "team/1", "ann"), (5, "team/1", None)):
                body = {"context_id": context, "type": "MESSAGE", "payload": "x"} | ({"agent_id": agent} if agent else {})
                socket.text({"type": "publish", "ref": ref, "work_unit": body})
            told = {}
            while len(told) < 5:
                message = socket.json()
                if message["type"] in ("ack", "error"):
                    told[message["ref"]] = message
            self.assertEqual([told[ref]["type"] for ref in (1, 2, 3, 4, 5)], ["error"] * 3 + ["ack"] * 2)
            self.assertEqual({told[ref]["code"] for ref in (1, 2, 3)}, {"permission_denied"})
            self.assertEqual(told[1]["detail"], told[2]["detail"])
            stored = self.ann.get("/workunit/" + told[5]["id"]).json()["work_unit"]
            self.assertEqual(stored["agent_id"], "ann")


class ChangeTests(Case):
    """Policies and credentials that change while streams are open. Each test puts back what it has changed."""

    def tearDown(self):
        self.server.reload()

    def test_a_new_policy_counts_from_the_next_event_on(self):
        with WebSocket(self.server.port, fields=fields("ann")) as socket, \
                Follower(self.server, fields=fields("ann")) as stream:
            socket.subscribed()
            stream.subscribed()
            first = self.post("team/1", "x")["id"]
            self.server.reload(team="other")
            self.post("team/1", "x")
            second = self.post("other/1", "x")["id"]
            self.assertEqual([one["work_unit"]["id"] for one in socket.ping()], [first, second])
            self.assertEqual([one["id"] for one in stream.units(2)], [first, second])
            # A subscription that is made now sees history with today's eyes.
            socket.text({"type": "subscribe", "after": "0"})
            socket.subscribed()
            self.assertEqual([one["work_unit"]["id"] for one in socket.ping()], [second])
            for ref, context in ((1, "team/1"), (2, "other/1")):
                socket.text({"type": "publish", "ref": ref, "work_unit": unit(context, "x", agent="ann")})
            told = [message for message in (socket.json() for _ in range(3)) if message["type"] in ("ack", "error")]
            self.assertEqual(sorted((message["ref"], message["type"]) for message in told), [(1, "error"), (2, "ack")])

    def test_a_token_that_is_taken_back_ends_its_streams(self):
        with WebSocket(self.server.port, fields=fields("ann")) as socket, \
                Follower(self.server, fields=fields("ann")) as stream, \
                WebSocket(self.server.port, fields=fields("bob")) as other:
            for one in (socket, stream, other):
                one.subscribed()
            self.server.reload(agents=("bob",))
            self.post("team/1", "x")
            self.assertEqual(socket.end(), 1008)
            self.assertIsNone(stream.next())
            self.post("private/1", "x")
            self.assertEqual(len(other.ping()), 1)
            self.assertEqual(self.ann.get("/contexts").status, 401)

    def test_a_stream_ends_with_its_token(self):
        ends = int(time.time()) + 4
        self.server.reload(ends={"ann": ends})
        with WebSocket(self.server.port, fields=fields("ann")) as socket, \
                Follower(self.server, fields=fields("ann")) as stream:
            socket.subscribed()
            stream.subscribed()
            self.assertEqual(socket.ping(), [])
            self.assertEqual(socket.end(), 1008)
            late = time.time() - ends
            self.assertIsNone(stream.next())
            self.assertTrue(-0.05 <= late < 1.5, f"{late} s after the token's end")
            self.assertEqual(self.ann.get("/contexts").status, 401)


if __name__ == "__main__":
    unittest.main()
