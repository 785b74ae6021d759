"""Who is asking, over the wire: tokens, JWTs and tickets against a server that has a configuration, also while that is
read again. What a verifier refuses is tested by `AccessTests`; here is that nothing goes around it."""

import hashlib
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import threading
import time
import unittest

from credentials import Keep, Key, bearer, encoded
from harness import BINARY, Names, Raw, Server, unit, until
from test_stream import Follower
from websocket import WebSocket

EVERYTHING = (
    ["worker"], ["context:read", "context:write", "lock:read", "lock:acquire", "search", "metrics"], ["context/**", "lock/**"])
OPEN = ("/livez", "/readyz", "/healthz", "/version", "/openapi.json")
STREAMS = ("/stream", "/stream/sse", "/stream-sse")


class AuthenticationSuite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(start=False, loops=2)
        cls.addClassCleanup(cls.server.discard)
        cls.keep = Keep(cls.server.directory + "-keep", [EVERYTHING])
        cls.keys = {name: Key(name, cls.keep.directory) for name in ("HS256", "RS256", "ES256", "EdDSA")}
        cls.keep.publish(*cls.keys.values())
        cls.anna, cls.bob = cls.keep.token("anna", "worker"), cls.keep.token("bob", "worker")
        cls.server.flags += ["--config", str(cls.keep.config)]
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        for path in cls.keep.directory.iterdir():
            path.unlink()
        cls.keep.directory.rmdir()

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)

    def refused(self, answer, presented=True):
        """A 401 that says nothing of what was wrong."""
        self.assertEqual(answer.status, 401, answer)
        expected = 'Bearer realm="engram"' + (', error="invalid_token"' if presented else "")
        self.assertEqual(answer.headers["www-authenticate"], expected)
        body = answer.json()
        self.assertEqual(body["code"], "unauthenticated")
        self.assertEqual(body["detail"], "the request needs a credential that is accepted here")

    def reload(self):
        seen = len([line for line in self.server.stderr if "reload" in line])
        self.server.process.send_signal(signal.SIGHUP)
        until(lambda: len([line for line in self.server.stderr if "reload" in line]) > seen, what="the reload")

    def ticket(self, token=None):
        answer = self.client.request("POST", "/auth/ticket", headers=bearer(token or self.anna))
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(set(answer.json()), {"ticket", "expires_at"})
        return answer.json()["ticket"]

    # -- without a credential ------------------------------------------------------------------------------------

    def test_only_what_tells_of_nothing_is_open(self):
        for path in OPEN:
            self.assertEqual(self.client.get(path).status, 200, path)
        for path in (
                "/contexts", "/contexts/a", "/locks", "/locks/a", "/metrics", "/workunits/a", "/stream", "/readyz?verbose",
                "/nowhere"):
            self.refused(self.client.get(path), presented=False)
        for path in ("/workunit", "/workunits", "/locks", "/search", "/auth/ticket"):
            self.refused(self.client.request("POST", path, body={}), presented=False)

    def test_a_name_is_no_credential(self):
        self.refused(self.client.post(unit("c", agent="anna"), {"X-Agent-ID": "anna"}), presented=False)

    # -- tokens --------------------------------------------------------------------------------------------------

    def test_a_token_says_who_writes(self):
        context = Names.fresh()
        made = unit(context, "hello")
        del made["agent_id"]
        created = self.client.create(made, bearer(self.anna))
        self.assertEqual(created["agent_id"], "anna")
        self.assertEqual(self.client.post(unit(context, agent="bob"), bearer(self.anna)).status, 403)
        self.assertEqual(self.client.create(made, bearer(self.bob))["agent_id"], "bob")

    def test_the_scheme_is_of_any_case_and_stands_once(self):
        for scheme in ("Bearer", "bearer", "BEARER", "bEaReR  "):
            self.assertEqual(self.client.get("/contexts", {"Authorization": f"{scheme} {self.anna}"}).status, 200, scheme)
        for value in (
                self.anna, f"Basic {encoded('anna:' + self.anna)}", f"Token {self.anna}", f"Bearer{self.anna}", "Bearer", "Bearer ",
                f"Bearer {self.anna} {self.anna}", f"Bearer {self.anna}, Bearer {self.bob}", f'Bearer "{self.anna}"',
                f"Bearer {self.anna[:-1]}", f"Bearer {self.anna}A", f"Bearer {self.anna.upper()}", f"Bearer {self.anna}=",
                f"Bearer {hashlib.sha256(self.anna.encode()).hexdigest()}", "Bearer " + "a" * 9000):
            self.refused(self.client.get("/contexts", {"Authorization": value}))
        field = f"Authorization: Bearer {self.anna}\r\n"
        twice = f"GET /contexts HTTP/1.1\r\nHost: localhost\r\n{field}{field}\r\n"
        with Raw(self.server.port) as raw:
            self.refused(raw.send(twice.encode()).answer())

    def test_a_connection_may_change_its_credential(self):
        for _ in range(3):
            for token, status in ((self.anna, 200), ("engram_nobody", 401), (self.bob, 200)):
                self.assertEqual(self.client.get("/contexts", bearer(token)).status, status)

    def test_a_token_is_read_from_nowhere_else(self):
        for path in (f"/contexts?access_token={self.anna}", f"/stream/sse?access_token={self.anna}", f"/contexts?ticket={self.anna}"):
            self.refused(self.client.get(path), presented=False)
        self.refused(self.client.get("/contexts", {"Cookie": f"access_token={self.anna}"}), presented=False)

    # -- JWTs ----------------------------------------------------------------------------------------------------

    def test_each_algorithm_is_taken_by_its_key(self):
        for name, key in self.keys.items():
            made = unit(Names.fresh())
            del made["agent_id"]
            created = self.client.create(made, bearer(key.token(sub=f"{name}-agent", roles=["worker"])))
            self.assertEqual(created["agent_id"], f"{name}-agent")

    def test_roles_decide_what_it_is_for(self):
        token = self.keys["ES256"].token(sub="nobody", roles=["other"])
        self.assertEqual(self.client.post(unit(Names.fresh(), agent="nobody"), bearer(token)).status, 403)

    def test_what_is_not_right_is_refused(self):
        key = self.keys["HS256"]
        now = int(time.time())
        good = key.token(sub="anna", roles=["worker"])
        self.assertEqual(self.client.get("/contexts", bearer(good)).status, 200)
        head, body, signature = good.split(".")
        unsigned = encoded(json.dumps({"alg": "none"}))
        for token in (
                key.token(sub="anna", exp=now - 1), key.token(sub="anna", exp=None), key.token(sub="anna", nbf=now + 100),
                key.token(sub="anna", aud="other"), key.token(sub="anna", iss="https://other.example"), key.token(),
                key.token(sub=""), key.token({"alg": "HS512"}, sub="anna"), key.token({"crit": ["x"]}, sub="anna"),
                key.token({"kid": "rs256"}, sub="anna"), key.token({"jwk": key.jwk}, sub="anna"),
                Key("ES256", self.keep.directory, kid="stranger").token({"kid": "es256"}, sub="anna"),
                f"{unsigned}.{body}.", f"{unsigned}.{body}.{signature}", f"{head}.{body}", f"{head}.{body}.", f"{good}.", f"{good}=",
                key.token(sub="anna", x="x" * 9000)):
            self.refused(self.client.get("/contexts", bearer(token)))

    def test_it_ends_on_a_connection_that_lives_on(self):
        token = self.keys["ES256"].token(sub="anna", roles=["worker"], exp=int(time.time()) + 2)
        self.assertEqual(self.client.get("/contexts", bearer(token)).status, 200)
        until(lambda: self.client.get("/contexts", bearer(token)).status == 401, what="its end")

    # -- tickets -------------------------------------------------------------------------------------------------

    def test_a_ticket_opens_one_stream(self):
        context = Names.fresh()
        for path in STREAMS:
            ticket = self.ticket()
            with Follower(self.server, path, context=context, ticket=ticket) as follower:
                self.assertEqual(follower.status, 200)
                follower.subscribed()
                made = unit(context, path)
                del made["agent_id"]
                created = self.client.create(made, bearer(self.bob))
                self.assertEqual(follower.units(1)[0]["id"], created["id"])
            self.refused(self.client.get(f"{path}?ticket={ticket}"))

    def test_a_ticket_opens_a_socket_under_the_name_of_its_maker(self):
        context, ticket = Names.fresh(), self.ticket()
        socket = WebSocket(self.server.port, context=context, ticket=ticket)
        self.addCleanup(socket.close)
        self.assertEqual(socket.status, 101)
        socket.subscribed()
        socket.text({"type": "publish", "ref": "1", "work_unit": {"context_id": context, "type": "MESSAGE", "payload": "x"}})
        self.assertEqual(socket.expect("workunit")["work_unit"]["agent_id"], "anna")
        again = WebSocket(self.server.port, context=context, ticket=ticket)
        self.addCleanup(again.close)
        self.refused(again.refusal)

    def test_of_many_that_present_it_at_once_one_comes_in(self):
        for _ in range(5):
            ticket, statuses, start = self.ticket(), [], threading.Barrier(8)

            def present():
                with Raw(self.server.port) as raw:
                    start.wait()
                    raw.send(f"GET /stream/sse?ticket={ticket} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    statuses.append(raw.answer(head_only=True).status)

            threads = [threading.Thread(target=present) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(sorted(statuses), [200] + [401] * 7)

    def test_a_ticket_is_for_streams_only(self):
        ticket = self.ticket()
        for path in ("/contexts", "/metrics", "/locks"):
            self.refused(self.client.get(f"{path}?ticket={ticket}"), presented=False)
        self.refused(self.client.get("/contexts", bearer(ticket)))
        self.refused(self.client.request("POST", f"/auth/ticket?ticket={ticket}"), presented=False)
        # None of that has used it up.
        with Follower(self.server, "/stream/sse", ticket=ticket) as follower:
            self.assertEqual(follower.status, 200)

    def test_what_is_no_ticket_is_refused(self):
        first, second = self.ticket(), self.ticket()
        for query in (
                "ticket=", f"ticket={first[:-1]}", f"ticket={first}A", f"ticket={self.anna}", f"ticket={first}&ticket={second}",
                "ticket=%zz"):
            self.refused(self.client.get(f"/stream/sse?{query}"))

    def test_a_field_goes_before_a_ticket_and_must_be_right(self):
        ticket = self.ticket()
        self.refused(self.client.get(f"/stream/sse?ticket={ticket}", bearer("engram_nobody")))
        with Follower(self.server, "/stream/sse", ticket=ticket) as follower:
            self.assertEqual(follower.status, 200)

    def test_an_agent_has_a_limit_of_tickets(self):
        token = self.keys["HS256"].token(sub=Names.fresh("agent"), roles=[])
        for _ in range(64):
            self.ticket(token)
        answer = self.client.request("POST", "/auth/ticket", headers=bearer(token))
        self.assertEqual((answer.status, answer.json()["code"]), (429, "rate_limited"))
        self.assertIn("retry-after", answer.headers)
        self.ticket()

    def test_the_body_of_a_request_for_one_is_empty(self):
        for body, status in (("", 201), ("{}", 201), (" {} ", 201), ('{"agent":"root"}', 400), ("[]", 400), ("x", 400)):
            answer = self.client.request("POST", "/auth/ticket", body, {"Content-Type": "application/json"} | bearer(self.anna))
            self.assertEqual(answer.status, status, body)

    def test_without_authentication_there_are_none(self):
        with Server() as server, server.client() as client:
            answer = client.request("POST", "/auth/ticket")
            self.assertEqual((answer.status, answer.json()["code"]), (404, "not_found"))

    # -- reloads -------------------------------------------------------------------------------------------------

    def test_a_reload_takes_tokens_in_and_out(self):
        token = self.keep.token("carol", "worker")
        self.refused(self.client.get("/contexts", bearer(token)))
        self.reload()
        self.assertEqual(self.client.get("/contexts", bearer(token)).status, 200)
        ticket = self.ticket(token)
        lines = self.keep.tokens.read_text().splitlines(keepends=True)
        self.keep.tokens.write_text("".join(line for line in lines if not line.startswith("carol:")))
        self.reload()
        # On the very connection that had it, and with the ticket that it made.
        until(lambda: self.client.get("/contexts", bearer(token)).status == 401, what="the token's end")
        self.refused(self.client.get(f"/stream/sse?ticket={ticket}"))
        self.assertEqual(self.client.get("/contexts", bearer(self.anna)).status, 200)

    def test_a_stream_ends_with_its_token(self):
        token = self.keep.token("dora", "worker")
        self.reload()
        until(lambda: self.client.get("/contexts", bearer(token)).status == 200, what="the token")
        socket = WebSocket(self.server.port, fields=bearer(token))
        self.addCleanup(socket.close)
        socket.subscribed()
        lines = self.keep.tokens.read_text().splitlines(keepends=True)
        self.keep.tokens.write_text("".join(line for line in lines if not line.startswith("dora:")))
        self.reload()
        # Live streams have signs of life: without a time of its own this would wait for ever.
        ended = []
        thread = threading.Thread(target=lambda: ended.append(socket.end()), daemon=True)
        thread.start()
        thread.join(10)
        self.assertEqual(ended, [1008])

    def test_a_bad_file_changes_nothing(self):
        before = self.keep.tokens.read_text()
        self.keep.tokens.write_text(before + "eve:worker:nonsense\n")
        self.reload()
        self.keep.tokens.write_text(before)
        # The audit's line about the reload comes before those that say what was wrong.
        place = f"line {len(before.splitlines()) + 1} "
        until(lambda: any(place in line for line in self.server.stderr), what="a line that names the place")
        self.assertFalse(any("nonsense" in line for line in self.server.stderr))
        self.assertEqual(self.client.get("/contexts", bearer(self.anna)).status, 200)

    def test_keys_are_rotated(self):
        old, new = self.keys["ES256"], Key("ES256", self.keep.directory, kid="new")
        tokens = [key.token(sub="anna", roles=["worker"]) for key in (old, new)]
        statuses = lambda: [self.client.get("/contexts", bearer(token)).status for token in tokens]
        others = [key for key in self.keys.values() if key is not old]
        self.assertEqual(statuses(), [200, 401])
        self.keep.publish(old, new, *others)
        self.reload()
        until(lambda: statuses() == [200, 200], what="both keys")
        self.keep.publish(new, *others)
        self.reload()
        until(lambda: statuses() == [401, 200], what="the new key")
        self.keep.publish(*self.keys.values())
        self.reload()
        until(lambda: statuses() == [200, 401], what="the old key")

    # -- nothing is told -----------------------------------------------------------------------------------------

    def test_no_line_has_a_credential(self):
        jwt, ticket = self.keys["RS256"].token(sub="anna", exp=1), self.ticket()
        self.client.get("/contexts", bearer(jwt))
        self.client.get("/contexts", bearer("engram_wrong-" + "w" * 30))
        self.client.get(f"/stream/sse?ticket={ticket}x")
        for secret in (jwt, jwt.split(".")[2], ticket, self.anna, "engram_wrong"):
            for line in self.server.stdout + self.server.stderr:
                self.assertNotIn(secret, line)


class TokenCommandSuite(unittest.TestCase):
    def setUp(self):
        self.server = Server(start=False)
        self.addCleanup(self.server.discard)
        self.file = pathlib.Path(self.server.directory) / "tokens"

    def create(self, *arguments):
        return subprocess.run([BINARY, "token", "create", *arguments], capture_output=True, text=True)

    def test_the_token_is_shown_once_and_its_digest_is_kept(self):
        made = self.create("--agent", "anna", "--role", "worker", "--role", "reader", "--file", str(self.file))
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        token = made.stdout.strip()
        self.assertRegex(token, r"^engram_[A-Za-z0-9_-]{43}$")
        self.assertEqual(self.file.read_text(), f"anna:worker,reader:{hashlib.sha256(token.encode()).hexdigest()}\n")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)

    def test_without_a_file_the_line_goes_to_standard_error(self):
        made = self.create("--agent", "a:b c")
        self.assertEqual(made.stderr, f"a%3ab%20c::{hashlib.sha256(made.stdout.strip().encode()).hexdigest()}\n")

    def test_lines_are_appended_whole(self):
        self.file.touch(0o600)
        self.file.write_text("# no end of line")
        command = [BINARY, "token", "create", "--file", str(self.file), "--agent"]
        many = [subprocess.Popen([*command, f"a{n}"], stdout=subprocess.DEVNULL) for n in range(12)]
        self.assertEqual([one.wait() for one in many], [0] * 12)
        lines = self.file.read_text().splitlines()
        self.assertEqual(lines[0], "# no end of line")
        self.assertEqual(sorted(line.split(":")[0] for line in lines[1:]), sorted(f"a{n}" for n in range(12)))
        for line in lines[1:]:
            self.assertRegex(line, r"^a\d+::[0-9a-f]{64}$")

    def test_expiry(self):
        now = time.time()
        for text, seconds in (("90s", 90), ("30m", 1800), ("12h", 43200), ("365d", 31536000)):
            line = self.create("--agent", "a", "--expires", text).stderr
            ends = time.mktime(time.strptime(re.search(r":(\d{4}-.*)\.0+Z$", line)[1], "%Y-%m-%dT%H:%M:%S")) - time.timezone
            self.assertAlmostEqual(ends - now, seconds, delta=30)
        line = self.create("--agent", "a", "--expires", "2099-01-31T00:00:00Z").stderr
        self.assertTrue(line.endswith(":2099-01-31T00:00:00.000000Z\n"), line)
        for text in ("", "0s", "-5m", "5", "1y", "yesterday", "2001-01-01T00:00:00Z", "99999999999d", "+5m"):
            self.assertEqual(self.create("--agent", "a", f"--expires={text}").returncode, 64, text)

    def test_what_is_wrong_is_refused(self):
        for arguments in (
                (), ("--agent", ""), ("--agent", "a\nb"), ("--agent", "a" * 257), ("--agent", "a", "--role", ""),
                ("--agent", "a", "--role", "r" * 129)):
            made = self.create(*arguments, "--file", str(self.file))
            self.assertEqual((made.returncode, made.stdout), (64, ""), arguments)
        self.assertFalse(self.file.exists())
        self.file.touch()
        self.file.chmod(0o644)
        made = self.create("--agent", "a", "--file", str(self.file))
        self.assertEqual((made.returncode, made.stdout), (78, ""))
        self.assertIn("chmod 600", made.stderr)
        self.assertEqual(self.file.read_text(), "")
        self.assertEqual(self.create("--agent", "a", "--file", self.server.directory).returncode, 74)
        pipe = pathlib.Path(self.server.directory) / "pipe"
        os.mkfifo(pipe, 0o600)
        self.assertEqual(self.create("--agent", "a", "--file", str(pipe)).returncode, 78)
