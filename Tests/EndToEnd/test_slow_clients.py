"""Clients that are slow on purpose: they are ended in time, hold no memory, and nobody else notices them."""

import json
import threading
import time
import unittest

from guarded import GuardedServer, bearer, token_of
from harness import Names, http_request, unit, until
from slow import SlowClients, latencies, percentile

TIMES = {"first_request_seconds": 2, "head_seconds": 2, "body_seconds": 2, "body_total_seconds": 5, "stall_seconds": 2,
         "idle_seconds": 3}


class TimeOuts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = GuardedServer({"limits": TIMES | {
            "body_bytes_per_second_min": 2000, "answer_bytes_per_second_min": 100_000, "answer_bytes_max": 48 << 20}})
        cls.context = Names.fresh()
        with cls.server.client() as client:
            for _ in range(4):
                batch = [unit(cls.context, "y" * 60_000) for _ in range(60)]
                assert client.post({"work_units": batch}, {"Prefer": "return=minimal"}, "/workunits").status == 201

    @classmethod
    def tearDownClass(cls):
        cls.server.discard()

    def ended(self, reason):
        return self.server.metric(f'engram_connections_timed_out_total{{reason="{reason}"}}') or 0

    def timed(self, body):
        begun = time.monotonic()
        body()
        return time.monotonic() - begun

    def test_who_says_nothing_is_closed(self):
        before = self.ended("silence")
        with self.server.raw() as raw:
            self.assertLess(self.timed(lambda: self.assertTrue(raw.ended(15))), 8)
        self.assertGreater(self.ended("silence"), before)

    def test_a_head_that_doesnt_end_is_a_408(self):
        with self.server.raw() as raw:
            raw.send(b"GET /contexts HTTP/1.1\r\nHo")
            begun = time.monotonic()
            answer = raw.answer()
            self.assertEqual(answer.status, 408)
            self.assertGreater(time.monotonic() - begun, 1.5)
            self.assertTrue(raw.ended())

    def test_a_head_byte_by_byte_is_no_better(self):
        with self.server.raw() as raw:
            raw.socket.settimeout(0.2)
            begun, told = time.monotonic(), b""
            for byte in b"GET /contexts HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200:
                raw.send(bytes([byte]))
                try:
                    told += raw.socket.recv(4096)
                    break
                except TimeoutError:
                    pass
            self.assertIn(b" 408 ", told)
            self.assertLess(time.monotonic() - begun, 8)

    def test_a_body_that_stops_or_crawls_is_a_408(self):
        for pause, reason in ((30, "body"), (0.3, "body_pace")):
            with self.subTest(reason):
                before = self.ended(reason)
                with self.server.raw() as raw:
                    raw.send(http_request("POST", "/workunit", fields=[
                        "Content-Type: application/json", "Content-Length: 100000"]) + b"{" * 10)
                    raw.socket.settimeout(pause)
                    told = b""
                    for _ in range(60):
                        try:
                            told = raw.socket.recv(4096)
                            break
                        except TimeoutError:
                            raw.send(b" " * 10)
                    self.assertIn(b" 408 ", told)
                self.assertGreater(self.ended(reason), before)

    def test_a_body_that_comes_slowly_but_comes_is_taken(self):
        body = json.dumps(unit(self.context + "-slow", "z" * 12_000)).encode()
        with self.server.raw() as raw:
            raw.send(http_request("POST", "/workunit", fields=[
                "Content-Type: application/json", f"Content-Length: {len(body)}"]))
            for start in range(0, len(body), 1500):
                raw.send(body[start:start + 1500])
                time.sleep(0.25)
            self.assertEqual(raw.answer().status, 201)

    def test_who_doesnt_read_is_cut_and_holds_nothing(self):
        before = self.ended("stall") + self.ended("answer_pace")
        slow = SlowClients(self.server.port, "read", 5, f"/workunits/{self.context}?limit=200").start()
        try:
            until(lambda: self.ended("stall") + self.ended("answer_pace") >= before + 5, seconds=40, what="five cuts")
        finally:
            slow.stop()
        until(lambda: self.server.metric("engram_answer_bytes") == 0, seconds=30, what="nothing that waits")

    def test_answers_that_nobody_reads_are_bounded_together(self):
        """Each asks for 12 MB and reads nothing: beyond 48 MiB that wait, large answers are refused, small ones not."""
        raws = []
        try:
            statuses = []
            for _ in range(12):
                raw = self.server.raw()
                raws.append(raw)
                raw.send(http_request("GET", f"/workunits/{self.context}?limit=200"))
                head = b""
                while b"\r\n" not in head:
                    head += raw.socket.recv(16)
                statuses.append(int(head[9:12]))
            self.assertIn(503, statuses)
            self.assertIn(200, statuses)
            with self.server.client() as client:
                self.assertEqual(client.get("/healthz").status, 200)
        finally:
            for raw in raws:
                raw.close()
        until(lambda: self.server.metric("engram_answer_bytes") == 0, seconds=30, what="nothing that waits")
        with self.server.client() as client:
            self.assertEqual(client.get(f"/workunits/{self.context}?limit=200").status, 200)


class OneLongTime(unittest.TestCase):
    """A head may take long, and nothing else: each of the others ends on time all the same."""

    def test_the_others_are_on_time(self):
        times = {key: 40 if key == "head_seconds" else 2 for key in TIMES}
        with GuardedServer({"limits": times}) as server:
            context = Names.fresh()
            with server.client() as client:
                for _ in range(4):
                    batch = [unit(context, "y" * 60_000) for _ in range(60)]
                    client.post({"work_units": batch}, {"Prefer": "return=minimal"}, "/workunits")
            asked = {
                "silence": b"", "idle": http_request("GET", "/version"),
                "body": http_request("POST", "/workunit", fields=["Content-Length: 99"]) + b"{",
                "stall": http_request("GET", f"/workunits/{context}?limit=240")}
            raws = {reason: server.raw().send(first) for reason, first in asked.items()}
            begun = time.monotonic()

            def all_ended():
                with server.client() as client:
                    told = client.get("/metrics").body.decode()
                return all(f'engram_connections_timed_out_total{{reason="{reason}"}} 1' in told for reason in asked)
            until(all_ended, seconds=15, what="an end of each")
            self.assertLess(time.monotonic() - begun, 5)
            for raw in raws.values():
                raw.close()


class Shares(unittest.TestCase):
    """Who doesn't read, with as many connections as it likes, keeps nobody else from large answers and from writing."""

    @classmethod
    def setUpClass(cls):
        cls.server = GuardedServer({"limits": {"answer_bytes_max": 32 << 20}}, agents=["greedy", "healthy"])
        cls.context = Names.fresh()
        cls.path = f"/workunits/{cls.context}?limit=200"
        with cls.server.of("healthy") as client:
            for _ in range(2):
                batch = [unit(cls.context, "y" * 60_000, agent="healthy") for _ in range(100)]
                assert client.post({"work_units": batch}, {"Prefer": "return=minimal"}, "/workunits").status == 201

    @classmethod
    def tearDownClass(cls):
        cls.server.discard()

    def fill(self, target, agent="greedy", count=12):
        """Connections that ask for much, and read a status line of it."""
        raws, statuses = [], []
        for _ in range(count):
            raw = self.server.raw()
            raws.append(raw)
            raw.send(http_request("GET", target, fields=[bearer(agent)]))
            head = b""
            while b"\r\n" not in head:
                head += raw.socket.recv(16)
            statuses.append(int(head[9:12]))
        return raws, statuses

    def test_another_agent_is_served(self):
        raws, statuses = self.fill(self.path)
        try:
            self.assertEqual(set(statuses), {200, 503})
            with self.server.of("healthy") as healthy, self.server.of("greedy") as greedy:
                self.assertEqual(greedy.get(self.path).status, 503)
                for _ in range(3):
                    self.assertEqual(healthy.get(self.path).status, 200)
                    batch = [unit(self.context + "-w", "y" * 15_000, agent="healthy") for _ in range(7)]
                    self.assertEqual(healthy.post({"work_units": batch}, path="/workunits").status, 201)
                # What is answered in a few words is no large answer, whoever asks.
                batch = [unit(self.context + "-g", "y" * 15_000, agent="greedy") for _ in range(7)]
                self.assertEqual(greedy.post({"work_units": batch}, path="/workunits").status, 503)
                brief = {"Prefer": "return=minimal"}
                self.assertEqual(greedy.post({"work_units": batch}, brief, "/workunits").status, 201)
        finally:
            for raw in raws:
                raw.close()
        until(lambda: self.server.metric("engram_answer_bytes", "healthy") == 0, seconds=30, what="nothing that waits")

    def test_small_answers_without_end_take_nothing_either(self):
        """Pipelined, on many connections, by somebody without a credential: the contract, then answers of a few bytes."""
        raws = [self.server.raw() for _ in range(60)]
        try:
            for raw in raws:
                raw.socket.settimeout(5)
                raw.send(http_request("GET", "/openapi.json") * 20)
            until(lambda: self.server.metric("engram_answer_bytes", "healthy") > 8 << 20, what="answers that wait")
            time.sleep(1)
            self.assertLess(self.server.metric("engram_answer_bytes", "healthy"), 24 << 20)
            with self.server.of("healthy") as healthy:
                self.assertEqual(healthy.get(self.path).status, 200)
        finally:
            for raw in raws:
                raw.close()


class Unlimited(unittest.TestCase):
    def test_zero_bytes_of_answers_are_no_limit(self):
        with GuardedServer({"limits": {"answer_bytes_max": 0}}) as server, server.client() as client:
            context = Names.fresh()
            batch = [unit(context, "y" * 30_000) for _ in range(10)]
            self.assertEqual(client.post({"work_units": batch}, path="/workunits").status, 201)
            self.assertEqual(client.get(f"/workunits/{context}").status, 200)


# What a busy machine may take by itself, for all but one in ten answers.
SLOW_SECONDS = 0.5


class Healthy(unittest.TestCase):
    """The figures are `Perf`'s (rows `slow-clients` and `fair`); here, that nothing is off by orders."""

    def test_healthy_clients_dont_notice_slow_ones(self):
        with GuardedServer({"limits": {"answer_bytes_max": 64 << 20}}) as server:
            context = Names.fresh()
            with server.client() as client:
                for _ in range(2):
                    batch = [unit(context, "y" * 30_000) for _ in range(60)]
                    client.post({"work_units": batch}, {"Prefer": "return=minimal"}, "/workunits")
            latencies(server.port, 1)
            alone = latencies(server.port, 3)
            memory = server.rss_bytes()
            kinds = [SlowClients(server.port, kind, 60, f"/workunits/{context}?limit=120").start()
                     for kind in ("head", "body", "read")]
            try:
                until(lambda: (server.metric("engram_connections_open") or 0) >= 150, what="the slow ones")
                time.sleep(1)
                beside = latencies(server.port, 4)
                self.assertLess(server.rss_bytes() - memory, 200 << 20)
            finally:
                for kind in kinds:
                    kind.stop()
            self.assertLess(percentile(beside, 0.9), max(6 * percentile(alone, 0.9), SLOW_SECONDS))

    def test_an_agent_at_its_limit_doesnt_slow_another(self):
        limits = {"agent_requests_per_second": 40, "agent_request_burst": 40}
        with GuardedServer({"limits": limits}, agents=["greedy", "healthy"]) as server:
            field = {"Authorization": f"Bearer {token_of('healthy')}"}
            alone = latencies(server.port, 3, field, pace=0.05)
            ending, statuses = threading.Event(), []

            def flood():
                with server.of("greedy") as greedy:
                    while not ending.is_set():
                        statuses.append(greedy.get("/contexts").status)
            threads = [threading.Thread(target=flood, daemon=True) for _ in range(2)]
            for thread in threads:
                thread.start()
            beside = latencies(server.port, 4, field, pace=0.05)
            ending.set()
            for thread in threads:
                thread.join(10)
            self.assertIn(429, statuses)
            self.assertLess(percentile(beside, 0.9), max(6 * percentile(alone, 0.9), SLOW_SECONDS))


if __name__ == "__main__":
    unittest.main()
