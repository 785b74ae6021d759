"""Locks that are waited for: in turn, never for ever, and never by somebody who is gone; and what followers see of it."""

import http.client
import signal
import socket
import threading
import time

from harness import Names, Options, Server, http_request, several_files
from locks import Waiting, acquire, gone, held, holder, lock_path, moment, release, settled, text_of
from test_locks import LockSuite
from test_stream import Follower
from websocket import WebSocket

AGENT_LOCKS = 100


class InTurn(LockSuite):
    def test_six_in_order(self):
        first = held(self.client, "ann", self.path())
        waiters = [self.waiting(f"waiter-{n}", self.path()) for n in range(6)]
        self.assertHeld(acquire(self.client, "eve", self.path()), "ann")
        self.assertEqual(release(self.client, "ann", self.path()).status, 200)
        tokens = [first["token"]]
        for n, waiter in enumerate(waiters):
            lock = waiter.granted()
            self.assertEqual(lock["holder_agent"], f"waiter-{n}")
            tokens.append(lock["token"])
            self.assertFalse(any(other.is_answered() for other in waiters[n + 1:]))
            self.assertHeld(acquire(self.client, "eve", self.path()), f"waiter-{n}")
            self.assertEqual(release(self.client, f"waiter-{n}", self.path()).status, 200)
        self.assertEqual(tokens, sorted(set(tokens)))
        self.assertIsNone(holder(self.client, self.path()))

    def test_who_does_not_wait_never_overtakes(self):
        """Free, but an earlier request names it: that one has it first."""
        held(self.client, "ann", self.path("a"))
        both = self.waiting("bob", self.path("b"), self.path("a"))
        self.assertProblem(acquire(self.client, "eve", self.path("b")), 409, "lock_held")
        self.assertIsNone(holder(self.client, self.path("b")))
        behind = self.waiting("eve", self.path("b"))
        apart = held(self.client, "eve", self.path("c"))
        release(self.client, "ann", self.path("a"))
        locks = both.granted()
        self.assertEqual([lock["resource_path"] for lock in locks], [self.path("b"), self.path("a")])
        self.assertFalse(behind.is_answered())
        release(self.client, "bob", self.path("b"))
        self.assertGreater(behind.granted()["token"], apart["token"])

    def test_a_wait_that_ends(self):
        held(self.client, "ann", self.path())
        begun = time.monotonic()
        first, second = self.waiting("bob", self.path(), wait=0.5), self.waiting("eve", self.path(), wait=60)
        answer = first.answer()
        self.assertGreaterEqual(time.monotonic() - begun, 0.5)
        self.assertHeld(answer, "ann")
        release(self.client, "ann", self.path())
        self.assertEqual(second.granted()["holder_agent"], "eve")

    def test_the_head_of_the_line_gives_up(self):
        """Who waits behind one that waits for more is served once that one has gone."""
        held(self.client, "ann", self.path("a"))
        both = self.waiting("bob", self.path("a"), self.path("b"), wait=0.5)
        behind = self.waiting("eve", self.path("b"), wait=60)
        self.assertProblem(both.answer(), 409, "lock_held")
        self.assertEqual(behind.granted()["resource_path"], self.path("b"))

    def test_a_waiter_whose_connection_is_cut_is_forgotten(self):
        with Follower(self.server, events="lock", lock=self.base) as follower:
            follower.subscribed()
            held(self.client, "ann", self.path())
            cut, left = self.waiting("bob", self.path()), self.waiting("eve", self.path())
            cut.cut()
            settled(self.server)
            release(self.client, "ann", self.path())
            self.assertEqual(left.granted()["holder_agent"], "eve")
            seen = [follower.next().json() for _ in range(3)]
            self.assertEqual(
                [(event["action"], event["lock"]["holder_agent"]) for event in seen],
                [("acquired", "ann"), ("released", "ann"), ("acquired", "eve")])

    def test_a_grant_whose_connection_is_gone_is_released(self):
        """Ended at about the moment of the grant: the lock is held if that was answered, and else free, and soon."""
        for n in range(300 if Options.full else 40):
            path = self.path(f"{n}")
            held(self.client, "ann", path)
            waiter = Waiting(self.server, "bob", path, ttl_seconds=3600)
            if n % 2:
                time.sleep(0.001 * (n % 7))
            freed = http_request("DELETE", f"{lock_path(path)}?agent_id=ann")
            if n % 4 < 2:
                with self.server.raw() as other:
                    other.send(freed)
                    time.sleep(0.0001 * (n % 5))
                    waiter.wire.socket.shutdown(socket.SHUT_WR)
                    self.assertEqual(other.answer().status, 200)
                answer = waiter.wire.answer()
                if answer is not None and answer.status == 200:
                    self.assertEqual(holder(self.client, path), "bob")
                    release(self.client, "bob", path)
                    continue
            else:
                waiter.cut()
                release(self.client, "ann", path)
            self.assertEqual(held(self.client, "eve", path, wait_seconds=30)["holder_agent"], "eve")
            release(self.client, "eve", path)
            waiter.cut()

    def test_a_request_that_does_not_wait_is_served_though_its_sender_is_gone(self):
        """A client that sends and closes may hold a lock nobody knows of: it is released, or expires."""
        for n in range(20):
            path = self.path(f"{n}")
            Waiting(self.server, "bob", path, wait=0, ttl_seconds=2).cut()
            self.assertEqual(held(self.client, "eve", path, wait_seconds=30)["holder_agent"], "eve")
            release(self.client, "eve", path)


class Crowds(LockSuite):
    loops = 1

    @classmethod
    def setUpClass(cls):
        several_files()
        super().setUpClass()

    def test_thousands_that_wait_keep_nobody_from_being_answered(self):
        """More requests wait than a loop has buffers to receive into."""
        held(self.client, "ann", self.path())
        crowd = []
        try:
            for n in range(2500):
                crowd.append(Waiting(self.server, f"crowd-{n}", self.path(), wait=120))
            settled(self.server)
            self.assertEqual(self.client.get("/healthz").status, 200)
            with self.server.client() as other:
                self.assertEqual(holder(other, self.path()), "ann")
            release(self.client, "ann", self.path())
            for n in range(20):
                lock = crowd[n].granted()
                self.assertEqual((lock["holder_agent"], lock["token"] > 0), (f"crowd-{n}", True))
                release(self.client, f"crowd-{n}", self.path())
        finally:
            for waiter in crowd:
                waiter.cut()

    def test_a_waiter_whose_end_could_not_be_seen_waits_no_more(self):
        """Who sends more than the server reads ahead behind a request that waits: the end would lie behind that."""
        held(self.client, "ann", self.path())
        waiter = self.waiting("bob", self.path(), ttl_seconds=3600, wait=120)
        waiter.wire.send(http_request("GET", "/healthz") * 5000)
        self.assertProblem(waiter.answer(), 503, "unavailable")
        self.assertEqual(waiter.wire.answer().status, 200)
        release(self.client, "ann", self.path())
        self.assertIsNone(holder(self.client, self.path()))
        waiter.cut()


class Deadlocks(LockSuite):
    def assertDeadlock(self, answer, *agents):
        self.assertProblem(answer, 409, "deadlock")
        self.assertIn("cycle", answer.json())
        for agent in agents:
            self.assertIn(agent, text_of(answer))

    def test_two(self):
        held(self.client, "ann", self.path("a"))
        held(self.client, "bob", self.path("b"))
        ann = self.waiting("ann", self.path("b"))
        self.assertDeadlock(acquire(self.client, "bob", self.path("a"), wait_seconds=60), "ann", "bob")
        with self.subTest("without waiting it is only held"):
            self.assertHeld(acquire(self.client, "bob", self.path("a")), "ann", self.path("a"))
        self.assertEqual(holder(self.client, self.path("b")), "bob")
        release(self.client, "bob", self.path("b"))
        self.assertEqual(ann.granted()["holder_agent"], "ann")

    def test_a_ring(self):
        agents = [f"{self.base}-{n}" for n in range(8)]
        for n, agent in enumerate(agents):
            held(self.client, agent, self.path(f"{n}"))
        waiters = [self.waiting(agent, self.path(f"{n + 1}")) for n, agent in enumerate(agents[:-1])]
        self.assertDeadlock(acquire(self.client, agents[-1], self.path("0"), wait_seconds=60), *agents)
        release(self.client, agents[-1], self.path("7"))
        for n in range(6, -1, -1):
            waiters[n].granted()
            release(self.client, agents[n], self.path(f"{n}"))

    def test_through_who_waits_before(self):
        """bob waits for b behind ann, who waits for what bob holds: no lock of ann's is needed for the cycle."""
        held(self.client, "bob", self.path("a"))
        held(self.client, "eve", self.path("b"))
        self.waiting("ann", self.path("a"), self.path("b"))
        self.assertDeadlock(acquire(self.client, "bob", self.path("b"), wait_seconds=60), "ann", "bob")

    def test_an_end_of_a_wait_breaks_it(self):
        held(self.client, "ann", self.path("a"))
        held(self.client, "bob", self.path("b"))
        ann = self.waiting("ann", self.path("b"), wait=0.3)
        self.assertHeld(ann.answer(), "bob", self.path("b"))
        bob = self.waiting("bob", self.path("a"))
        release(self.client, "ann", self.path("a"))
        self.assertEqual(bob.granted()["holder_agent"], "bob")


class Caps(LockSuite):
    def test_a_hundred_locks(self):
        agent = self.base
        for n in range(3):
            held(self.client, agent, *(self.path(f"{n}/{k}") for k in range(32)))
        answer = acquire(self.client, agent, *(self.path(f"x/{k}") for k in range(5)))
        self.assertProblem(answer, 429, "rate_limited")
        self.assertIn("retry-after", answer.headers)
        held(self.client, agent, *(self.path(f"x/{k}") for k in range(4)))
        self.assertProblem(acquire(self.client, agent, self.path("one more")), 429, "rate_limited")
        self.assertEqual(acquire(self.client, agent, self.path("0/0")).status, 200, "it has that one")
        held(self.client, agent + "-other", self.path("one more"))
        release(self.client, agent, self.path("x/0"))
        held(self.client, agent, self.path("x/9"))

    def test_a_hundred_waits(self):
        agent, other = self.base, self.base + "-other"
        names = [self.path(f"{n}") for n in range(AGENT_LOCKS)]
        for n in range(0, AGENT_LOCKS, 25):
            held(self.client, other, *names[n:n + 25])
        held(self.client, other + "-2", self.path("more"))
        waiters = [Waiting(self.server, agent, *names[n:n + 25]) for n in range(0, AGENT_LOCKS, 25)]
        settled(self.server)
        self.assertProblem(acquire(self.client, agent, self.path("more"), wait_seconds=30), 429, "rate_limited")
        for waiter in waiters:
            waiter.cut()
        settled(self.server)
        last = self.waiting(agent, self.path("more"))
        release(self.client, other + "-2", self.path("more"))
        last.granted()


class Events(LockSuite):
    def lock_events(self, path):
        """Takes a lock through all of its life; returns what followers are to see of it: action and agent."""
        lock = held(self.client, "ann", path, ttl_seconds=60, metadata={"k": "v"})
        self.client.request("PUT", lock_path(path), {"lock_id": lock["lock_id"], "ttl_seconds": 600})
        release(self.client, "ann", path)
        held(self.client, "bob", path)
        release(self.client, "eve", path, force="true")
        held(self.client, "eve", path, ttl_seconds=0.2)
        gone(self.client, path)
        return [("acquired", "ann"), ("renewed", "ann"), ("released", "ann"), ("acquired", "bob"), ("released", "bob"),
                ("acquired", "eve"), ("expired", "eve")]

    def test_on_both_kinds_of_stream(self):
        with Follower(self.server, events="lock", lock=self.base) as events, \
                Follower(self.server, context="other", events="workunit,lock", lock="/" + self.base) as mixed, \
                Follower(self.server) as plain, \
                WebSocket(self.server.port, events=["lock"], lock=self.base) as wire:
            for follower in (events, mixed, plain, wire):
                follower.subscribed()
            held(self.client, "ann", Names.fresh("elsewhere"))
            expected = self.lock_events(self.path())
            seen = [events.next() for _ in expected]
            self.assertEqual([event.name for event in seen], ["lock"] * len(expected))
            data = [event.json() for event in seen]
            self.assertEqual([(one["action"], one["lock"]["holder_agent"]) for one in data], expected)
            self.assertEqual([mixed.next().json() for _ in expected], data, "locks ignore `context`")
            cursors = [int(event.id) for event in seen]
            self.assertEqual(cursors, sorted(set(cursors)))
            for event, one in zip(seen, data):
                self.assertEqual(set(one), {"action", "lock"})
                self.assertEqual(one["lock"]["resource_path"], self.path())
                message = wire.expect("lock")
                self.assertEqual(message, {"type": "lock", "cursor": event.id} | one)
                if one["action"] == "acquired":
                    self.assertEqual(one["lock"]["token"], int(event.id), "the token is the grant's place in the log")
            self.assertGreater(moment(data[1]["lock"]["expires_at"]), moment(data[0]["lock"]["expires_at"]) + 500)
            self.assertTrue(plain.quiet())
        with Follower(self.server, events="lock", lock=self.base, after=0) as late:
            late.subscribed()
            self.assertEqual([late.next().json() for _ in expected], data, "the past, too")

    def test_expired_is_told_without_traffic(self):
        with Follower(self.server, events="lock", lock=self.base) as follower:
            follower.subscribed()
            begun = time.monotonic()
            lock = held(self.client, "ann", self.path(), ttl_seconds=0.5)
            self.assertEqual(follower.next().json()["action"], "acquired")
            event = follower.next().json()
            self.assertGreaterEqual(time.monotonic() - begun, 0.5)
            self.assertEqual((event["action"], event["lock"]["lock_id"]), ("expired", lock["lock_id"]))
            self.assertIsNone(holder(self.client, self.path()))

    def test_a_websocket_changes_its_mind(self):
        with WebSocket(self.server.port, context="nothing") as wire:
            wire.subscribed()
            held(self.client, "ann", self.path("unseen"))
            wire.text({"type": "subscribe", "contexts": ["nothing"], "events": ["lock"], "lock": self.base})
            wire.subscribed()
            lock = held(self.client, "ann", self.path())
            self.assertEqual(wire.expect("lock")["lock"], lock)
            wire.text({"type": "subscribe", "contexts": ["nothing"]})
            wire.subscribed()
            release(self.client, "ann", self.path())
            self.assertEqual(wire.ping(), [])

    def test_a_follower_sees_only_what_is_durable(self):
        """What a follower was told holds after a crash."""
        with Server(loops=2) as server:
            for turn in range(3):
                path = f"told/{turn}"
                with Follower(server, events="lock", lock="told") as follower, server.client() as client:
                    follower.subscribed()
                    waiter = Waiting(server, "ann", path, wait=0, ttl_seconds=300)
                    told = follower.next().json()["lock"]
                    server.kill()
                    waiter.cut()
                server.start()
                with server.client() as client:
                    found = client.get(lock_path(path)).json()["lock"]
                    self.assertEqual(
                        (found["lock_id"], found["token"], found["holder_agent"]),
                        (told["lock_id"], told["token"], "ann"))


class Restarts(LockSuite):
    """Each test has a server of its own."""

    @classmethod
    def setUpClass(cls):
        pass

    def setUp(self):
        pass

    def test_every_live_lock_has_its_full_time_again(self):
        for end in ("kill", "terminate", "kill") if Options.full else ("kill",):
            with Server(loops=2) as server:
                with server.client() as client:
                    ttls = {f"ttl/{ttl}": ttl for ttl in (2.5, 30, 3600)}
                    locks = {path: held(client, "ann", path, ttl_seconds=ttl) for path, ttl in ttls.items()}
                    held(client, "ann", "released")
                    release(client, "ann", "released")
                    held(client, "ann", "expired", ttl_seconds=0.1)
                    gone(client, "expired")
                waiter = Waiting(server, "eve", "ttl/3600")
                settled(server)
                getattr(server, end)()
                # The shortest would have run out by now, had the server gone on.
                time.sleep(2.5)
                begun = time.time()
                server.start()
                with server.client() as client:
                    asked = time.time()
                    found = {path: client.get(lock_path(path)).json().get("lock") for path in locks}
                    listed = [lock["resource_path"] for lock in client.get("/locks").json()["locks"]]
                    if time.time() - begun < 2.4:
                        self.assertEqual(listed, sorted(locks))
                    for path, lock in locks.items():
                        if found[path] is None:
                            self.assertGreater(time.time() - begun, 2.4, f"{path} is gone before its time")
                            continue
                        self.assertEqual(found[path]["token"], lock["token"])
                        self.assertEqual(found[path]["lock_id"], lock["lock_id"])
                        self.assertGreaterEqual(moment(found[path]["expires_at"]), begun + ttls[path] - 0.01, path)
                        self.assertLess(moment(found[path]["expires_at"]), asked + ttls[path] + 0.5)
                    self.assertEqual(held(client, "bob", "released")["holder_agent"], "bob")
                    gone(client, "ttl/2.5")
                    self.assertGreaterEqual(time.time() - begun, 2.5)
                    renewed = client.request(
                        "PUT", lock_path("ttl/30"), {"lock_id": locks["ttl/30"]["lock_id"], "ttl_seconds": 600})
                    self.assertEqual(renewed.status, 200, renewed)
                    # Whoever waited is forgotten with the connection.
                    release(client, "ann", "ttl/3600")
                    self.assertIsNone(holder(client, "ttl/3600"))
                waiter.cut()

    def test_an_expiry_that_was_told_stays_so(self):
        """What expired before a kill does not come back with a full time."""
        with Server(loops=2) as server, server.client() as client:
            for n in range(10):
                held(client, "ann", f"short/{n}", ttl_seconds=0.1)
            for n in range(10):
                gone(client, f"short/{n}")
            server.kill()
            server.start()
            with server.client() as again:
                self.assertEqual(again.get("/locks").json()["locks"], [])

    def test_shutdown_answers_who_waits(self):
        with Server(loops=2) as server, server.client() as client:
            held(client, "ann", "a", "b", "c")
            waiters = [Waiting(server, f"waiter-{n}", "abc"[n % 3]) for n in range(20)]
            settled(server)
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            for waiter in waiters:
                answer = waiter.answer()
                self.assertEqual((answer.status, answer.json()["code"]), (503, "unavailable"), answer)
                self.assertIn("retry-after", answer.headers)
            self.assertEqual(server.process.wait(20), 0)
            self.assertLess(time.monotonic() - begun, 10)

    def test_killed_under_races(self):
        """What was granted or released and answered is so after a kill; nobody holds what somebody else was granted."""
        with Server(loops=2) as server:
            tokens = []
            for turn in range(10 if Options.full else 2):
                known = self.under_kill(server, 0.2 + 0.1 * (turn % 4), turn)
                server.start()
                with server.client() as client:
                    listed = {lock["resource_path"]: lock for lock in client.get("/locks?limit=1000").json()["locks"]}
                    for path, (answered, in_flight) in known.items():
                        found = listed.get(path, {}).get("holder_agent")
                        self.assertIn(found, {answered, in_flight}, f"{path}: {answered}, {in_flight}")
                    tokens += sorted(lock["token"] for lock in listed.values())
                    for path in listed:
                        client.request("DELETE", lock_path(path) + "?force=true")
            self.assertEqual(tokens, sorted(set(tokens)))

    def under_kill(self, server, seconds, turn):
        """Agents that take and let go, each of its own path, until a kill: path to (holder answered, holder in flight)."""
        known = {}

        def work(n):
            path, agent = f"race/{turn}/{n}", f"worker-{n}"
            known[path] = (None, None)
            try:
                with server.client() as client:
                    while True:
                        known[path] = (None, agent)
                        held(client, agent, path, ttl_seconds=300)
                        known[path] = (agent, None)
                        release(client, agent, path)
            except (OSError, http.client.HTTPException):
                pass

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        server.kill()
        for thread in threads:
            thread.join()
        return known
