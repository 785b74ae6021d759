"""Locks over HTTP: one holder, in turn, for no longer than was said, and tokens that only grow."""

import threading
import time
import unittest

from harness import Names, Options, Server, quoted, unit, until
from locks import Racers, Waiting, acquire, gone, held, holder, lock_path, moment, release, settled, text_of


class LockSuite(unittest.TestCase):
    loops = 2

    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=cls.loops)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.client = self.server.client(60)
        self.addCleanup(lambda: self.client.close())
        self.base = Names.fresh("locks")

    def path(self, name="a"):
        return f"{self.base}/{name}"

    def waiting(self, agent, *paths, **more):
        one = Waiting(self.server, agent, *paths, **more)
        self.addCleanup(one.cut)
        settled(self.server)
        return one

    def assertProblem(self, answer, status, code):
        self.assertEqual((answer.status, answer.json().get("code")), (status, code), answer)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")

    def assertHeld(self, answer, by, path=None):
        """409, by whom and until when."""
        self.assertProblem(answer, 409, "lock_held")
        problem = answer.json()
        self.assertEqual(problem["holder_agent"], by)
        now = self.client.get(lock_path(path or self.path())).json()["lock"]
        self.assertEqual(problem["expires_at"], now["expires_at"])


class Acquiring(LockSuite):
    def test_one_lock(self):
        before = time.time()
        answer = acquire(self.client, "ann", self.path(), ttl_seconds=30, metadata={"why": "é"})
        self.assertEqual((answer.status, list(answer.json())), (200, ["lock"]), answer)
        lock = answer.json()["lock"]
        self.assertEqual(
            set(lock), {"resource_path", "holder_agent", "lock_id", "token", "acquired_at", "expires_at", "metadata"})
        self.assertEqual((lock["resource_path"], lock["holder_agent"], lock["metadata"]), (self.path(), "ann", {"why": "é"}))
        self.assertAlmostEqual(moment(lock["expires_at"]) - moment(lock["acquired_at"]), 30, places=3)
        self.assertGreater(moment(lock["expires_at"]), before + 29.9)
        self.assertIsInstance(lock["token"], int)
        found = self.client.get(lock_path(self.path()))
        self.assertEqual((found.status, found.json()), (200, {"lock": lock}))
        self.assertEqual(self.client.get("/v1" + lock_path(self.path())).json(), {"lock": lock})
        self.assertHeld(acquire(self.client, "bob", self.path()), "ann")
        self.assertEqual(holder(self.client, self.path()), "ann")

    def test_what_is_not_said(self):
        lock = held(self.client, "ann", self.path())
        self.assertAlmostEqual(moment(lock["expires_at"]) - moment(lock["acquired_at"]), 60, places=3)
        self.assertEqual(lock["metadata"], {})

    def test_who_is_asking(self):
        named = {"resource_path": self.path()}
        answer = self.client.request("POST", "/locks", named, {"X-Agent-ID": "ann"})
        self.assertEqual((answer.status, answer.json()["lock"]["holder_agent"]), (200, "ann"))
        self.assertProblem(self.client.request("POST", "/locks", named), 400, "invalid_request")
        self.assertProblem(
            self.client.request("POST", "/locks", named | {"agent_id": "bob"}, {"X-Agent-ID": "ann"}), 400, "invalid_request")

    def test_again_by_the_same_agent(self):
        first = held(self.client, "ann", self.path(), ttl_seconds=100)
        shorter = held(self.client, "ann", self.path(), ttl_seconds=10)
        longer = held(self.client, "ann", self.path(), ttl_seconds=1000)
        for again in (shorter, longer):
            for same in ("lock_id", "token", "holder_agent", "resource_path"):
                self.assertEqual(again[same], first[same])
        self.assertEqual(shorter["expires_at"], first["expires_at"], "the later of old and new")
        self.assertGreater(moment(longer["expires_at"]), moment(first["expires_at"]) + 890)

    def test_several_all_or_none_in_the_order_asked(self):
        names = [self.path(name) for name in ("m", "c", "x", "a")]
        locks = held(self.client, "ann", *names)
        self.assertEqual([lock["resource_path"] for lock in locks], names)
        self.assertEqual(len({lock["token"] for lock in locks}), 4)
        self.assertEqual(len({lock["lock_id"] for lock in locks}), 4)
        answer = acquire(self.client, "bob", self.path("free"), self.path("c"), self.path("also free"))
        self.assertHeld(answer, "ann", self.path("c"))
        for name in ("free", "also free"):
            self.assertIsNone(holder(self.client, self.path(name)))
        again = held(self.client, "ann", self.path("a"), self.path("new"))
        self.assertEqual(again[0]["token"], locks[3]["token"])
        self.assertGreater(again[1]["token"], max(lock["token"] for lock in locks))
        one = self.client.request("POST", "/locks", {"resource_paths": [self.path("single")], "agent_id": "ann"})
        self.assertEqual((one.status, [lock["resource_path"] for lock in one.json()["locks"]]), (200, [self.path("single")]))
        most = [self.path(f"many/{n}") for n in range(32)]
        self.assertEqual([lock["resource_path"] for lock in held(self.client, "eve", *reversed(most))], most[::-1])

    def test_bad_requests(self):
        good = {"resource_path": self.path(), "agent_id": "ann"}
        for change, pointer in (
                ({"resource_path": None}, "/resource_path"), ({"resource_paths": [self.path()]}, None),
                ({"ttl_seconds": 0.05}, "/ttl_seconds"), ({"ttl_seconds": 86401}, "/ttl_seconds"), ({"ttl_seconds": -1}, "/ttl_seconds"),
                ({"ttl_seconds": 0}, "/ttl_seconds"), ({"ttl_seconds": "60"}, "/ttl_seconds"), ({"ttl_seconds": 1e300}, "/ttl_seconds"),
                ({"wait_seconds": -1}, "/wait_seconds"), ({"wait_seconds": 301}, "/wait_seconds"), ({"wait_seconds": []}, "/wait_seconds"),
                ({"metadata": []}, "/metadata"), ({"metadata": {"a": 1}}, "/metadata/a"), ({"agent_id": ""}, "/agent_id"),
                ({"metadata": {f"{n}": "" for n in range(65)}}, "/metadata"), ({"colour": "red"}, "/colour"),
                ({"agent_id": "a" * 257}, "/agent_id")):
            with self.subTest(str(change)[:60]):
                answer = self.client.request("POST", "/locks", good | change)
                self.assertProblem(answer, 400, "invalid_request")
                if pointer:
                    self.assertEqual(answer.pointers(), [pointer])
        for paths in ([], [self.path(f"{n}") for n in range(33)], "a", [1]):
            answer = self.client.request("POST", "/locks", {"resource_paths": paths, "agent_id": "ann"})
            self.assertProblem(answer, 400, "invalid_request")
        self.assertProblem(self.client.request("POST", "/locks", {"agent_id": "ann"}), 400, "invalid_request")
        self.assertProblem(self.client.request("POST", "/locks", "{"), 400, "invalid_request")
        self.assertIsNone(holder(self.client, self.path()))
        for edge in ({"ttl_seconds": 0.1}, {"ttl_seconds": 86400}, {"wait_seconds": 300}, {"wait_seconds": 0}, {"ttl_seconds": 1.5}):
            self.assertEqual(self.client.request("POST", "/locks", good | edge).status, 200, edge)

    def test_methods(self):
        for method, path in (("PUT", "/locks"), ("DELETE", "/locks"), ("POST", lock_path("a")), ("PATCH", lock_path("a"))):
            answer = self.client.request(method, path, {})
            self.assertEqual(answer.status, 405, answer)
            self.assertIn("GET", answer.headers["allow"])


class Paths(LockSuite):
    def test_one_lock_by_any_spelling(self):
        first = held(self.client, "ann", "/" + self.path("a b/é"))
        self.assertEqual(first["resource_path"], self.path("a b/é"))
        self.assertEqual(held(self.client, "ann", self.path("a b/é"))["lock_id"], first["lock_id"])
        self.assertHeld(acquire(self.client, "bob", self.path("a b/é")), "ann", self.path("a b/é"))
        first = self.client.get(lock_path(self.path("a b/é"))).json()["lock"]
        plain = quoted(self.path("a b/é")).replace("%2F", "/")
        for spelling in (plain, quoted(self.path("a b/é")), quoted("/" + self.path("a b/é")), plain.replace("a%20b", "%61%20b")):
            answer = self.client.get("/locks/" + spelling)
            self.assertEqual((answer.status, answer.json().get("lock")), (200, first), spelling)
        with self.subTest("two slashes in the URL: the lock, or an error"):
            self.assertIn(self.client.get("/locks//" + plain).status, (200, 400))

    def test_encoded_once(self):
        held(self.client, "ann", self.path("x%2Fy"))
        self.assertEqual(holder(self.client, self.path("x%2Fy")), "ann")
        self.assertIsNone(holder(self.client, self.path("x/y")))

    def test_what_is_no_path(self):
        for wrong in ("", "/", "a//b", "a/", "/a/", "a/./b", "a/../b", ".", "..", "../a", "a/..", "//a", "a\u0001b", "a/\n", "p" * 1025):
            with self.subTest(repr(wrong)[:40]):
                for request in ({"resource_path": wrong}, {"resource_paths": [self.path(), wrong]}):
                    answer = self.client.request("POST", "/locks", request | {"agent_id": "ann"})
                    self.assertProblem(answer, 400, "invalid_request")
        for wrong in ("a//b", "a/", "a/../b", "a/./b", "%2e%2e", "a%2F%2Fb", "a%2F", "%ff", "a%00b", "%", "%zz"):
            with self.subTest(wrong):
                for method, query, sent in (("GET", "", None), ("DELETE", "?agent_id=ann", None),
                                            ("PUT", "", {"lock_id": "x", "ttl_seconds": 5})):
                    self.assertEqual(self.client.request(method, f"/locks/{wrong}{query}", sent).status, 400, method)
        self.assertIsNone(holder(self.client, self.path()))
        longest = (self.base + "/").ljust(1024, "p")
        self.assertEqual(held(self.client, "ann", longest)["resource_path"], longest)

    def test_a_path_named_twice_is_never_two_locks(self):
        answer = acquire(self.client, "ann", self.path(), "/" + self.path())
        if answer.status == 200:
            self.assertEqual(len({lock["lock_id"] for lock in answer.json()["locks"]}), 1)
        else:
            self.assertProblem(answer, 400, "invalid_request")

    def test_lists(self):
        names = [self.path(f"{kind}/{n}") for kind in ("a", "ab", "b", "é") for n in range(6)]
        # An agent of the suite may hold a hundred at most.
        for n, name in enumerate(names):
            held(self.client, f"{self.base}-{n % 3}", name)
        in_order = sorted(names, key=str.encode)

        def walk(**query):
            found, cursor = [], None
            while cursor != "":
                more = "".join(f"&{name}={quoted(str(value))}" for name, value in query.items())
                answer = self.client.get(f"/locks?{more[1:]}" + (f"&cursor={quoted(cursor)}" if cursor else ""))
                self.assertEqual((answer.status, list(answer.json())), (200, ["locks", "next_cursor"]), answer)
                self.assertLessEqual(len(answer.json()["locks"]), query.get("limit", 100))
                found += answer.json()["locks"]
                cursor = answer.json()["next_cursor"]
            return [lock["resource_path"] for lock in found]

        for limit in (1, 5, 24, 1000):
            self.assertEqual(walk(prefix=self.base + "/", limit=limit), in_order)
            self.assertEqual(walk(prefix=self.path("a"), limit=limit), [name for name in in_order if name.startswith(self.path("a"))])
            for n in range(3):
                mine = {name for k, name in enumerate(names) if k % 3 == n}
                self.assertEqual(walk(agent_id=f"{self.base}-{n}", limit=limit), [name for name in in_order if name in mine])
                self.assertEqual(
                    walk(agent_id=f"{self.base}-{n}", prefix=self.path("b/"), limit=limit),
                    [name for name in in_order if name in mine and name.startswith(self.path("b/"))])
        self.assertEqual(walk(prefix=self.path("nothing")), [])
        release(self.client, f"{self.base}-0", names[0])
        self.assertEqual(walk(prefix=self.base + "/"), [name for name in in_order if name != names[0]])
        for wrong in ("limit=0", "limit=1001", "colour=red", "cursor=x", "agent_id="):
            self.assertProblem(self.client.get("/locks?" + wrong), 400, "invalid_request")


    def test_pages_of_the_longest_paths(self):
        names = [f"{self.base}/{n}/".ljust(1024, "p") for n in range(5)]
        for name in names:
            held(self.client, "ann", name)
        listed, cursor = [], ""
        while True:
            answer = self.client.get(f"/locks?prefix={quoted(self.base)}&limit=2&cursor={cursor}")
            self.assertEqual(answer.status, 200, answer)
            listed += [lock["resource_path"] for lock in answer.json()["locks"]]
            cursor = answer.json()["next_cursor"]
            if not cursor:
                break
        self.assertEqual(listed, names)


class Letting(LockSuite):
    """Renewal, release, expiry."""

    def renew(self, path, lock_id, ttl=60, headers=None, **more):
        return self.client.request("PUT", lock_path(path), {"lock_id": lock_id, "ttl_seconds": ttl} | more, headers)

    def test_renewal(self):
        lock = held(self.client, "ann", self.path(), ttl_seconds=20)
        for headers, more in (({}, {}), ({"X-Agent-ID": "ann"}, {})):
            answer = self.renew(self.path(), lock["lock_id"], 500, headers, **more)
            self.assertEqual((answer.status, list(answer.json())), (200, ["lock"]), answer)
            renewed = answer.json()["lock"]
            self.assertEqual({**renewed, "expires_at": ""}, {**lock, "expires_at": ""})
            self.assertGreater(moment(renewed["expires_at"]), moment(lock["expires_at"]) + 400)
        self.assertEqual(self.client.get(lock_path(self.path())).json()["lock"], renewed)
        other = held(self.client, "ann", self.path("other"))
        self.assertProblem(self.renew(self.path(), other["lock_id"]), 409, "lock_not_held")
        self.assertProblem(self.renew(self.path(), lock["lock_id"], headers={"X-Agent-ID": "bob"}), 409, "lock_not_held")
        self.assertProblem(self.renew(self.path("none"), lock["lock_id"]), 409, "lock_not_held")
        for wrong in ({"lock_id": "x", "ttl_seconds": 5}, {"ttl_seconds": 5}, {"lock_id": lock["lock_id"], "ttl_seconds": 0},
                      {"lock_id": lock["lock_id"], "ttl_seconds": 5, "colour": "red"}, {}):
            self.assertProblem(self.client.request("PUT", lock_path(self.path()), wrong), 400, "invalid_request")
        self.assertEqual(self.client.get(lock_path(self.path())).json()["lock"], renewed)
        release(self.client, "ann", self.path())
        self.assertProblem(self.renew(self.path(), lock["lock_id"]), 409, "lock_not_held")
        held(self.client, "ann", self.path())
        self.assertProblem(self.renew(self.path(), lock["lock_id"]), 409, "lock_not_held")

    def test_release(self):
        lock = held(self.client, "ann", self.path())
        other = held(self.client, "ann", self.path("other"))
        for answer in (
                release(self.client, "bob", self.path()), release(self.client, "ann", self.path(), lock_id=other["lock_id"]),
                release(self.client, "bob", self.path(), lock_id=lock["lock_id"])):
            self.assertEqual(answer.status, 409, answer)
            self.assertEqual(self.client.get(lock_path(self.path())).json()["lock"], lock)
        self.assertProblem(self.client.request("DELETE", lock_path(self.path())), 400, "invalid_request")
        self.assertProblem(self.client.request("DELETE", lock_path(self.path()) + "?agent_id=ann&colour=red"), 400, "invalid_request")
        self.assertEqual(holder(self.client, self.path()), "ann")
        answer = release(self.client, "ann", self.path(), lock_id=lock["lock_id"])
        self.assertEqual((answer.status, answer.json().get("released")), (200, True), answer)
        self.assertIsNone(holder(self.client, self.path()))
        self.assertProblem(release(self.client, "ann", self.path()), 404, "not_found")
        answer = self.client.request("DELETE", lock_path(self.path("other")), headers={"X-Agent-ID": "ann"})
        self.assertEqual(answer.status, 200, answer)
        again = held(self.client, "bob", self.path())
        self.assertGreater(again["token"], lock["token"])
        self.assertNotEqual(again["lock_id"], lock["lock_id"])

    def test_force(self):
        held(self.client, "ann", self.path())
        answer = self.client.request("DELETE", lock_path(self.path()) + "?force=true")
        self.assertEqual((answer.status, answer.json()["released"]), (200, True), answer)
        self.assertIn("ann", text_of(answer), "it says whose")
        self.assertIsNone(holder(self.client, self.path()))
        self.assertProblem(self.client.request("DELETE", lock_path(self.path()) + "?force=true"), 404, "not_found")
        held(self.client, "ann", self.path())
        self.assertEqual(release(self.client, "bob", self.path(), force="false").status, 409)
        self.assertEqual(release(self.client, "bob", self.path(), force="perhaps").status, 400)
        waiter = self.waiting("eve", self.path())
        self.assertEqual(release(self.client, "bob", self.path(), force="true").status, 200)
        self.assertEqual(waiter.granted()["holder_agent"], "eve")

    def test_expiry_needs_no_traffic(self):
        """Nobody asks: the next in line has it as soon as the time is over, not before."""
        begun = time.monotonic()
        first = held(self.client, "ann", self.path(), ttl_seconds=0.7)
        waiter = self.waiting("bob", self.path())
        lock = waiter.granted()
        self.assertGreaterEqual(time.monotonic() - begun, 0.7)
        self.assertGreater(lock["token"], first["token"])
        self.assertGreaterEqual(moment(lock["acquired_at"]), moment(first["expires_at"]) - 0.001)

    def test_what_has_expired_is_gone_at_once(self):
        """At no moment does anybody see a lock whose time is over, or lose one whose time is not."""
        for n in range(20 if Options.full else 5):
            path, begun = self.path(f"{n}"), time.monotonic()
            lock = held(self.client, "ann", path, ttl_seconds=0.15)
            taken = time.monotonic()
            while True:
                asked = time.monotonic()
                answer = acquire(self.client, "bob", path)
                now = time.monotonic()
                if answer.status == 200:
                    self.assertGreaterEqual(now - begun, 0.15, "taken before its time was over")
                    break
                self.assertLess(asked - taken, 0.15, "held longer than it was said")
            self.assertGreater(answer.json()["lock"]["token"], lock["token"])
            self.assertProblem(self.renew(path, lock["lock_id"]), 409, "lock_not_held")
            self.assertEqual(release(self.client, "ann", path).status, 409)

    def test_expired_locks_are_in_no_list(self):
        held(self.client, "ann", self.path(), ttl_seconds=0.2)
        gone(self.client, self.path())
        self.assertEqual(self.client.get(f"/locks?prefix={quoted(self.base)}").json()["locks"], [])
        self.assertProblem(self.client.get(lock_path(self.path())), 404, "not_found")
        self.assertProblem(release(self.client, "ann", self.path()), 404, "not_found")


class Fences(LockSuite):
    def append(self, lock_or_token, path=None, client=None, **more):
        token = lock_or_token["token"] if isinstance(lock_or_token, dict) else lock_or_token
        fence = {"resource_path": path or self.path(), "token": token}
        return (client or self.client).post(unit(self.base, "guarded", fence=fence, **more))

    def test_stale_and_fresh(self):
        first = held(self.client, "ann", self.path())
        self.assertEqual(self.append(first).status, 201)
        self.assertEqual(self.append(first, "/" + self.path()).status, 201)
        self.assertProblem(self.append(first["token"] + 1), 409, "fence_rejected")
        self.assertProblem(self.append(first, self.path("other")), 409, "fence_rejected")
        release(self.client, "ann", self.path())
        self.assertProblem(self.append(first), 409, "fence_rejected")
        second = held(self.client, "bob", self.path())
        self.assertProblem(self.append(first), 409, "fence_rejected")
        self.assertEqual(self.append(second).status, 201)
        short = held(self.client, "ann", self.path("short"), ttl_seconds=0.2)
        self.assertEqual(self.append(short, self.path("short")).status, 201)
        gone(self.client, self.path("short"))
        self.assertProblem(self.append(short, self.path("short")), 409, "fence_rejected")
        units = self.client.all_units(self.base)
        self.assertEqual([one["sequence"] for one in units], [1, 2, 3, 4])

    def test_batches(self):
        lock = held(self.client, "ann", self.path())
        fence = {"resource_path": self.path(), "token": lock["token"]}
        good = [unit(self.base, f"{n}", fence=fence) for n in range(5)]
        bad = good[:3] + [unit(self.base, "x", fence=fence | {"token": lock["token"] + 1})]
        self.assertProblem(self.client.post(bad, path="/workunits"), 409, "fence_rejected")
        self.assertEqual(self.client.all_units(self.base), [])
        self.assertEqual(self.client.post(good, path="/workunits").status, 201)

    def test_a_crash_changes_nothing(self):
        with Server(loops=2) as server:
            tokens, client = [], server.client()
            for turn in range(5 if Options.full else 2):
                stale = held(client, "ann", self.path())
                release(client, "ann", self.path())
                fresh = held(client, "ann", self.path(), ttl_seconds=120)
                tokens += [stale["token"], fresh["token"]]
                server.kill()
                server.start()
                client = server.client()
                self.assertEqual(self.append(fresh, client=client).status, 201)
                self.assertProblem(self.append(stale, client=client), 409, "fence_rejected")
                again = held(client, "ann", self.path())
                self.assertEqual((again["lock_id"], again["token"]), (fresh["lock_id"], fresh["token"]))
                release(client, "ann", self.path())
            self.assertEqual(tokens, sorted(set(tokens)), "tokens only grow, also over restarts")

    def test_the_stale_holder_never_writes_after_the_next_one(self):
        """A holder that goes on after its time, racing with the next: its last unit precedes the grant of the next."""
        for n in range(20 if Options.full else 4):
            path, over = self.path(f"{n}"), threading.Event()
            old = held(self.client, "ann", path, ttl_seconds=0.1)
            accepted = []

            def write():
                with self.server.client() as client:
                    while not over.is_set():
                        answer = self.append(old, path, client)
                        if answer.status == 201:
                            accepted.append(answer.json()["work_unit"]["position"])

            writer = threading.Thread(target=write)
            writer.start()
            try:
                until(lambda: acquire(self.client, "bob", path).status == 200, what="the lock is free")
                token = held(self.client, "bob", path)["token"]
                for _ in range(20):
                    self.assertEqual(self.append(token, path).status, 201)
            finally:
                over.set()
                writer.join()
            self.assertLess(max(accepted, default=0), token)


class Races(LockSuite):
    def test_thirty_two_for_one(self):
        rounds = 1000 if Options.full else 20
        racers, tokens = Racers(self.server, 32), []
        self.addCleanup(racers.close)
        for number in range(rounds):
            answers = racers.round(lambda client, n: acquire(client, f"racer-{n}", self.path(), ttl_seconds=300))
            winners = [n for n, answer in enumerate(answers) if answer.status == 200]
            self.assertEqual(len(winners), 1, f"round {number}: {winners}")
            for answer in answers:
                if answer.status != 200:
                    self.assertProblem(answer, 409, "lock_held")
                    self.assertEqual(answer.json()["holder_agent"], f"racer-{winners[0]}")
            tokens.append(answers[winners[0]].json()["lock"]["token"])
            self.assertEqual(release(self.client, f"racer-{winners[0]}", self.path()).status, 200)
        self.assertEqual(tokens, sorted(set(tokens)))

    def test_thirty_two_in_turn(self):
        """All wait, each has it once; never two at a time."""
        racers, inside, most = Racers(self.server, 32), [0], [0]
        self.addCleanup(racers.close)
        guard = threading.Lock()

        def enter(client, n):
            lock = held(client, f"racer-{n}", self.path(), wait_seconds=120, ttl_seconds=300)
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            with guard:
                inside[0] -= 1
            self.assertEqual(release(client, f"racer-{n}", self.path(), lock_id=lock["lock_id"]).status, 200)
            return lock["token"]

        for _ in range(50 if Options.full else 5):
            tokens = racers.round(enter)
            self.assertEqual(len(set(tokens)), 32)
        self.assertEqual(most, [1])

    def test_crossed_requests_never_stand_still(self):
        """Several paths in any order, by many at once: everybody gets all of theirs in the end."""
        racers, names = Racers(self.server, 12), [self.path(f"{n}") for n in range(5)]
        self.addCleanup(racers.close)
        owner, guard = {}, threading.Lock()

        def enter(client, n):
            for step in range(20 if Options.full else 5):
                mine = [names[(n * 7 + step * 3 + k * (1 + n % 4)) % 5] for k in range(3)]
                mine = list(dict.fromkeys(mine))
                answer = self.take(client, f"racer-{n}", mine)
                with guard:
                    for name in mine:
                        self.assertIsNone(owner.get(name), f"{name} has two holders")
                        owner[name] = n
                with guard:
                    for name in mine:
                        owner[name] = None
                for name in mine:
                    self.assertEqual(release(client, f"racer-{n}", name).status, 200, answer)

        racers.round(enter)

    def take(self, client, agent, paths):
        answer = client.request(
            "POST", "/locks", {"resource_paths": paths, "agent_id": agent, "wait_seconds": 120, "ttl_seconds": 300})
        self.assertEqual(answer.status, 200, answer)
        return answer


class RacesOnOneLoop(Races):
    loops = 1
