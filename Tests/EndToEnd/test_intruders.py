"""Ways around the gate: odd spellings of credentials and paths, requests in bodies that nobody reads, connections that
change hands, and answers that would tell what is hidden. What is expected of well-behaved callers is in
`test_authentication.py` and `test_authorization.py`."""

import base64
import json
import re
import socket
import unittest

from access import EVERYTHING, Credential, Guarded, Rule

ROOT = Credential("root", "root", token="engram_root-0123456789")
ANA = Credential("ana", "member", token="engram_ana-0123456789")
BEN = Credential("ben", "reader", token="engram_ben-0123456789")
NONE = Credential("none", "nothing", token="engram_none-0123456789")
RULES = [
    EVERYTHING,
    Rule(["context:read", "context:write", "lock:read", "lock:acquire", "search"],
         ["context/{agent}/**", "lock/{agent}/**"], roles=["member"]),
    Rule(["context:read", "search"], ["context/shared/**"], roles=["reader"])]
MISSING = "01900000-0000-7abc-8000-0000000000aa"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: " + base64.b64encode(bytes(16)).decode(),
           "Sec-WebSocket-Version: 13")


def head(method, path, *fields):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode("latin-1")


def bearer(credential):
    return f"Authorization: Bearer {credential.token}"


def unit(context, **more):
    return {"context_id": context, "type": "MESSAGE", "payload": "a secret"} | more


class IntrudersSuite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Guarded([ROOT, ANA, BEN, NONE], RULES)
        cls.client = cls.server.client()
        cls.hidden = cls.ask(ROOT, "POST", "/workunit", unit("hidden/a")).json()["work_unit"]["id"]
        cls.ask(ROOT, "POST", "/workunit", unit("shared/a"))
        cls.lock = cls.ask(ROOT, "POST", "/locks", {"resource_path": "hidden/x", "ttl_seconds": 600}).json()["lock"]

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.discard()

    @classmethod
    def ask(cls, credential, method, path, body=None, **fields):
        return cls.client.request(method, path, body, credential.fields | fields)

    def raw(self, data, ends=True, seconds=20):
        """The statuses of the answers to what is sent on one connection, and all of them as bytes. `ends`: the peer sends
        no more, so that the server ends the connection; a search or a walk would end with that too."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=seconds) as connection:
            answer = b""
            try:
                connection.sendall(data)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    answer += part
            except (BrokenPipeError, ConnectionResetError):
                pass  # What was answered before stands.
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)], answer

    # Who

    def test_a_credential_has_one_spelling(self):
        cases = [
            ([bearer(ROOT)], 200), (["AUTHORIZATION: BEARER  " + ROOT.token], 200), ([bearer(BEN)], 403),
            ([bearer(ROOT)] * 2, 401), ([bearer(ROOT), bearer(BEN)], 401), ([bearer(BEN), bearer(ROOT)], 401),
            ([bearer(ROOT), "Authorization: Basic x"], 401), (["Authorization: Bearer"], 401), (["Authorization:"], 401),
            (["Authorization: " + ROOT.token], 401), (["Authorization: Basic " + ROOT.token], 401),
            (["Authorization: Bearer\t" + ROOT.token], 401), ([bearer(ROOT) + " x"], 401), ([bearer(ROOT) + ","], 401),
            ([bearer(ROOT) + "="], 401), ([bearer(ROOT)[:-1]], 401), ([bearer(ROOT) + "0"], 401),
            ([bearer(ROOT).upper()], 401), (['Authorization: Bearer "' + ROOT.token + '"'], 401),
            (["Authorization: Bearer " + "a" * 9000], 401), (["Authorization: Bearer \xe9"], 401),
            (["Proxy-Authorization: Bearer " + ROOT.token], 401), (["X-Authorization: Bearer " + ROOT.token], 401),
            (["Cookie: Authorization=Bearer " + ROOT.token], 401), (["Authorization : Bearer " + ROOT.token], 400),
            (["X: y", " Authorization: Bearer " + ROOT.token], 400)]
        for fields, status in cases:
            with self.subTest(fields=[field[:60] for field in fields]):
                self.assertEqual(self.raw(head("GET", "/metrics", *fields, "Connection: close"))[0], [status])

    def test_no_spelling_of_a_path_goes_around(self):
        for target in [
                "/metrics", "/v1/metrics", "/%6detrics", "/v1/%6Detrics", "/%76%31/metrics", "http://localhost/metrics",
                "//metrics", "/metrics/", "/healthz/../metrics", "/healthz%2f..%2fmetrics", "/healthz/metrics", "/METRICS",
                "/readyz?verbose", "/readyz?x", "/contexts", "/stream", "/stream-sse", "/v1/stream/sse", "/nothing", "/",
                "/v1", "/v1/v1/metrics", "/auth/ticket", "/workunit/" + self.hidden, "/metrics?healthz"]:
            for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]:
                with self.subTest(target=target, method=method):
                    self.assertEqual(self.raw(head(method, target, "Connection: close"))[0], [401])

    def test_a_connection_gives_nobody_the_credential_of_another_request(self):
        root, ben = head("GET", "/metrics", bearer(ROOT)), head("GET", "/metrics", bearer(BEN))
        nobody, probe = head("GET", "/metrics"), head("GET", "/livez")
        bad = head("GET", "/metrics", bearer(ROOT) + "0")
        self.assertEqual(self.raw(root + nobody + ben + root + probe + nobody + bad + nobody + root)[0],
                         [200, 401, 403, 200, 200, 401, 401, 401, 200])

    def test_a_body_that_nobody_reads_is_no_request(self):
        inner = head("GET", "/metrics", bearer(ROOT))
        for fields, body, statuses in [
                ([f"Content-Length: {len(inner)}"], inner, [401]),
                ([f"Content-Length: {len(inner) + 1}"], inner, [401]),
                (["Content-Length: 2"], b"{}" + inner, [401, 200]),
                (["Content-Length: 9000000"], inner * 9, [401]),
                (["Transfer-Encoding: chunked"], b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner), [401]),
                (["Transfer-Encoding: chunked"], b"0\r\n\r\n" + inner, [401]),
                (["Content-Length: 5", "Expect: 100-continue"], b"", [401])]:
            with self.subTest(fields=fields):
                self.assertEqual(self.raw(head("POST", "/workunit", *fields) + body)[0], statuses)

    def test_a_refused_upgrade_is_none(self):
        frame = b"\x81\x8f\0\0\0\0" + b'{"type":"ping"}'
        for fields, status in [((), 401), ((bearer(ROOT) + "0",), 401), ((bearer(ROOT),) * 2, 401)]:
            statuses, answer = self.raw(head("GET", "/stream", *fields, *UPGRADE) + frame)
            self.assertEqual(statuses[0], status)
            self.assertNotIn(b"pong", answer)
            self.assertNotIn(101, statuses)

    # What

    def answer(self, credential, method, path, body=None, fields=(), name=""):
        """All of an answer, without what differs from request to request and what was asked for."""
        content = b"" if body is None else json.dumps(body).encode()
        length = [] if body is None else [f"Content-Length: {len(content)}"]
        request = head(method, path, bearer(credential), "Connection: close", *length, *fields) + content
        _, answer = self.raw(request, ends=False)
        answer = re.sub(rb"(?im)^(date|x-request-id|ratelimit): [^\r]*\r\n", b"", answer)
        return re.sub(rb'"request_id":"[^"]*"', b"", answer).replace(name.encode(), b"NAME")

    def test_the_hidden_looks_like_the_missing(self):
        pairs = [(path % self.hidden, path % MISSING, method, None, fields)
                 for path in ["/workunit/%s", "/workunit/%s/payload", "/workunit/%s/relationships"]
                 for method in ["GET", "HEAD", "POST"]
                 for fields in [(), ("Range: bytes=0-0",), ("If-None-Match: *",)]]
        for path in ["/contexts/%s", "/contexts/%s?include=recent", "/contexts/%s/workunits", "/workunits/%s?limit=1"]:
            pairs.append((path % "hidden%2Fa", path % "hidden%2Fq", "GET", None, ("If-None-Match: *",)))
        for body in [{"display_name": "x"}, {"pin_units": [self.hidden]}, {}, {"no": 1}]:
            pairs.append(("/contexts/hidden%2Fa", "/contexts/hidden%2Fq", "PATCH", body, ()))
            pairs.append(("/contexts/hidden%2Fa", "/contexts/hidden%2Fq", "PATCH", body, ('If-Match: "1.1"',)))
        for query in ["", "?force=true", f"?lock_id={self.lock['lock_id']}", "?agent_id=root"]:
            pairs.append((f"/locks/hidden/x{query}", f"/locks/hidden/y{query}", "DELETE", None, ()))
        pairs.append(("/locks/hidden/x", "/locks/hidden/y", "GET", None, ()))
        pairs.append(("/locks/hidden/x", "/locks/hidden/y", "PUT", {"lock_id": self.lock["lock_id"]}, ()))
        for credential in [ANA, BEN, NONE]:
            for there, missing, method, body, fields in pairs:
                with self.subTest(agent=credential.agent, path=there, method=method, body=body):
                    found = self.answer(credential, method, there, body, fields, "hidden/x")
                    self.assertEqual(found, self.answer(credential, method, missing, body, fields, "hidden/y"))
                    self.assertNotIn(b"secret", found)
            for path, there, missing in [
                    ("/workunit", unit("hidden/a"), unit("hidden/q")),
                    ("/search/relationships", {"target_id": self.hidden}, {"target_id": MISSING}),
                    ("/search", {"query": "secret", "context_id": "hidden/a"}, {"query": "secret", "context_id": "hidden/q"}),
                    ("/locks", {"resource_path": "hidden/x"}, {"resource_path": "hidden/y"}),
                    ("/locks", {"resource_paths": ["ana/1", "hidden/x"]}, {"resource_paths": ["ana/1", "hidden/y"]}),
                    ("/workunit", unit("ana/a", fence={"resource_path": "hidden/x", "token": self.lock["token"]}),
                     unit("ana/a", fence={"resource_path": "hidden/y", "token": self.lock["token"]}))]:
                with self.subTest(agent=credential.agent, body=there):
                    found = self.answer(credential, "POST", path, there, name="hidden/x")
                    # Searches count on while the index does.
                    if path != "/search":
                        self.assertEqual(found, self.answer(credential, "POST", path, missing, name="hidden/y"))
                    self.assertNotIn(b"hidden/a", found)

    def test_no_spelling_of_a_lock_goes_around(self):
        for path in ["hidden//x", "./hidden/x", "hidden/x/", "%68idden/x", "/hidden/x", "ana/../hidden/x",
                     "ana/%2e%2e/hidden/x", "hidden%2Fx", "ana%2F..%2Fhidden%2Fx", "ana/%00", "%2Fhidden/x"]:
            with self.subTest(path=path):
                self.assertIn(self.ask(ANA, "GET", "/locks/" + path).status, (400, 404))
                self.assertIn(self.ask(ANA, "DELETE", f"/locks/{path}?force=true").status, (400, 403))
        self.assertEqual(self.ask(ROOT, "GET", "/locks/hidden/x").status, 200)

    def test_streams_and_lists_show_nothing_hidden(self):
        for credential in [ANA, BEN, NONE]:
            for query in ["?after=0&events=workunit,context,lock", "?after=0&context=hidden%2Fa", "?after=0&events=lock&lock=hidden"]:
                with self.subTest(agent=credential.agent, query=query), socket.create_connection(
                        ("127.0.0.1", self.server.port), timeout=20) as stream:
                    stream.sendall(head("GET", "/stream/sse" + query, bearer(credential)))
                    answer = b""
                    while b"event: subscribed" not in answer:
                        part = stream.recv(65536)
                        self.assertTrue(part, answer)
                        answer += part
                    # Whatever history there is comes at once.
                    stream.settimeout(0.7)
                    try:
                        while part := stream.recv(65536):
                            answer += part
                    except TimeoutError:
                        pass
                    self.assertNotIn(self.hidden.encode(), answer)
                    self.assertNotIn(self.lock["lock_id"].encode(), answer)
                    self.assertEqual(b'"context_id":"shared/a"' in answer, credential is BEN and "context=" not in query
                                     and "events=lock" not in query)
            for path in ["/contexts", "/contexts?prefix=hidden", "/locks", "/locks?prefix=hidden", "/locks?agent_id=root"]:
                with self.subTest(agent=credential.agent, path=path):
                    self.assertNotIn("hidden/", self.ask(credential, "GET", path).body.decode())

    def test_no_token_is_told(self):
        for credential in [ROOT, ANA]:
            self.raw(head("GET", f"/metrics?token={credential.token}", bearer(credential), "X-Request-ID: r"))
            self.raw(head("GET", f"/{credential.token}", bearer(credential)))
        said = self.server.said() + self.ask(ROOT, "GET", "/metrics").body.decode()
        for credential in [ROOT, ANA, BEN, NONE]:
            self.assertNotIn(credential.token, said)


if __name__ == "__main__":
    unittest.main()
