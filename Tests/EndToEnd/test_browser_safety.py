"""What pages of browsers may do: `Host`, `Origin`, CORS, `nosniff`; and that no credential gets into a log."""

import subprocess
import unittest

from guarded import GuardedServer, bearer, token_of
from harness import Names, Server, http_request, unit
from websocket import ABSENT, WebSocket, handshake


def raw_request(method, path, host, *fields, body=None):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


class Suite(unittest.TestCase):
    sections = {}
    agents = ()

    @classmethod
    def setUpClass(cls):
        cls.server = GuardedServer(cls.sections, agents=cls.agents)

    @classmethod
    def tearDownClass(cls):
        cls.server.discard()

    def ask(self, method, path, host=None, *fields, body=None):
        with self.server.raw() as raw:
            raw.send(raw_request(method, path, host or self.server.address, *fields, body=body))
            return raw.answer(head_only=method == "HEAD")

    def denied(self, answer):
        self.assertEqual((answer.status, answer.json()["code"]), (403, "permission_denied"), answer)

    def upgrade(self, origin, host=None):
        fields = {"Host": host or self.server.address, "Origin": origin if origin is not None else ABSENT}
        with WebSocket(self.server.port, request=handshake(fields=fields)) as ws:
            return ws.status


class Hosts(Suite):
    def test_names_of_this_machine_are_answered(self):
        port = self.server.port
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost", "LOCALHOST:1", f"[::1]:{port}", "127.1.2.3",
                     f"engram.localhost:{port}"):
            with self.subTest(host):
                self.assertEqual(self.ask("GET", "/contexts", host).status, 200)

    def test_a_name_that_was_made_to_lead_here_is_not(self):
        for host in ("evil.example", f"evil.example:{self.server.port}", "127.0.0.1.evil.example", "localhost.evil.example",
                     "10.0.0.1", "0.0.0.0", "127.1", "[::2]", "localhost."):
            for method, path, body in (
                    ("GET", "/contexts", None), ("GET", "/healthz", None), ("POST", "/workunit", b"{}"),
                    ("GET", "/nothing", None), ("GET", "/stream/sse", None)):
                with self.subTest(host=host, path=path):
                    self.denied(self.ask(method, path, host, body=body))
        self.assertEqual(self.upgrade(None, host="evil.example"), 403)

    def test_an_absolute_target_and_Host_are_one_name(self):
        self.assertEqual(self.ask("GET", "http://evil.example/contexts", "127.0.0.1").status, 400)
        self.denied(self.ask("GET", "http://evil.example/contexts", "evil.example"))
        self.assertEqual(self.ask("GET", "http://127.0.0.1/contexts", "127.0.0.1").status, 200)

    def test_http_1_0_without_a_Host_is_no_browser(self):
        with self.server.raw() as raw:
            self.assertEqual(raw.send(b"GET /contexts HTTP/1.0\r\n\r\n").answer().status, 200)


class ConfiguredHosts(Suite):
    sections = {"browser": {"hosts": ["engram.example"]}}

    def test_configured_names_are_answered_and_a_reload_changes_them(self):
        self.assertEqual(self.ask("GET", "/contexts", "engram.example:8443").status, 200)
        self.denied(self.ask("GET", "/contexts", "other.example"))
        self.server.reload(browser={"hosts": ["other.example"]})
        self.assertEqual(self.ask("GET", "/contexts", "other.example").status, 200)
        self.denied(self.ask("GET", "/contexts", "engram.example"))
        self.server.reload(browser={"hosts": ["engram.example"]})


class Origins(Suite):
    def unsafe(self, context):
        body = unit(context)
        import json
        return [
            ("POST", "/workunit", json.dumps(body).encode()), ("POST", "/workunits", json.dumps([body]).encode()),
            ("PATCH", f"/contexts/{context}", b'{"display_name": "x"}'),
            ("POST", "/locks", b'{"resource_path": "p", "agent_id": "a"}'),
            ("PUT", "/locks/p", b"{}"), ("DELETE", "/locks/p?agent_id=a", None), ("POST", "/search", b"{}"),
            ("DELETE", "/contexts", None), ("BREW", "/contexts", None)]

    def test_strangers_change_nothing(self):
        context = Names.fresh()
        for origin in ("https://evil.example", "null", "http://localhost", "http://127.0.0.1:1", "file://",
                       f"https://{self.server.address}", f"http://{self.server.address}.evil.example"):
            for method, path, body in self.unsafe(context):
                with self.subTest(origin=origin, request=f"{method} {path}"):
                    self.denied(self.ask(method, path, None, f"Origin: {origin}", body=body))
            with self.subTest(origin=origin, request="upgrade"):
                self.assertEqual(self.upgrade(origin), 403)
        with self.server.client() as client:
            self.assertEqual(client.get(f"/contexts/{context}").status, 404)

    def test_two_origins_are_none(self):
        own = f"Origin: http://{self.server.address}"
        self.denied(self.ask("POST", "/workunit", None, own, "Origin: https://evil.example", body=b"{}"))

    def test_a_form_of_another_page_is_refused(self):
        """What a page can send without being asked for permission: a form with text/plain."""
        body = b'{"context_id":"c","agent_id":"a","type":"MESSAGE","payload":"=x"}'
        answer = self.ask("POST", "/workunit", None, "Origin: https://evil.example", body=body)
        self.denied(answer)
        self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_own_pages_and_programs_do_everything(self):
        context = Names.fresh()
        for fields in ((), (f"Origin: http://{self.server.address}",)):
            for method, path, body in self.unsafe(context):
                with self.subTest(fields=fields, request=f"{method} {path}"):
                    self.assertNotEqual(self.ask(method, path, None, *fields, body=body).status, 403)
        self.assertEqual(self.upgrade(f"http://{self.server.address}"), 101)
        self.assertEqual(self.upgrade(None), 101)

    def test_what_changes_nothing_is_answered_and_not_shown(self):
        answer = self.ask("GET", "/contexts", None, "Origin: https://evil.example")
        self.assertEqual(answer.status, 200)
        for name in answer.headers:
            self.assertFalse(name.startswith("access-control-"), answer.headers)

    def test_without_cors_there_is_no_preflight(self):
        answer = self.ask(
            "OPTIONS", "/workunit", None, "Origin: https://evil.example", "Access-Control-Request-Method: POST")
        self.assertEqual(answer.status, 405)
        for name in answer.headers:
            self.assertFalse(name.startswith("access-control-"), answer.headers)

    def test_the_body_of_a_stranger_is_not_waited_for(self):
        with self.server.raw() as raw:
            raw.send(raw_request(
                "POST", "/workunit", self.server.address, "Origin: https://evil.example", "Content-Type: application/json",
                f"Content-Length: {16 << 20}"))
            self.denied(raw.answer())
            self.assertTrue(raw.ended())


class ConfiguredOrigins(Suite):
    sections = {"browser": {
        "origins": ["https://console.example"], "cors_origins": ["https://app.example:3000", "http://cdn.example"],
        "cors_max_age_seconds": 77, "cors_credentials": True}}

    def preflight(self, origin, path="/workunit"):
        return self.ask(
            "OPTIONS", path, None, f"Origin: {origin}", "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: authorization, content-type")

    def test_a_listed_origin_writes_but_doesnt_read(self):
        answer = self.ask(
            "POST", "/workunit", None, "Origin: https://console.example",
            body=b'{"context_id":"c","agent_id":"a","type":"MESSAGE","payload":""}')
        self.assertEqual(answer.status, 201)
        self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assertEqual(answer.headers["vary"], "Origin")
        self.assertEqual(self.upgrade("https://console.example"), 101)

    def test_a_preflight_is_answered_to_listed_origins_only(self):
        for path in ("/workunit", "/locks/a/b", "/nothing"):
            answer = self.preflight("https://app.example:3000", path)
            self.assertEqual(answer.status, 204)
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example:3000")
            self.assertEqual(answer.headers["access-control-allow-credentials"], "true")
            self.assertEqual(answer.headers["access-control-max-age"], "77")
            self.assertEqual(answer.headers["vary"], "Origin")
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                self.assertIn(method, answer.headers["access-control-allow-methods"])
            for field in ("Authorization", "Content-Type", "Idempotency-Key", "X-Agent-ID"):
                self.assertIn(field, answer.headers["access-control-allow-headers"])
        for origin in ("https://evil.example", "https://app.example", "null", "https://console.example"):
            answer = self.preflight(origin)
            self.denied(answer)
            self.assertNotIn("access-control-allow-origin", answer.headers)
            self.assertEqual(answer.headers["vary"], "Origin")

    def test_answers_are_shown_to_listed_origins_whatever_they_are(self):
        for method, path, status in (
                ("GET", "/contexts", 200), ("GET", "/workunit/no-id", 400), ("GET", "/nothing", 404),
                ("HEAD", "/contexts", 200), ("GET", "/healthz", 200), ("DELETE", "/contexts", 405)):
            with self.subTest(path):
                answer = self.ask(method, path, None, "Origin: http://cdn.example")
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["access-control-allow-origin"], "http://cdn.example")
                self.assertIn("ETag", answer.headers["access-control-expose-headers"])
                self.assertIn("RateLimit", answer.headers["access-control-expose-headers"])
        answer = self.ask("GET", "/contexts", None, "Origin: http://evil.example")
        self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assertEqual(self.ask("GET", "/contexts").headers["vary"], "Origin")

    def test_an_eventsource_of_a_listed_origin_reads(self):
        with self.server.raw() as raw:
            raw.send(raw_request("GET", "/stream/sse", self.server.address, "Origin: http://cdn.example"))
            head = b""
            while b"\r\n\r\n" not in head:
                head += raw.socket.recv(4096)
            self.assertIn(b"HTTP/1.1 200", head)
            self.assertIn(b"Access-Control-Allow-Origin: http://cdn.example\r\n", head)

    def test_curl_sees_the_same(self):
        told = subprocess.run(
            ["curl", "-s", "-i", "-X", "OPTIONS", "-H", "Origin: http://cdn.example", "-H", "Access-Control-Request-Method: PUT",
             f"http://{self.server.address}/locks/x"], capture_output=True, text=True, timeout=20).stdout
        self.assertIn("HTTP/1.1 204", told)
        self.assertIn("Access-Control-Allow-Origin: http://cdn.example", told)


class AllOrigins(Suite):
    sections = {"browser": {"cors_origins": ["*"]}}

    def test_all_may_read_but_without_credentials(self):
        answer = self.ask("GET", "/contexts", None, "Origin: https://anything.example")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertNotIn("access-control-allow-credentials", answer.headers)
        self.denied(self.ask("POST", "/workunit", None, "Origin: null", body=b"{}"))

    def test_without_authentication_not_every_page_may_act(self):
        self.denied(self.ask("POST", "/workunit", None, "Origin: https://anything.example", body=b"{}"))
        self.assertEqual(self.upgrade("https://anything.example"), 403)


class AllOriginsByCredential(Suite):
    sections = {"browser": {"cors_origins": ["*"]}}
    agents = ("anna",)

    def test_any_page_may_act_with_a_credential_that_it_has(self):
        body = b'{"context_id":"c","type":1,"payload":""}'
        origin = "Origin: https://anything.example"
        self.assertEqual(self.ask("POST", "/workunit", None, origin, bearer("anna"), body=body).status, 201)
        self.assertEqual(self.ask("POST", "/workunit", None, origin, body=body).status, 401)


class Refusals(unittest.TestCase):
    def test_what_is_no_origin_stops_the_start(self):
        from harness import NotReady
        for browser in ({"origins": ["null"]}, {"origins": ["example.com"]}, {"cors_origins": ["https://a/b"]},
                        {"hosts": ["http://x"]}, {"cors_origins": ["*"], "cors_credentials": True}):
            with self.subTest(browser):
                server = GuardedServer({"browser": browser}, start=False)
                try:
                    with self.assertRaisesRegex(NotReady, r"exit 78[\s\S]*browser\.|browser\.[\s\S]*exit 78"):
                        server.start()
                finally:
                    server.discard()


class EveryAnswer(Suite):
    agents = ("anna",)

    def test_nothing_is_sniffed(self):
        with self.server.of("anna") as anna:
            made = anna.create(unit("c", "<script>alert(1)</script>", agent="anna"))
            for path in ("/contexts", f"/workunit/{made['id']}/payload", "/metrics", "/openapi.json", "/version", "/livez",
                         "/nothing", "/workunit/x", f"/workunit/{made['id']}"):
                answer = anna.get(path)
                self.assertEqual(answer.headers.get("x-content-type-options"), "nosniff", path)
        for status, request in (
                (401, http_request("GET", "/contexts")), (400, b"GET / HTTP/9.9\r\n\r\n"), (400, b"nonsense\r\n\r\n"),
                (403, raw_request("GET", "/contexts", "evil.example")),
                (431, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000 + b"\r\n\r\n")):
            with self.server.raw() as raw:
                answer = raw.send(request).answer()
                self.assertEqual(answer.headers.get("x-content-type-options"), "nosniff", answer)

    def test_no_credential_is_taken_from_an_address_or_gets_into_a_log(self):
        secret = token_of("anna")
        for path in (f"/contexts?access_token={secret}", f"/contexts?token={secret}", f"/contexts?ticket={secret}"):
            with self.server.client() as client:
                self.assertEqual(client.get(path).status, 401)
            with self.server.of("anna") as anna:
                self.assertEqual(anna.get(path).status, 400)
        with self.server.client() as client:
            client.get("/contexts", {"Authorization": f"Bearer {secret}x"})
            client.get(f"/stream?ticket={secret}")
        with self.server.of("anna") as anna:
            self.assertEqual(anna.get("/contexts").status, 200)
            metrics = anna.get("/metrics").body.decode()
        said = "\n".join(self.server.stdout + self.server.stderr)
        self.assertIn("authentication_failure", said)
        self.assertNotIn(secret, said + metrics)


if __name__ == "__main__":
    unittest.main()
