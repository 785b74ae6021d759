"""What is allowed, beyond the cells of the matrix: refusals before a body is read, who is the agent, batches, fences, locks
of others, ids that are taken, names that look like patterns, and policies that change while connections live."""

import base64
import os
import signal
import time
import unittest

from access import EVERYTHING, Credential, Guarded, Rule
from harness import Names, quoted, until, uuid7

ROOT = Credential("root", "root")
ANA = Credential("ana", "member")
BEN = Credential("ben", "member")
STAR = Credential("*", "member", token="engram_star")
SLASH = Credential("ana%2Fx", "member", token="engram_slash")
SCRIBE = Credential("scribe", "scribe")
LOCKER = Credential("locker", "locker")
WATCHER = Credential("watcher", "watcher")
FORCER = Credential("forcer", "forcer")
NEWCOMER = Credential("newcomer", "nothing")
KEEPER = Credential("keeper", "root")
ALL = [ROOT, KEEPER, ANA, BEN, STAR, SLASH, SCRIBE, LOCKER, WATCHER, FORCER, NEWCOMER]
MEMBERS = Rule(
    ["context:read", "context:write", "lock:read", "lock:acquire", "search"],
    ["context/{agent}/**", "context/shared/*", "lock/{agent}/**", "lock/shared/*"], roles=["member"])
RULES = [
    EVERYTHING, MEMBERS,
    Rule(["context:write"], ["context/shared/**"], roles=["scribe"]),
    Rule(["lock:acquire"], ["lock/**"], roles=["locker"]),
    Rule(["lock:read"], ["lock/shared/**"], agents=["watcher"]),
    Rule(["lock:force"], ["lock/shared/**"], roles=["forcer"])]


def head(method, path, *fields):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields]).encode() + b"\r\n\r\n"


def field(credential):
    return f"Authorization: Bearer {credential.token}"


def unit(context, **more):
    return {"context_id": context, "type": "MESSAGE", "payload": ""} | more


class AuthorizationSuite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Guarded(ALL, RULES)
        cls.client = cls.server.client()

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.discard()

    def ask(self, credential, method, path, body=None, **fields):
        return self.client.request(method, path, body, credential.fields | fields)

    def code(self, answer):
        return answer.status, answer.json()["code"]

    # -- Before the body -------------------------------------------------------------------------------------------------

    def test_nobody_sends_a_body_in_vain(self):
        for route, fields, status in (
                ("/workunit", [], 401), ("/workunits", ["Authorization: Bearer wrong"], 401), ("/search", [], 401),
                ("/nowhere", [], 401), ("/workunit", [field(NEWCOMER)], 403), ("/search", [field(NEWCOMER)], 403),
                ("/locks", [field(NEWCOMER)], 403)):
            for length in ("Content-Length: 16777216", "Transfer-Encoding: chunked", "Content-Length: 1"):
                for expects in ([], ["Expect: 100-continue"]):
                    with self.server.raw() as raw:
                        raw.send(head("POST", route, length, *fields, *expects))
                        # The first that is said is the refusal: no 100, and nothing of the body is waited for.
                        self.assertEqual(raw.interim(), status, (route, length, expects))
                        answer = raw.answer()
                        self.assertEqual(answer.headers.get("connection"), "close")
                        self.assertTrue(raw.ended(10))

    def test_a_refusal_whose_body_is_there_leaves_the_connection(self):
        with self.server.raw() as raw:
            for _ in range(3):
                for fields, status in (([], 401), ([field(NEWCOMER)], 403), ([field(SCRIBE)], 201)):
                    body = b'{"context_id":"shared/kept","type":1,"payload":""}'
                    raw.send(head("POST", "/workunit", f"Content-Length: {len(body)}", *fields) + body)
                    answer = raw.answer()
                    self.assertEqual(answer.status, status)
                    self.assertNotIn("connection", answer.headers)

    def test_a_peer_that_sends_on_is_told_all_the_same(self):
        with self.server.raw() as raw:
            raw.send(head("POST", "/workunit", "Content-Length: 8000000") + b"x" * 2_000_000)
            self.assertEqual(raw.answer().status, 401)

    # -- Who -------------------------------------------------------------------------------------------------------------

    def test_the_credential_says_who(self):
        made = self.ask(ANA, "POST", "/workunit", unit("ana/who"))
        self.assertEqual(made.json()["work_unit"]["agent_id"], "ana")
        self.assertEqual(self.ask(ANA, "POST", "/workunit", unit("ana/who", agent_id="ana")).status, 201)
        answer = self.ask(ANA, "POST", "/workunit", unit("ana/who", agent_id="ben"))
        self.assertEqual((self.code(answer), answer.pointers()), ((403, "permission_denied"), ["/agent_id"]))
        answer = self.ask(ANA, "POST", "/workunits", [unit("ana/who"), unit("ana/who", agent_id="ben")])
        self.assertEqual((answer.status, answer.pointers()), (403, ["/1/agent_id"]))
        for method, path, body in (
                ("POST", "/workunit", unit("ana/who")), ("PATCH", "/contexts/ana%2Fwho", {}),
                ("POST", "/locks", {"resource_path": "ana/who"}), ("DELETE", "/locks/ana/who", None)):
            answer = self.ask(ANA, method, path, body, **{"X-Agent-ID": "ben"})
            self.assertEqual(self.code(answer), (403, "permission_denied"), path)
        self.assertEqual(self.ask(ANA, "DELETE", "/locks/ana/who?agent_id=ben").status, 403)
        units = self.ask(ANA, "GET", "/workunits/ana%2Fwho").json()["work_units"]
        self.assertEqual({one["agent_id"] for one in units}, {"ana"})
        self.assertEqual(len(units), 2)

    def test_callers_take_turns_on_one_connection(self):
        for _ in range(20):
            for credential in (ANA, BEN):
                answer = self.ask(credential, "POST", "/workunit", unit("shared/turns"))
                self.assertEqual(answer.json()["work_unit"]["agent_id"], credential.agent)
            self.assertEqual(self.client.request("GET", "/contexts").status, 401)
            self.assertEqual(self.client.get("/contexts", {"Authorization": f"Bearer {ANA.token[:-1]}"}).status, 401)

    def test_what_was_wrong_is_not_said(self):
        bodies = set()
        for value in (
                "Bearer wrong", f"Bearer {ANA.token}x", f"Bearer {ANA.token[:-1]}", "Bearer", "Basic YTpi",
                f"Bearer {ANA.token} {ANA.token}", "Bearer " + "x" * 4000, "Bearer a.b.c"):
            answer = self.client.get("/contexts", {"Authorization": value, "X-Request-ID": "same"})
            self.assertEqual(answer.headers["www-authenticate"], 'Bearer realm="engram", error="invalid_token"')
            bodies.add((answer.status, answer.body))
        self.assertEqual(len(bodies), 1)
        answer = self.client.get("/contexts")
        self.assertEqual((answer.status, answer.headers["www-authenticate"]), (401, 'Bearer realm="engram"'))

    def test_an_id_that_looks_like_a_pattern_gains_nothing(self):
        theirs = self.ask(ANA, "POST", "/workunit", unit("ana/x/y", payload="theirs")).json()["work_unit"]
        for credential in (STAR, SLASH):
            for path in (f"/workunit/{theirs['id']}", "/contexts/ana%2Fx%2Fy", "/contexts/ana%2Fx"):
                self.assertEqual(self.ask(credential, "GET", path).status, 404, (credential.agent, path))
            for context in ("ana/x", "ana/x/y", "ana", "ben/a", "other/a", "ana/x/ana/x"):
                answer = self.ask(credential, "POST", "/workunit", unit(context))
                self.assertEqual(answer.status, 403, (credential.agent, context))
        # `*` has its own, which is nobody else's.
        self.assertEqual(self.ask(STAR, "POST", "/workunit", unit("*/own")).status, 201)
        self.assertEqual(self.ask(ANA, "POST", "/workunit", unit("*/own")).status, 403)

    def test_segments_are_segments(self):
        for context, status in (
                ("shared/a", 201), ("shared/a/b", 403), ("shared", 403), ("sharedx/a", 403), ("ana", 201), ("anab", 403),
                ("ana/b/c/d", 201), ("Ana/b", 403), ("ana/../ben/b", 201), ("./ana", 403), ("/ana", 403)):
            self.assertEqual(self.ask(ANA, "POST", "/workunit", unit(context)).status, status, context)
        # Dots mean nothing in an id: what was written above is one of ana's, and none of ben's.
        self.assertEqual(self.ask(BEN, "GET", "/workunits/ben%2Fb").json()["work_units"], [])
        # A path is decoded once, and compared as it is then.
        self.assertEqual(self.ask(ANA, "GET", "/contexts/%61na").status, 200)
        self.assertEqual(self.ask(ANA, "GET", "/contexts/%2561na").status, 404)

    # -- Units -----------------------------------------------------------------------------------------------------------

    def test_a_batch_with_one_forbidden_unit_is_refused_whole(self):
        context = Names.fresh("ana/batch")
        lines = "".join('{"context_id":"%s","type":1,"payload":""}\n' % name for name in (context, context, "ben/x"))
        for body, pointer, fields in (
                ([unit(context), unit(context), unit("ben/x")], "/2/context_id", {}),
                ({"work_units": [unit("ben/x"), unit(context)]}, "/work_units/0/context_id", {}),
                (lines, "/2/context_id", {"Content-Type": "application/x-ndjson"})):
            answer = self.ask(ANA, "POST", "/workunits", body, **fields)
            self.assertEqual((self.code(answer), answer.pointers()), ((403, "permission_denied"), [pointer]))
        self.assertEqual(self.ask(ROOT, "GET", f"/workunits/{quoted(context)}").json()["work_units"], [])

    def test_who_may_only_write_sees_what_it_wrote_and_no_more(self):
        context = "shared/" + Names.fresh("log")
        answer = self.ask(SCRIBE, "POST", "/workunit", unit(context, payload="mine"))
        self.assertEqual(answer.status, 201)
        self.assertEqual(self.ask(SCRIBE, "GET", f"/workunit/{answer.json()['work_unit']['id']}").status, 404)
        self.assertEqual(self.ask(SCRIBE, "GET", f"/workunits/{quoted(context)}").json()["work_units"], [])
        for name in (context, context + "-new"):
            self.assertEqual(self.ask(SCRIBE, "PATCH", f"/contexts/{quoted(name)}", {"metadata": {"a": "b"}}).status, 403)
        self.assertEqual(self.ask(ROOT, "GET", f"/contexts/{quoted(context + '-new')}").status, 404)

    def test_an_id_that_is_taken_somewhere_else_shows_nothing(self):
        chosen = uuid7()
        self.assertEqual(self.ask(BEN, "POST", "/workunit", unit("ben/ids", id=chosen, payload="hidden")).status, 201)
        for payload in ("hidden", "other"):
            answer = self.ask(ANA, "POST", "/workunit", unit("ana/ids", id=chosen, payload=payload))
            self.assertEqual((self.code(answer), answer.pointers()), ((409, "conflict"), ["/id"]))
            self.assertNotIn(b"ben", answer.body)
            self.assertNotIn(b"hidden", answer.body)
        answer = self.ask(ANA, "PATCH", "/contexts/ana%2Fids", {"pin_units": [chosen]})
        missing = self.ask(ANA, "PATCH", "/contexts/ana%2Fids", {"pin_units": [uuid7()]})
        self.assertEqual((answer.status, answer.json()["detail"]), (missing.status, missing.json()["detail"]))

    def test_a_fence_tells_nothing_of_a_hidden_lock(self):
        lock = self.ask(BEN, "POST", "/locks", {"resource_path": "ben/fence"}).json()["lock"]
        fence = {"resource_path": "ben/fence", "token": lock["token"]}
        free = {"resource_path": "ben/freed", "token": lock["token"]}
        answers = [
            self.ask(ANA, "POST", "/workunit", unit("ana/fence", fence=one), **{"X-Request-ID": "same"}) for one in (fence, free)]
        self.assertEqual(self.code(answers[0]), (409, "fence_rejected"))
        self.assertEqual(answers[0].body, answers[1].body)
        self.assertEqual(self.ask(BEN, "POST", "/workunit", unit("ben/fence", fence=fence)).status, 201)

    # -- Locks -----------------------------------------------------------------------------------------------------------

    def test_who_may_not_read_a_lock_is_not_told_who_holds_it(self):
        self.assertEqual(self.ask(ANA, "POST", "/locks", {"resource_path": "shared/held"}).status, 200)
        known = self.ask(BEN, "POST", "/locks", {"resource_path": "shared/held"})
        self.assertEqual((self.code(known), known.json()["holder_agent"]), ((409, "lock_held"), "ana"))
        for method, path, body in (
                ("POST", "/locks", {"resource_path": "shared/held"}), ("DELETE", "/locks/shared/held", None),
                ("PUT", "/locks/shared/held", {"lock_id": uuid7()})):
            answer = self.ask(LOCKER, method, path, body)
            self.assertEqual(answer.status, 409, (method, answer))
            self.assertNotIn(b"ana", answer.body)
            self.assertNotIn("holder_agent", answer.json())
            self.assertNotIn("expires_at", answer.json())
        self.assertEqual(self.ask(LOCKER, "GET", "/locks/shared/held").status, 404)
        self.assertEqual(self.ask(WATCHER, "GET", "/locks/shared/held").json()["lock"]["holder_agent"], "ana")
        self.assertEqual(self.ask(WATCHER, "DELETE", "/locks/shared/held").status, 403)

    def test_a_circle_is_told_to_those_who_may_read_the_locks(self):
        def circle(first, second, one, other):
            self.assertEqual(self.ask(first, "POST", "/locks", {"resource_path": one}).status, 200)
            self.assertEqual(self.ask(second, "POST", "/locks", {"resource_path": other}).status, 200)
            body = b'{"resource_path":"%s","wait_seconds":20}' % other.encode()
            for _ in range(20):
                with self.server.raw() as waiting:
                    # A connection that the server knows already: its request is there before the next one.
                    self.assertEqual(waiting.send(head("GET", "/livez")).answer().status, 200)
                    waiting.send(head("POST", "/locks", field(first), f"Content-Length: {len(body)}") + body)
                    answer = self.ask(second, "POST", "/locks", {"resource_path": one, "wait_seconds": 0.2})
                    if answer.json()["code"] == "deadlock":
                        return answer
            self.fail("the first one's wait never came first")

        told = circle(ROOT, KEEPER, "circle/a", "circle/b")
        self.assertEqual(set(told.json()["cycle"]), {"root", "keeper"})
        answer = circle(ANA, LOCKER, "shared/c1", "shared/c2")
        self.assertNotIn("cycle", answer.json())
        self.assertNotIn(b"ana", answer.body)

    def test_lists_of_locks_show_what_may_be_read_and_their_cursors_nothing_else(self):
        for number in range(6):
            for credential in (ANA, BEN):
                path = f"{credential.agent}/list/{number}"
                self.assertEqual(self.ask(credential, "POST", "/locks", {"resource_path": path}).status, 200)
        for limit in (1, 2, 5, 6, 7):
            found, cursor = [], ""
            while True:
                page = self.ask(ANA, "GET", f"/locks?limit={limit}&cursor={quoted(cursor)}").json()
                found += [lock["resource_path"] for lock in page["locks"]]
                cursor = page["next_cursor"]
                if not cursor:
                    break
                self.assertNotIn(b"ben", base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            self.assertEqual([path for path in found if "/list/" in path], [f"ana/list/{number}" for number in range(6)])
            self.assertFalse([path for path in found if path.startswith("ben/")])
        self.assertEqual(self.ask(ANA, "GET", "/locks?agent_id=ben&prefix=ben").json(), {"locks": [], "next_cursor": ""})

    def test_force_is_a_right_of_its_own(self):
        for credential in (ANA, BEN, LOCKER, WATCHER):
            for path in ("shared/forced", "shared/nobody"):
                self.assertEqual(self.ask(credential, "DELETE", f"/locks/{path}?force=true").status, 403, credential.agent)
        self.assertEqual(self.ask(ANA, "POST", "/locks", {"resource_path": "shared/forced"}).status, 200)
        self.assertEqual(self.ask(FORCER, "DELETE", "/locks/shared/forced").status, 403)
        self.assertEqual(self.ask(FORCER, "DELETE", "/locks/ana/list?force=true").status, 403)
        answer = self.ask(FORCER, "DELETE", "/locks/shared/forced?force=true")
        self.assertEqual(answer.json(), {"released": True, "holder_agent": "ana"})
        self.assertEqual(self.ask(FORCER, "DELETE", "/locks/shared/forced?force=true").status, 404)

    def test_of_several_locks_all_must_be_allowed(self):
        answer = self.ask(ANA, "POST", "/locks", {"resource_paths": ["ana/s1", "shared/s2", "ben/s3"]})
        self.assertEqual((self.code(answer), answer.pointers()), ((403, "permission_denied"), ["/resource_paths/2"]))
        answer = self.ask(ANA, "POST", "/locks", {"resource_path": "ben/s3"})
        self.assertEqual(answer.pointers(), ["/resource_path"])
        self.assertEqual(self.ask(ROOT, "GET", "/locks/ana/s1").status, 404)


class ChangingPolicySuite(unittest.TestCase):
    """The configuration is read again while connections live."""

    def setUp(self):
        self.server = Guarded(ALL, RULES)
        self.client = self.server.client()
        self.addCleanup(self.server.discard)
        self.addCleanup(self.client.close)

    def reload(self, credentials, rules):
        said = len(self.server.stderr)
        self.server.configure(credentials, rules)
        os.kill(self.server.process.pid, signal.SIGHUP)
        until(lambda: any("reload" in line for line in self.server.stderr[said:]), what="a line about the reload")

    def status(self, credential, context="ana/x"):
        return self.client.request("POST", "/workunit", unit(context), credential.fields).status

    def test_the_next_request_is_judged_by_the_new_policy(self):
        self.assertEqual((self.status(ANA), self.status(BEN, "ben/x")), (201, 201))
        self.reload(ALL, [EVERYTHING])
        until(lambda: self.status(ANA) == 403, what="the new policy")
        self.assertEqual(self.client.get("/workunits/ana%2Fx", ANA.fields).json()["work_units"], [])
        self.reload(ALL, RULES)
        until(lambda: self.status(ANA) == 201, what="the old policy")

    def test_a_body_that_comes_later_is_judged_when_it_is_there(self):
        body = b'{"context_id":"ana/late","type":1,"payload":""}'
        lock = b'{"resource_path":"ana/late","ttl_seconds":60}'

        def begun(credential, path, body):
            raw = self.server.raw()
            self.addCleanup(raw.close)
            raw.send(head("POST", path, f"Content-Length: {len(body)}", field(credential)) + body[:10])
            return raw, body[10:]
        waiting = [begun(ANA, "/workunit", body), begun(ANA, "/locks", lock)]
        others = [begun(BEN, "/workunit", body.replace(b"ana", b"ben"))]
        time.sleep(0.3)
        self.reload([credential for credential in ALL if credential is not ANA], RULES)
        until(lambda: self.status(ANA) == 401, what="the new tokens")
        for raw, rest in waiting:
            self.assertEqual(raw.send(rest).answer().status, 401)
        for raw, rest in others:
            self.assertEqual(raw.send(rest).answer().status, 201)
        raw, rest = begun(BEN, "/search", b'{"query":"words"}')
        time.sleep(0.3)
        self.reload(ALL, [EVERYTHING])
        self.assertEqual(raw.send(rest).answer().status, 403)

    def test_a_token_that_is_taken_back_is_none(self):
        self.assertEqual((self.status(ANA), self.status(BEN, "ben/x")), (201, 201))
        self.reload([credential for credential in ALL if credential is not ANA], RULES)
        until(lambda: self.status(ANA) == 401, what="the new tokens")
        self.assertEqual(self.status(BEN, "ben/x"), 201)

    def test_what_is_wrong_leaves_what_was(self):
        self.server.write("engram.toml", "[[policy]]\nverbs = []\n")
        said = len(self.server.stderr)
        os.kill(self.server.process.pid, signal.SIGHUP)
        until(lambda: any("refused" in line for line in self.server.stderr[said:]), what="a line about the refusal")
        self.assertEqual((self.status(ANA), self.status(ANA, "ben/x")), (201, 403))

    def test_a_replay_is_judged_anew(self):
        fields = ANA.fields | {"Idempotency-Key": "once"}
        first = self.client.request("POST", "/workunit", unit("ana/x", payload="secret"), fields)
        again = self.client.request("POST", "/workunit", unit("ana/x", payload="secret"), fields)
        self.assertEqual((first.status, first.body), (again.status, again.body))
        self.reload(ALL, [EVERYTHING, Rule(["context:write"], ["context/other"], agents=["ana"])])
        until(lambda: self.status(ANA) == 403, what="the new policy")
        answer = self.client.request("POST", "/workunit", unit("ana/x", payload="secret"), fields)
        self.assertEqual(answer.status, 403)
        self.assertNotIn(b"secret", answer.body)

    def test_who_waits_for_a_lock_gets_what_may_be_had_then(self):
        """The policy changes, or a token is taken back, while requests wait: what comes free goes to nobody."""
        def wait(raw, path):
            body = b'{"resource_path":"%s","wait_seconds":60}' % path.encode()
            raw.send(head("POST", "/locks", field(ANA), f"Content-Length: {len(body)}") + body)

        for credentials, rules, status in (
                (ALL, [EVERYTHING], 403), ([one for one in ALL if one is not ANA], RULES, 401)):
            self.reload(ALL, RULES)
            until(lambda: self.status(ANA) == 201, what="the old policy")
            held = self.client.request("POST", "/locks", {"resource_path": "shared/w"}, BEN.fields)
            self.assertEqual(held.status, 200)
            with self.server.raw() as raw:
                wait(raw, "shared/w")
                self.reload(credentials, rules)
                until(lambda: self.status(ANA) == status, what="the new configuration")
                free = self.client.request("DELETE", "/locks/shared/w?force=true", headers=ROOT.fields)
                self.assertEqual(free.status, 200)
                self.assertEqual(raw.answer().status, status)
            self.assertEqual(self.client.get("/locks/shared/w", ROOT.fields).status, 404)

    def test_a_token_ends_on_the_connection_that_it_was_good_for(self):
        ends = int(time.time()) + 2
        credential = Credential("ana", "member", token="engram_brief")
        self.server.write("tokens", "".join(f"{one.line}\n" for one in ALL) + f"{credential.line}:{ends}\n")
        os.kill(self.server.process.pid, signal.SIGHUP)
        until(lambda: self.status(credential) == 201, what="the new token")
        until(lambda: self.status(credential) == 401, what="the end of the token")
        self.assertGreaterEqual(time.time(), ends)
