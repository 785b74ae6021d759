"""Rates and caps: what is refused, with what answer, and whom it doesn't touch."""

import json
import time
import unittest

from guarded import GuardedServer, bearer, rate_fields, token_of
from harness import Names, Raw, http_request, unit, until
from websocket import WebSocket


def open_stream(server, agent=None, path="/stream/sse"):
    raw = server.raw()
    raw.send(http_request("GET", path, fields=[bearer(agent)] if agent else []))
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = raw.socket.recv(4096)
        if not chunk:
            break
        head += chunk
    return raw, int(head[9:12] or 0) if head else 0


class AgentRates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = GuardedServer({"limits": {
            "agent_requests_per_second": 4, "agent_request_burst": 12, "agent_publishes_per_second": 2,
            "agent_publish_burst": 5, "agent_searches_per_second": 1, "agent_search_burst": 2,
            "agent_bytes_per_second": 1000, "agent_byte_burst": 20_000}}, agents=[
                "anna", "ben", "carl", "dora", "emil", "frida", "gerd", "hans", "ines", "jana", "kurt"])

    @classmethod
    def tearDownClass(cls):
        cls.server.discard()

    def refused(self, answer, kind, scope="agent"):
        self.assertEqual(answer.status, 429, answer)
        self.assertEqual(answer.json()["code"], "rate_limited")
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        told = rate_fields(answer)[f"{scope}-{kind}"]
        self.assertLessEqual(told["r"], told["q"])
        return int(answer.headers["retry-after"])

    def test_a_burst_then_429_then_again(self):
        with self.server.of("anna") as anna, self.server.of("ben") as ben:
            for left in range(11, -1, -1):
                answer = anna.get("/contexts")
                self.assertEqual(answer.status, 200)
                told = rate_fields(answer)["agent-requests"]
                self.assertEqual((told["q"], told["w"]), (12, 3))
                self.assertGreaterEqual(told["r"], left)
            answer = anna.get("/contexts")
            while answer.status == 200:
                answer = anna.get("/contexts")
            seconds = self.refused(answer, "requests")
            # Another agent isn't touched, and the connection of this one lives.
            self.assertEqual(ben.get("/contexts").status, 200)
            time.sleep(seconds)
            self.assertEqual(anna.get("/contexts").status, 200)

    def test_connections_of_one_agent_share_its_bucket(self):
        answers = []
        for _ in range(20):
            with self.server.of("carl") as client:
                answers.append(client.get("/contexts").status)
        self.assertEqual(set(answers), {200, 429})
        self.assertLessEqual(answers.count(200), 16)

    def test_each_unit_of_a_batch_counts(self):
        context = Names.fresh()
        with self.server.of("dora") as dora:
            batch = [unit(context, agent="dora") for _ in range(4)]
            answer = dora.post({"work_units": batch}, path="/workunits")
            self.assertEqual(answer.status, 201, answer)
            self.assertLessEqual(rate_fields(answer)["agent-publishes"]["r"], 2)
            self.refused(dora.post({"work_units": batch}, path="/workunits"), "publishes")
            self.assertEqual(len(dora.all_units(context)), 4)
            # One that has more units than the bucket holds passes when it is full.
            time.sleep(3)
            many = [unit(context, agent="dora") for _ in range(8)]
            self.assertEqual(dora.post({"work_units": many}, path="/workunits").status, 201)
            # And leaves a debt.
            seconds = self.refused(dora.post(unit(context, agent="dora")), "publishes")
            self.assertGreaterEqual(seconds, 2)

    def test_searches_have_a_bucket_of_their_own(self):
        with self.server.of("emil") as emil:
            answers = [emil.post({"query": "x"}, path="/search") for _ in range(4)]
            self.assertEqual(answers[0].status, 200)
            self.refused(answers[-1], "searches")
            self.assertEqual(emil.get("/contexts").status, 200)

    def test_a_body_that_is_too_much_is_refused_before_it_comes(self):
        head = http_request("POST", "/workunit", fields=[
            bearer("frida"), "Content-Type: application/json", "Content-Length: 100000"])
        with self.server.raw() as raw:
            # As large as it likes while the bucket is full; then it is in debt.
            raw.send(head + b"{" + b" " * 99_999)
            self.assertEqual(raw.answer().status, 400)
        with self.server.raw() as raw:
            begun = time.monotonic()
            raw.send(http_request("POST", "/workunit", fields=[
                bearer("frida"), "Content-Type: application/json", "Content-Length: 15000", "Expect: 100-continue"]))
            answer = raw.answer()
            self.refused(answer, "bytes")
            self.assertGreater(int(answer.headers["retry-after"]), 10)
            self.assertLess(time.monotonic() - begun, 5)
            self.assertTrue(raw.ended())

    def test_chunks_count_once_they_have_come(self):
        with self.server.raw() as raw:
            chunk = b"3e80\r\n" + b" " * 16000 + b"\r\n"
            raw.send(http_request("POST", "/workunit", fields=[bearer("gerd"), "Transfer-Encoding: chunked"]) + chunk * 2)
            raw.send(b"0\r\n\r\n")
            self.assertEqual(raw.answer().status, 400)
            raw.send(http_request("POST", "/workunit", {"a": 1}, fields=[bearer("gerd")]))
            self.refused(raw.answer(), "bytes")

    def test_chunks_are_refused_for_the_debt_of_earlier_ones(self):
        chunk = b"7530\r\n" + b" " * 30000 + b"\r\n"
        head = http_request("POST", "/workunit", fields=[bearer("ines"), "Transfer-Encoding: chunked"])
        with self.server.raw() as raw:
            # It never ends, and counts all the same.
            raw.send(head + chunk)
            until(lambda: self.server.metric("engram_body_bytes", "jana") > 0)
        with self.server.raw() as raw:
            raw.send(head + chunk + b"0\r\n\r\n")
            self.refused(raw.answer(), "bytes")

    def test_messages_that_cannot_be_read_count_and_then_end_the_connection(self):
        with WebSocket(self.server.port, fields={"Authorization": f"Bearer {token_of('kurt')}"}) as ws:
            for number in range(100):
                ws.text({"type": "publish", "ref": f"r{number}", "work_unit": {"type": 99, "payload": "x" * 100}})
            codes = []
            while (event := ws.json()) is not None:
                if event["type"] == "error":
                    codes.append(event["code"])
            self.assertEqual(ws.closing.code, 1008)
            self.assertEqual(set(codes), {"invalid_request"})
            self.assertIn(len(codes), range(10, 20))

    def test_publishes_over_websocket_count_and_the_connection_lives(self):
        context = Names.fresh()
        with WebSocket(self.server.port, fields={"Authorization": f"Bearer {token_of('hans')}"}, context=context) as ws:
            self.assertEqual(ws.json()["type"], "subscribed")
            for number in range(12):
                ws.text({"type": "publish", "ref": f"r{number}", "work_unit": unit(context, agent="hans")})
            told = [event for event in (ws.json() for _ in range(17)) if event["type"] != "workunit"]
            acks = [event["ref"] for event in told if event["type"] == "ack"]
            errors = [event for event in told if event["type"] == "error"]
            self.assertEqual({event["code"] for event in errors}, {"rate_limited"})
            self.assertEqual(sorted(acks + [event["ref"] for event in errors]), sorted(f"r{n}" for n in range(12)))
            self.assertIn(len(acks), (5, 6, 7))
            ws.text({"type": "ping"})
            self.assertEqual(ws.json()["type"], "pong")


class AddressRates(unittest.TestCase):
    def test_without_authentication_addresses_are_counted(self):
        with GuardedServer({"limits": {"address_requests_per_second": 2, "address_request_burst": 5}}) as server:
            statuses = []
            for agent in range(12):
                with server.client() as client:
                    # The name is free to choose: another one has no bucket of its own.
                    statuses.append(client.get("/contexts", {"X-Agent-ID": f"agent-{agent}"}).status)
            self.assertIn(statuses.count(200), (5, 6, 7))
            with server.client() as client:
                answer = client.get("/contexts")
                self.assertEqual(answer.status, 429)
                self.assertIn("address-requests", rate_fields(answer))
                # An orchestrator's probes are answered always.
                for path in ("/livez", "/readyz", "/healthz"):
                    self.assertEqual(client.get(path).status, 200)
                # But only probes: what else is asked for there counts.
                self.assertEqual(client.post({}, path="/livez").status, 429)
                self.assertEqual(client.request("GET", "/livez", {"a": 1}).status, 429)
            time.sleep(1)
            with server.client() as client:
                text = client.get("/metrics").body.decode()
            line = next(line for line in text.splitlines() if line.startswith("engram_rate_limited_total{")
                        and 'scope="address"' in line and 'kind="requests"' in line)
            self.assertGreater(float(line.split(" ")[-1]), 0)

    def test_nothing_is_said_where_nothing_is_limited(self):
        with GuardedServer() as server, server.client() as client:
            self.assertEqual(rate_fields(client.get("/contexts")), {})

    def test_a_reload_changes_rates(self):
        with GuardedServer({"limits": {"address_requests_per_second": 1}}) as server, server.client() as client:
            self.assertEqual(client.get("/contexts").status, 200)
            self.assertEqual(client.get("/contexts").status, 429)
            server.reload(limits={})
            for _ in range(20):
                self.assertEqual(client.get("/contexts").status, 200)
            server.reload(limits={"address_requests_per_second": 1})
            until(lambda: client.get("/contexts").status == 429)

    def test_who_guesses_is_slowed_down_and_others_go_on(self):
        limits = {"address_failures_per_second": 1, "address_failure_burst": 5}
        with GuardedServer({"limits": limits}, agents=["anna"]) as server:
            with server.of("anna") as anna:
                self.assertEqual(anna.get("/contexts").status, 200)
                statuses = []
                for guess in range(20):
                    with server.client() as client:
                        statuses.append(client.get("/contexts", {"Authorization": f"Bearer guess-{guess}"}).status)
                self.assertEqual(set(statuses), {401, 429})
                self.assertIn(statuses.count(401), (5, 6, 7))
                # What was verified before is not looked at again.
                for _ in range(5):
                    self.assertEqual(anna.get("/contexts").status, 200)
                with server.of("anna") as another:
                    answer = another.get("/contexts")
                    self.assertEqual(answer.status, 429)
                    time.sleep(int(answer.headers["retry-after"]))
                    self.assertEqual(another.get("/contexts").status, 200)


    def test_failures_leave_no_debt_and_bad_tickets_are_none(self):
        limits = {"address_failures_per_second": 1, "address_failure_burst": 5}
        with GuardedServer({"limits": limits}, agents=["anna"]) as server:
            def status(path="/contexts", *fields):
                with server.raw() as raw:
                    return raw.send(http_request("GET", path, fields=fields)).answer()
            # Any page can make a browser ask for this.
            self.assertEqual({status("/stream/sse?ticket=1").status for _ in range(30)}, {401})
            self.assertEqual(status("/contexts", bearer("anna")).status, 200)
            twice = ["Authorization: Bearer x", "Authorization: Bearer y"]
            refused = [status("/contexts", *twice).status for _ in range(30)]
            self.assertEqual(set(refused), {401, 429})
            self.assertIn(refused.count(401), (5, 6, 7))
            answer = status("/contexts", bearer("anna"))
            self.assertEqual(answer.status, 429)
            self.assertLessEqual(int(answer.headers["retry-after"]), 1)


class Caps(unittest.TestCase):
    def test_connections_of_one_address(self):
        with GuardedServer({"limits": {"connections_per_address_max": 3}}) as server:
            until(lambda: server.metric("engram_connections_open") is not None)
            raws = [server.raw() for _ in range(3)]
            for raw in raws:
                raw.send(http_request("GET", "/livez"))
                self.assertEqual(raw.answer().status, 200)
            with server.raw() as beyond:
                self.assertTrue(beyond.send(http_request("GET", "/livez")).ended())
            raws.pop().close()
            until(lambda: self.is_served(server))
            # A stream holds its place.
            stream, status = None, 0
            raws.pop().close()
            until(lambda: self.is_served(server))
            stream, status = open_stream(server)
            self.assertEqual(status, 200)
            raws.append(server.raw())
            raws[-1].send(http_request("GET", "/livez"))
            self.assertEqual(raws[-1].answer().status, 200)
            with server.raw() as beyond:
                self.assertTrue(beyond.send(http_request("GET", "/livez")).ended())
            stream.close()
            until(lambda: self.is_served(server))
            for raw in raws:
                raw.close()

    def is_served(self, server):
        with server.raw() as raw:
            answer = raw.send(http_request("GET", "/livez")).answer()
            return answer is not None and answer.status == 200

    def test_connections_in_all_count_streams_too(self):
        with GuardedServer({"server": {"connections_max": 4}}) as server:
            streams = [open_stream(server) for _ in range(2)] + [(WebSocket(server.port), 200) for _ in range(2)]
            self.assertEqual([status for _, status in streams], [200] * 4)
            with server.raw() as beyond:
                self.assertTrue(beyond.send(http_request("GET", "/livez")).ended())
            for stream, _ in streams:
                stream.close()
            until(lambda: self.is_served(server))

    def test_connections_of_one_agent(self):
        with GuardedServer({"limits": {"connections_per_agent_max": 2}}, agents=["anna", "ben"]) as server:
            kept = [server.of("anna") for _ in range(2)]
            for client in kept:
                self.assertEqual(client.get("/contexts").status, 200)
                self.assertEqual(client.get("/contexts").status, 200)
            with server.of("anna") as third, server.of("ben") as ben:
                answer = third.get("/contexts")
                self.assertEqual((answer.status, answer.json()["code"]), (429, "rate_limited"))
                self.assertEqual(answer.headers.get("connection"), "close")
                self.assertEqual(ben.get("/contexts").status, 200)
            kept.pop().close()

            def is_free():
                with server.of("anna") as again:
                    return again.get("/contexts").status == 200
            until(is_free)
            for client in kept:
                client.close()

    def test_streams_of_one_agent(self):
        with GuardedServer({"limits": {"subscriptions_per_agent_max": 2}}, agents=["anna", "ben"]) as server:
            first, status = open_stream(server, "anna")
            self.assertEqual(status, 200)
            second = WebSocket(server.port, fields={"Authorization": f"Bearer {token_of('anna')}"})
            third, status = open_stream(server, "anna")
            self.assertEqual(status, 429)
            other, status = open_stream(server, "ben")
            self.assertEqual(status, 200)
            with server.of("anna") as anna:
                # Only streams are counted.
                self.assertEqual(anna.get("/contexts").status, 200)
            first.close()

            def opens():
                raw, status = open_stream(server, "anna")
                raw.close()
                return status == 200
            until(opens)
            for raw in (second, third, other):
                raw.close()

    def test_locks_of_one_agent(self):
        with GuardedServer({"limits": {"locks_per_agent_max": 2}}) as server, server.client() as client:
            def lock(path, agent):
                return client.post({"resource_path": path, "agent_id": agent}, path="/locks")
            self.assertEqual([lock(f"p{n}", "anna").status for n in range(3)], [200, 200, 429])
            self.assertEqual(lock("p9", "ben").status, 200)
            server.reload(limits={"locks_per_agent_max": 3})
            until(lambda: lock("p2", "anna").status == 200)
            self.assertEqual(lock("p3", "anna").status, 429)

    def test_bodies_being_gathered_from_one_address(self):
        with GuardedServer({"limits": {"inflight_bytes_per_address_max": 1 << 20}}) as server:
            context = Names.fresh()
            with server.raw() as raw, server.client() as client:
                raw.send(http_request("POST", "/workunit", fields=[
                    "Content-Type: application/json", f"Content-Length: {8 << 20}"]))
                raw.send(b"{" + b" " * (3 << 20))
                answer = raw.answer()
                self.assertEqual((answer.status, answer.json()["code"]), (503, "unavailable"))
                self.assertTrue(raw.ended())
                # What was given up is given back.
                self.assertEqual(client.post(unit(context, "x" * 500_000)).status, 201)

    def test_what_no_route_reads_is_not_gathered(self):
        """Nobody can take the memory of bodies by routes that are open to all."""
        with GuardedServer({"limits": {"inflight_bytes_max": 16 << 20}}, agents=["anna"]) as server:
            for method, path, status in (
                    ("GET", "/livez", 200), ("GET", "/version", 200), ("GET", "/openapi.json", 200), ("POST", "/livez", 401)):
                for framing in (f"Content-Length: {16 << 20}", "Transfer-Encoding: chunked"):
                    with self.subTest(method=method, path=path, framing=framing), server.raw() as raw:
                        raw.send(http_request(method, path, fields=[framing]))
                        answer = raw.answer()
                        self.assertEqual((answer.status, answer.headers.get("connection")), (status, "close"))
                        self.assertTrue(raw.ended())
            with server.raw() as raw:
                # What came with the head is passed over.
                raw.send(http_request("GET", "/livez", fields=["Content-Length: 2"]) + b"{}")
                raw.send(http_request("GET", "/livez"))
                self.assertEqual([raw.answer().status, raw.answer().status], [200, 200])
            with server.raw() as raw:
                raw.send(http_request("GET", "/stream/sse", fields=[bearer("anna"), "Content-Length: 2"]) + b"{}")
                self.assertEqual(raw.answer().status, 400)

    def test_many_bodies_of_a_byte_are_not_much(self):
        with GuardedServer({"limits": {"inflight_bytes_max": 16 << 20}}) as server, server.client() as client:
            liars = [server.raw() for _ in range(300)]
            for raw in liars:
                raw.send(http_request("POST", "/workunit", fields=["Content-Length: 100000"]) + b"{")
            until(lambda: (server.metric("engram_body_bytes") or 0) >= 300, what="bodies")
            self.assertEqual(client.post(unit(Names.fresh(), "x" * 2_000_000)).status, 201)
            for raw in liars:
                raw.close()

    def test_one_agent_gathers_a_quarter(self):
        """Five bodies of 15 MiB that don't end are more than a quarter of 256 MiB; another agent has its own."""
        with GuardedServer(agents=["greedy", "healthy"]) as server:
            def begin(agent):
                raw = server.raw()
                raw.send(http_request("POST", "/workunit", fields=[
                    bearer(agent), "Content-Type: application/json", f"Content-Length: {16 << 20}"]) + b" " * (15 << 20))
                return raw
            raws = [begin("greedy") for _ in range(4)]
            until(lambda: server.metric("engram_body_bytes", "healthy") >= 60 << 20, what="four bodies")
            fifth = begin("greedy")
            self.assertEqual(fifth.answer().status, 503)
            with server.of("healthy") as healthy:
                body = unit(Names.fresh(), "x" * 2_000_000, agent="healthy")
                self.assertEqual(healthy.post(body).status, 201)
            for raw in raws + [fifth]:
                raw.close()

    def test_who_only_announces_much_takes_nothing(self):
        """Forty announce 16 MiB each, which is more than all together may have, and send a byte: others can post."""
        with GuardedServer() as server, server.client() as client:
            liars = [server.raw() for _ in range(40)]
            for raw in liars:
                raw.send(http_request("POST", "/workunit", fields=[
                    "Content-Type: application/json", f"Content-Length: {16 << 20}"]) + b"{")
            until(lambda: (server.metric("engram_body_bytes") or 0) > 0)
            # What came, and a page of memory.
            self.assertLess(server.metric("engram_body_bytes"), 40 * (8 << 10))
            self.assertEqual(client.post(unit(Names.fresh(), "x" * 2_000_000)).status, 201)
            for raw in liars:
                raw.close()
            until(lambda: server.metric("engram_body_bytes") == 0)


if __name__ == "__main__":
    unittest.main()
