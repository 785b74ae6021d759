"""Following live over Server-Sent Events: every event once, in order, also across a break."""

import json
import select
import socket
import threading
import time
import unittest
import urllib.parse

from harness import ANSWER_SECONDS, Names, Options, Server, unit, until

PATHS = ("/stream", "/stream/sse", "/stream-sse")


class Event:
    """One dispatched event. `fields` keeps the names of its lines, in order."""

    def __init__(self):
        self.name, self.data, self.id, self.retry, self.fields = "message", [], None, None, []

    def json(self):
        return json.loads("\n".join(self.data))


class Follower:
    """An EventSource in a few lines (WHATWG HTML, section 9.2.6). Reads only when asked."""

    def __init__(self, server, path="/stream", last_event_id=None, timeout=ANSWER_SECONDS, receive_bytes=None,
                 fields=None, **query):
        self.socket, self.timeout = socket.socket(), timeout
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", server.port))
        target = path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", "Accept: text/event-stream"]
        lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
        if last_event_id is not None:
            lines.append(f"Last-Event-ID: {last_event_id}")
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        self.buffer, self.body, self.ended, self.chunked = b"", b"", False, False
        self.last_id, self.retry = None, None
        while b"\r\n\r\n" not in self.buffer:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise AssertionError(f"the stream ended in its head: {self.buffer!r}")
            self.buffer += chunk
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self._unframe()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _unframe(self):
        """Moves what has arrived from `buffer` (with chunk framing, if any) to `body`."""
        if not self.chunked:
            self.body, self.buffer = self.body + self.buffer, b""
            return
        while (end := self.buffer.find(b"\r\n")) >= 0:
            size = int(self.buffer[:end].split(b";")[0], 16)
            if len(self.buffer) < end + 2 + size + 2:
                return
            self.body += self.buffer[end + 2:end + 2 + size]
            self.buffer = self.buffer[end + 2 + size + 2:]
            if size == 0:
                self.ended = True
                return

    def _more(self, deadline=None):
        """Receives once. Without a unit the stream still says something every 15 s, so that a wait needs a deadline."""
        left = self.timeout if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise AssertionError(f"no event within {self.timeout} s, although the stream is alive")
        self.socket.settimeout(left)
        try:
            chunk = self.socket.recv(1 << 18)
        except TimeoutError:
            raise AssertionError(f"nothing to hear within {self.timeout} s") from None
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            self.ended = True
            return
        self.buffer += chunk
        self._unframe()

    def rest(self):
        """The body of an answer that is no stream."""
        length = int(self.headers.get("content-length", -1))
        while not self.ended and (length < 0 or len(self.body) < length):
            self._more()
        return self.body

    def next(self):
        """The next dispatched event, or None when the stream ended. Comments and bare ids are taken in silently."""
        event, deadline = Event(), time.monotonic() + self.timeout
        while True:
            while (end := self.body.find(b"\n")) < 0:
                if self.ended:
                    return None
                self._more(deadline)
            line, self.body = self.body[:end].rstrip(b"\r").decode("utf-8"), self.body[end + 1:]
            if line == "":
                if event.data:
                    event.id = self.last_id
                    return event
                event = Event()
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            event.fields.append(name)
            if name == "event":
                event.name = value
            elif name == "data":
                event.data.append(value)
            elif name == "id":
                self.last_id = value
            elif name == "retry":
                self.retry = int(value)

    def subscribed(self):
        event = self.next()
        if event is None or event.name != "subscribed":
            raise AssertionError(f"expected `subscribed`, got {event and event.name}: status {self.status}")
        return event

    def units(self, count):
        """The next `count` units; a stream that ends earlier, or sends something else, is a failure."""
        units = []
        while len(units) < count:
            event = self.next()
            if event is None:
                raise AssertionError(f"the stream ended after {len(units)} of {count} units")
            if event.name != "workunit":
                raise AssertionError(f"unexpected event {event.name}: {event.data}")
            one = event.json()
            if event.id != str(one["position"]):
                raise AssertionError(f"id {event.id} with position {one['position']}")
            units.append(one)
        return units

    def quiet(self, seconds=0.3):
        """True when nothing but comments has arrived by the end of this time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                self._more()
                if self.ended:
                    return False
        return not any(line.startswith(b"data:") for line in self.body.split(b"\n"))


class StreamSuite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)
        self.context = Names.fresh("stream")

    def follow(self, **options):
        follower = Follower(self.server, **options)
        self.addCleanup(follower.close)
        return follower

    def live(self, **options):
        follower = self.follow(**options)
        self.assertEqual(follower.status, 200, follower.headers)
        follower.subscribed()
        return follower

    def post(self, count, context=None, start=0, **more):
        return [
            self.client.create(unit(context or self.context, f"event {n}", **more)) for n in range(start, start + count)]


class Following(StreamSuite):
    def test_three_paths_one_stream(self):
        for path in PATHS + tuple("/v1" + path for path in PATHS):
            with self.subTest(path), self.follow(path=path, context=self.context) as follower:
                self.assertEqual(follower.status, 200)
                self.assertTrue(follower.headers["content-type"].startswith("text/event-stream"), follower.headers)
                self.assertEqual(follower.headers["cache-control"], "no-store")
                self.assertEqual(follower.headers["x-accel-buffering"], "no")
                first = follower.subscribed()
                self.assertEqual(follower.retry, 1000)
                said = first.json()
                self.assertEqual(said["contexts"], [self.context])
                self.assertEqual(first.id, str(said["position"]))
                [made] = self.post(1)
                self.assertGreater(made["position"], said["position"])
                self.assertEqual(follower.units(1), [made])

    def test_without_after_it_starts_now(self):
        self.post(5)
        follower = self.live(context=self.context)
        made = self.post(3, start=5)
        self.assertEqual(follower.units(3), made)

    def test_subscribed_names_the_head(self):
        [made] = self.post(1)
        self.assertGreaterEqual(self.follow().subscribed().json()["position"], made["position"])

    def test_after_catches_up_then_goes_live(self):
        made = self.post(20)
        follower = self.live(context=self.context, after=made[4]["position"])
        self.assertEqual(follower.units(15), made[5:])
        more = self.post(5, start=20)
        self.assertEqual(follower.units(5), more)

    def test_after_zero_is_the_start(self):
        made = self.post(7)
        self.assertEqual(self.live(context=self.context, after=0).units(7), made)

    def test_last_event_id_beats_after(self):
        made = self.post(10)
        follower = self.live(context=self.context, after=0, last_event_id=made[6]["position"])
        self.assertEqual(follower.units(3), made[7:])

    def test_contexts_filter(self):
        other, third = Names.fresh("other"), Names.fresh("third")
        one = self.live(context=self.context)
        two = self.live(context=[self.context, other])
        every = self.live()
        made = []
        for _ in range(5):
            made += self.post(1) + self.post(1, other) + self.post(1, third)
        self.assertEqual(one.units(5), made[0::3])
        self.assertEqual(two.units(10), [item for item in made if item["context_id"] != third])
        self.assertEqual(every.units(15), made)
        self.assertTrue(one.quiet())

    def test_type_and_agent_filter(self):
        kinds = self.live(context=self.context, type=["ERROR", "SYSTEM"])
        agents = self.live(context=self.context, agent="bob")
        made = self.post(1, kind="MESSAGE") + self.post(1, kind="ERROR", agent="bob") + self.post(1, kind="SYSTEM")
        self.assertEqual(kinds.units(2), made[1:])
        self.assertEqual(agents.units(1), made[1:2])

    def test_bad_requests(self):
        for query in (
                {"after": "x"}, {"after": "-1"}, {"type": "NOTHING"}, {"events": "everything"}, {"events": "workunit,"},
                {"events": ""}, {"lock": "a\x01"}, {"lock": "x" * 1025}, {"lock": ["a", "b"]}, {"colour": "red"},
                {"context": [f"c{n}" for n in range(257)]}, {"agent": [f"a{n}" for n in range(257)]}):
            with self.subTest(str(query)):
                follower = self.follow(**query)
                self.assertEqual(follower.status, 400, follower.headers)
                self.assertIn(next(iter(query)), follower.rest().decode())

    def test_a_cursor_above_the_head_is_gone(self):
        [made] = self.post(1)
        for options in ({"after": made["position"] + 10_000_000}, {"last_event_id": made["position"] + 10_000_000}):
            with self.subTest(str(options)):
                follower = self.follow(context=self.context, **options)
                self.assertEqual(follower.status, 410)
                self.assertEqual(json.loads(follower.rest())["code"], "gone")

    def test_the_head_itself_is_no_gap(self):
        position = self.follow().subscribed().json()["position"]
        follower = self.live(context=self.context, after=position)
        made = self.post(2)
        self.assertEqual(follower.units(2), made)

    def test_events_of_contexts(self):
        """Each change of a followed context, with the context after it; units only if they are asked for too."""
        only = self.live(context=self.context, events="context")
        both = self.live(context=self.context, events=["workunit", "context"])
        other = self.live(context=Names.fresh("other"), events="workunit,context")
        made = self.post(1, agent="anna") + self.post(2, agent="bob") + self.post(1, agent="anna")
        changes = [only.next() for _ in range(2)]
        self.assertEqual([event.name for event in changes], ["context", "context"])
        self.assertEqual([event.json()["agent_ids"] for event in changes], [["anna"], ["anna", "bob"]])
        self.assertEqual({event.json()["id"] for event in changes}, {self.context})
        seen = [both.next() for _ in range(6)]
        self.assertEqual([int(event.id) for event in seen], sorted(int(event.id) for event in seen))
        self.assertEqual([event.json() for event in seen if event.name == "workunit"], made)
        self.assertEqual([event.id for event in seen if event.name == "context"], [event.id for event in changes])
        self.assertTrue(only.quiet() and other.quiet())
        # History has them too: what comes late is what came live.
        late = self.live(context=self.context, events="workunit,context", after=0)
        again = [late.next() for _ in range(6)]
        self.assertEqual([(event.name, event.id, event.data) for event in again],
                         [(event.name, event.id, event.data) for event in seen])

    def test_filters_of_units_leave_other_events_alone(self):
        follower = self.live(context=self.context, events="workunit,context", type="ERROR", agent="bob")
        self.post(1, agent="anna") + self.post(1, agent="bob")
        [made] = self.post(1, agent="bob", kind="ERROR")
        seen = [follower.next() for _ in range(3)]
        self.assertEqual([event.name for event in seen], ["context", "context", "workunit"])
        self.assertEqual(seen[2].json(), made)

    def test_odd_payloads_stay_one_line(self):
        follower = self.live(context=self.context)
        for text in ("a\nb", "a\r\nb", "data: x\n\nevent: y", "\u2028", "🦊", "\x00"):
            made = self.client.create(unit(self.context, text))
            self.assertEqual(follower.units(1), [made])
            self.assertEqual(made["payload"], text)

    def test_durable_then_visible(self):
        """An event is never seen by a follower that a reader doesn't see too."""
        follower = self.live(context=self.context)
        writer = threading.Thread(target=self.post, args=(50,))
        writer.start()
        with self.server.client() as reader:
            for _ in range(50):
                [seen] = follower.units(1)
                answer = reader.get(f"/workunit/{seen['id']}")
                self.assertEqual((answer.status, answer.json().get("work_unit")), (200, seen))
        writer.join()

    def test_large_units(self):
        follower = self.live(context=self.context)
        made = [self.client.create(unit(self.context, "z" * size)) for size in (100_000, 1_500_000, 4_000_000)]
        self.assertEqual(follower.units(3), made)


class UnderLoad(StreamSuite):
    def load(self, writers, each, contexts):
        """Posts from several connections at once; returns a function that waits and gives all units by position."""
        made, broken, lock = [], [], threading.Lock()

        def write(number):
            try:
                with self.server.client() as client:
                    for n in range(each):
                        one = client.create(unit(contexts[n % len(contexts)], f"{number}/{n}"))
                        with lock:
                            made.append(one)
            except Exception as error:
                broken.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()

        def finish():
            for thread in threads:
                thread.join()
            if broken:
                raise AssertionError(f"a writer failed: {broken[0]}")
            return sorted(made, key=lambda item: item["position"])

        return finish

    def assertSame(self, seen, made):
        """Compares by position first, so that a failure says what is missing, twice, or out of order."""
        positions = [item["position"] for item in seen]
        self.assertEqual(positions, sorted(positions), "out of order")
        self.assertEqual(len(set(positions)), len(positions), "twice")
        expected = [item["position"] for item in made]
        self.assertEqual(set(expected) - set(positions), set(), "missing")
        self.assertEqual(seen, made)

    def test_catching_up_joins_live_without_a_seam(self):
        total = 8000 if Options.full else 2000
        finish = self.load(4, total // 4, [self.context])
        followers = []
        for _ in range(10):
            followers.append(self.live(context=self.context, after=0))
            time.sleep(0.01)
        made = finish()
        for follower in followers:
            self.assertSame(follower.units(total), made)

    def test_resume_again_and_again(self):
        total = 6000 if Options.full else 1500
        finish = self.load(3, total // 3, [self.context, Names.fresh("noise")])
        half = [0]
        seen, cursor = [], 0
        mine = total // 2
        while len(seen) < mine:
            with self.follow(path=PATHS[half[0] % 3], context=self.context, last_event_id=cursor) as follower:
                follower.subscribed()
                seen += follower.units(min(37 + half[0] % 90, mine - len(seen)))
                cursor = follower.last_id
            half[0] += 1
        made = [item for item in finish() if item["context_id"] == self.context]
        self.assertSame(seen, made)
        self.assertGreater(half[0], 5)

    def test_many_followers_see_the_same(self):
        total = 1000
        followers = [self.live(context=self.context) for _ in range(40)]
        received = [None] * len(followers)

        def read(index):
            try:
                received[index] = followers[index].units(total)
            except (AssertionError, OSError) as error:
                received[index] = error

        readers = [threading.Thread(target=read, args=(index,)) for index in range(len(followers))]
        for reader in readers:
            reader.start()
        made = self.load(4, total // 4, [self.context])()
        for reader in readers:
            reader.join()
        for seen in received:
            if isinstance(seen, Exception):
                raise AssertionError(f"a follower failed: {seen}")
            self.assertSame(seen, made)

    def test_a_slow_follower_holds_nobody_up_and_misses_nothing(self):
        slow = self.live(context=self.context, receive_bytes=4096)
        fast = self.live(context=self.context)
        made = [self.client.create(unit(self.context, f"{n}:" + "s" * 100_000)) for n in range(80)]
        self.assertSame(fast.units(80), made)
        self.assertSame(slow.units(80), made)
        more = self.post(3)
        self.assertSame(slow.units(3), more)

    def test_a_follower_that_reads_nothing_is_let_go(self):
        """After 30 s; in the full run only. The end of the stream is all that it can be told."""
        if not Options.full:
            return
        stalled = self.live(context=self.context, receive_bytes=4096)
        fast = self.live(context=self.context)
        made = [self.client.create(unit(self.context, f"{n}:" + "s" * 100_000)) for n in range(120)]
        self.assertSame(fast.units(120), made)
        line = 'engram_streams_closed_total{reason="stalled"} 1'
        until(lambda: line in self.client.get("/metrics").body.decode().split("\n"), 60, "the follower is given up")
        seen = []
        while (event := stalled.next()) is not None:
            seen.append(event.json())
        self.assertTrue(stalled.ended)
        self.assertSame(seen, made[:len(seen)])
        self.assertLess(len(seen), 120)
        with self.follow(context=self.context, last_event_id=seen[-1]["position"]) as again:
            again.subscribed()
            self.assertSame(seen + again.units(120 - len(seen)), made)

    def test_followers_that_vanish(self):
        for _ in range(50):
            self.live(context=self.context).close()
        follower = self.live(context=self.context)
        made = self.post(20)
        self.assertEqual(follower.units(20), made)


class Restarts(unittest.TestCase):
    def test_resume_across_a_crash(self):
        """Every acknowledged unit reaches a follower that resumes with its last id, once, in order."""
        context = Names.fresh("crash")
        with Server(loops=2) as server:
            seen, acknowledged = [], []
            for turn in range(3):
                follower = Follower(server, context=context, last_event_id=seen[-1]["position"] if seen else 0)
                follower.subscribed()
                with server.client() as client:
                    for n in range(100):
                        acknowledged.append(client.create(unit(context, f"{turn}/{n}")))
                seen += follower.units(60)
                server.kill()
                follower.close()
                server.start()
            with Follower(server, context=context, last_event_id=seen[-1]["position"]) as follower:
                follower.subscribed()
                seen += follower.units(len(acknowledged) - len(seen))
            self.assertEqual(seen, acknowledged)

    def test_shutdown_ends_the_streams(self):
        with Server(loops=2) as server:
            followers = [Follower(server) for _ in range(20)]
            for follower in followers:
                follower.subscribed()
            self.assertEqual(server.terminate(), 0)
            for follower in followers:
                self.assertIsNone(follower.next())
                follower.close()

    def test_quiet_is_not_idle(self):
        """Sent every 15 s: a comment and a bare id; in the full run only, because it takes that long."""
        if not Options.full:
            return
        with Server(loops=1) as server, Follower(server, timeout=30) as follower:
            follower.subscribed()
            before = follower.last_id
            until(lambda: (follower._more() or b":" in follower.body), 25, "a sign of life")
            self.assertIn(b"id:", follower.body)
            with server.client() as client:
                made = client.create(unit("c", "x"))
            self.assertEqual(follower.units(1), [made])
            self.assertIsNotNone(before)
