"""Every route × every verb granted or not × several agents × own, foreign and missing resources, against the real
server. What a caller may not read must look, byte for byte, like what isn't there; what it may not change is a 403
that doesn't say whether it is there either.

Routes come from `/openapi.json`, policies from the list below; expectations are computed from the two here, not asked
of the server. A route that the contract has and this table hasn't is a failure, and so is a table that a wrong
expectation would not make fail."""

import copy
import json
import select
import socket
import time
import unittest

from access import EVERYTHING, Credential, Guarded, Rule
from harness import quoted, until, uuid7

CONTEXT_VERBS = ("context:read", "context:write")
LOCK_VERBS = ("lock:read", "lock:acquire", "lock:force")
VERBS = (*CONTEXT_VERBS, *LOCK_VERBS, "search", "metrics")
KINDS = ("own", "none", "foreign", "void")
"""A resource of the caller's namespace that is there, one that isn't, and the same of somebody else's namespace."""
COUNTERPART = {"own": "none", "foreign": "void"}
FOREIGN = "zz9"
PER_REQUEST = {"x-request-id", "date"}


def resources_of(verbs):
    found = []
    if set(verbs) & set(CONTEXT_VERBS):
        found.append("context/{agent}/**")
    if set(verbs) & set(LOCK_VERBS):
        found.append("lock/{agent}/**")
    return found


GRANTS = {"nothing": (), "all": VERBS} | {f"only-{verb}".replace(":", "."): (verb,) for verb in VERBS} | {
    f"all-but-{verb}".replace(":", "."): tuple(other for other in VERBS if other != verb) for verb in VERBS}


class Caller:
    """Who asks: what a grant allows to one of two agents, a root, or nobody."""

    def __init__(self, name, agent, verbs=(), everywhere=False, fields=None, known=True):
        self.name, self.agent, self.verbs, self.everywhere = name, agent, set(verbs), everywhere
        self.fields, self.known = fields or {}, known

    def may(self, verb, kind):
        return verb in self.verbs and (self.everywhere or verb in ("search", "metrics") or kind in ("own", "none"))

    def __repr__(self):
        return self.name


class Cell:
    """One request and its answer."""

    def __init__(self, case, caller, kind, status, headers, body, resource):
        self.case, self.caller, self.kind, self.status, self.headers = case, caller, kind, status, headers
        # As it was then: locks are made anew.
        self.body, self.resource = body, copy.copy(resource)

    def seen(self):
        """What can be compared with the answer about another resource."""
        body = self.body
        for text in self.resource.texts:
            body = body.replace(text.encode(), b"#" * len(text.encode()))
        headers = tuple((name, value) for name, value in self.headers if name.lower() not in PER_REQUEST)
        return self.status, headers, b"" if self.case.hides_nothing else strip_request_id(body)

    def __repr__(self):
        return f"{self.case} by {self.caller} on {self.kind}: {self.status} {self.body[:160]!r}"


def strip_request_id(body):
    """A problem names its request, in 16 digits."""
    mark = b'"request_id":"'
    at = body.find(mark)
    return body if at < 0 else body[:at + len(mark)] + body[at + len(mark) + 16:]


class Resource:
    """A context, a unit in it and a lock, all of one name, there or not."""

    def __init__(self, name):
        """Not there yet: unit and lock have names that nothing has."""
        self.name = name
        self.unit = uuid7()
        self.lock_id = uuid7()
        self.secret = None

    @property
    def texts(self):
        return (self.name, self.unit, self.lock_id)


class Case:
    """What a route needs, and how it answers: `gate` are verbs without which it is a 403, `needs` those for what is named,
    without which it is a 403 too, or, where it `hides`, as if that weren't there."""

    def __init__(self, route, request, gate=(), needs=(), there=200, absent=404, foreign=None, void=None, hides=False, open=False,
                 shows=None, needs_lock=False, hides_nothing=False, label=""):
        self.route, self.request, self.gate, self.needs, self.hides, self.open = route, request, list(gate), list(needs), hides, open
        self.statuses = {
            "own": there, "none": absent, "foreign": there if foreign is None else foreign,
            "void": absent if void is None else void}
        self.shows, self.needs_lock, self.hides_nothing = shows, needs_lock, hides_nothing
        self.label = label

    def __repr__(self):
        return self.route + self.label

    @property
    def verbs(self):
        return self.gate + self.needs

    def allowed(self, caller, kind):
        return all(caller.may(verb, kind) for verb in self.verbs)

    def judge(self, cell, counterpart, gate, needs):
        """What is wrong with an answer; None if nothing."""
        caller, kind = cell.caller, cell.kind
        if self.open:
            return None if cell.status == self.statuses[kind] else f"open, and answered {cell.status}"
        if not caller.known:
            if cell.status != 401:
                return f"nobody known asks, and is answered {cell.status}"
            if not any(name.lower() == "www-authenticate" and value.startswith("Bearer") for name, value in cell.headers):
                return "401 without WWW-Authenticate"
            return self.alike(cell, counterpart)
        passes = all(caller.may(verb, kind) for verb in gate)
        if passes and all(caller.may(verb, kind) for verb in needs):
            if cell.status != self.statuses[kind]:
                return f"allowed: expected {self.statuses[kind]}"
            if self.shows and kind in COUNTERPART and not self.shows(cell):
                return "allowed, and doesn't show the resource"
            return None
        if self.shows and self.shows(cell):
            return "denied, and shows the resource"
        expected = self.statuses["none"] if self.hides and passes else 403
        if cell.status != expected:
            return f"denied: expected {expected}"
        return self.alike(cell, counterpart)

    def alike(self, cell, counterpart):
        if counterpart is None or cell.seen() == counterpart.seen():
            return None
        return f"differs from what isn't there: {cell.seen()} and {counterpart.seen()}"


def secret(cell):
    return cell.resource.secret is not None and cell.resource.secret.encode() in cell.body


def named(cell):
    return f'"id":"{cell.resource.name}"'.encode() in cell.body


def locked(cell):
    return cell.resource.lock_id.encode() in cell.body


def unit_body(resource, **more):
    return {"context_id": resource.name, "type": "MESSAGE", "payload": "new"} | more


def cases():
    """The table: each route of the contract, with those of its variants that take another way."""
    reads = {"needs": ["context:read"], "hides": True}
    table = []

    def add(route, request, **options):
        table.append(Case(route, request, **options))

    for method in ("GET", "HEAD"):
        shows = {"shows": secret} if method == "GET" else {}
        add(f"{method} /workunit/{{id}}", lambda r: (f"/workunit/{r.unit}", None, {}), **reads, **shows)
        add(f"{method} /workunit/{{id}}/payload", lambda r: (f"/workunit/{r.unit}/payload", None, {}), **reads, **shows)
        add(f"{method} /workunit/{{id}}/payload", lambda r: (f"/workunit/{r.unit}/payload", None, {"If-None-Match": "*"}),
            **reads, there=304, label=" if none match")
        add(f"{method} /workunit/{{id}}/relationships", lambda r: (f"/workunit/{r.unit}/relationships", None, {}), **reads)
        for path in ("/workunits/{}", "/contexts/{}/workunits"):
            template = path.replace("{}", "{context_id}" if path.startswith("/workunits") else "{id}")
            add(f"{method} {template}", lambda r, path=path: (path.format(quoted(r.name)), None, {}),
                **reads, **shows, absent=200)
            add(f"{method} {template}", lambda r, path=path: (path.format(quoted(r.name)) + "?reverse=true&limit=2", None, {}),
                **reads, **shows, absent=200, label=" reversed")
        add(f"{method} /contexts/{{id}}", lambda r: (f"/contexts/{quoted(r.name)}", None, {}), **reads,
            **({"shows": named} if method == "GET" else {}))
        add(f"{method} /contexts/{{id}}", lambda r: (f"/contexts/{quoted(r.name)}", None, {"If-None-Match": "*"}),
            **reads, there=304, label=" if none match")
        add(f"{method} /contexts/{{id}}", lambda r: (f"/contexts/{quoted(r.name)}?include=pinned,recent", None, {}),
            **reads, **shows, label=" include")
        add(f"{method} /contexts", lambda r: (f"/contexts?prefix={quoted(r.name)}", None, {}), **reads, absent=200,
            **({"shows": named} if method == "GET" else {}))
        add(f"{method} /contexts", lambda r: (f"/contexts?agent_id={quoted(r.name[:3])}&prefix={quoted(r.name)}", None, {}),
            **reads, absent=200, **({"shows": named} if method == "GET" else {}), label=" of an agent")
        add(f"{method} /locks/{{path}}", lambda r: (f"/locks/{r.name}", None, {}), needs=["lock:read"], hides=True,
            **({"shows": locked} if method == "GET" else {}))
        for query, label in (("", ""), ("&agent_id={}", " of an agent")):
            add(f"{method} /locks", lambda r, query=query: (f"/locks?prefix={r.name}" + query.format(r.name[:3]), None, {}),
                needs=["lock:read"], hides=True, absent=200, **({"shows": locked} if method == "GET" else {}), label=label)
        add(f"{method} /metrics", lambda r: ("/metrics", None, {}), needs=["metrics"], absent=200, hides_nothing=True)
        add(f"{method} /readyz", lambda r: ("/readyz", None, {}), open=True, absent=200)
        add(f"{method} /readyz", lambda r: ("/readyz?verbose", None, {}), needs=["metrics"], absent=200, label="?verbose",
            hides_nothing=True)
        for path in ("/livez", "/healthz", "/version", "/openapi.json"):
            add(f"{method} {path}", lambda r, path=path: (path, None, {}), open=True, absent=200)
    for path in ("/stream", "/stream/sse", "/stream-sse"):
        add(f"HEAD {path}", lambda r, path=path: (f"{path}?context={quoted(r.name)}", None, {}), absent=200)
    add("POST /auth/ticket", lambda r: ("/auth/ticket", None, {}), there=201, absent=201, hides_nothing=True)
    add("POST /search", lambda r: ("/search", {"query": "", "context_id": r.name}, {}), gate=["search"], **reads, absent=200,
        shows=secret)
    add("POST /search", lambda r: ("/search", {"query": r.name.replace("/", "") + "word"}, {}), gate=["search"], **reads,
        absent=200, shows=secret, label=" without context")
    add("POST /search/relationships", lambda r: ("/search/relationships", {"target_id": r.unit}, {}), gate=["search"], **reads)

    writes = {"needs": ["context:write"], "there": 201, "absent": 201}
    add("POST /workunit", lambda r: ("/workunit", unit_body(r), {}), **writes)
    add("POST /workunit", lambda r: ("/workunit", unit_body(r), {"Prefer": "return=minimal", "Idempotency-Key": uuid7()}),
        **writes, label=" minimal")
    add("POST /workunits", lambda r: ("/workunits", [unit_body(r), unit_body(r)], {}), **writes)
    add("POST /workunits", lambda r: (
        "/workunits", '{"context_id":"%s","type":1,"payload":""}\n' % r.name, {"Content-Type": "application/x-ndjson"}),
        **writes, label=" lines")
    add("PATCH /contexts/{id}", lambda r: (f"/contexts/{quoted(r.name)}", {"display_name": "new"}, {}),
        needs=["context:write", "context:read"], there=200, absent=200)
    add("PATCH /contexts/{id}", lambda r: (f"/contexts/{quoted(r.name)}", {"display_name": "new"}, {"If-Match": '"0.0"'}),
        needs=["context:write", "context:read"], there=412, absent=412, label=" if match")
    add("POST /locks", lambda r: ("/locks", {"resource_path": r.name}, {}), needs=["lock:acquire"], absent=200, foreign=409,
        needs_lock=True)
    add("POST /locks", lambda r: ("/locks", {"resource_paths": [r.name, r.name + "/b"]}, {}), needs=["lock:acquire"],
        absent=200, foreign=409, needs_lock=True, label=" several")
    add("PUT /locks/{path}", lambda r: (f"/locks/{r.name}", {"lock_id": r.lock_id, "ttl_seconds": 600}, {}),
        needs=["lock:acquire"], absent=409, foreign=409, needs_lock=True)
    add("DELETE /locks/{path}", lambda r: (f"/locks/{r.name}", None, {}), needs=["lock:acquire"], foreign=409, needs_lock=True)
    add("DELETE /locks/{path}", lambda r: (f"/locks/{r.name}?force=true", None, {}), needs=["lock:force"], needs_lock=True,
        label=" by force")
    return table


STREAMS = ("GET /stream", "GET /stream/sse", "GET /stream-sse")
"""Their answers don't end: they are asked all at once, and looked at after a while."""


class AccessMatrixSuite(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.callers, rules = [], [EVERYTHING]
        for number, (name, verbs) in enumerate(GRANTS.items()):
            if verbs:
                rules.append(Rule(verbs, resources_of(verbs), roles=[name]))
            for twin in "ab":
                agent = f"{twin}{number:02d}"
                cls.callers.append(Caller(f"{agent} ({name})", agent, verbs, fields=Credential(agent, name).fields))
        granted = [Credential(caller.agent, name) for caller, name in zip(cls.callers, [name for name in GRANTS for _ in "ab"])]
        cls.callers += [
            Caller("root", "rot", VERBS, everywhere=True, fields=Credential("rot", "root").fields),
            Caller("nobody", "nob", known=False),
            Caller("a forger", "for", known=False, fields={"Authorization": "Bearer engram_forged"}),
            Caller("one with another scheme", "bas", known=False, fields={"Authorization": "Basic cm9vdDpyb290"})]
        # Each agent once more, with what it takes to put there what the agent itself may not.
        roots = [Credential(agent, "root") for agent in sorted({caller.agent for caller in cls.callers} | {FOREIGN, "xyz"})]
        # Nobody is slowed down here, and no answer says how often somebody unknown may still try.
        cls.server = Guarded(granted + roots, rules, more="[limits]\naddress_failures_per_second = 0\n")
        cls.client = cls.server.client()
        cls.raw = cls.server.raw()
        cls.table, cls.cells, cls.resources = cases(), [], {}
        foreign = cls.made(FOREIGN)
        for caller in cls.callers:
            cls.resources |= {
                (caller.agent, "own"): cls.made(caller.agent), (caller.agent, "none"): Resource(f"{caller.agent}/empty"),
                (caller.agent, "foreign"): foreign, (caller.agent, "void"): Resource(f"{FOREIGN}/empty")}
        cls.settle()
        # What changes nothing comes first: until then nothing moves that answers could differ by.
        safe = [case for case in cls.table if case.route.split()[0] in ("GET", "HEAD") or "search" in case.route]
        writes = [case for case in cls.table if case not in safe]
        for case in safe:
            cls.ask(case)
        cls.follow()
        for case in writes:
            cls.ask(case)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.raw.close()
        cls.server.discard()

    @classmethod
    def made(cls, agent):
        """A context with two units, one of which is pinned and leads to the other, and a lock: all of an agent."""
        resource, fields = Resource(f"{agent}/there"), Credential(agent, "root").fields
        resource.secret = f"secret{agent}there"
        word = resource.name.replace("/", "") + "word"
        resource.unit = cls.client.create(unit_body(resource, payload=f"{resource.secret} {word}"), fields)["id"]
        cls.client.create(
            unit_body(resource, payload="b", relationships=[{"target_id": resource.unit, "type": "CAUSES"}]), fields)
        answer = cls.client.request("PATCH", f"/contexts/{quoted(resource.name)}", {"pin_units": [resource.unit]}, fields)
        assert answer.status == 200, answer
        cls.lock(resource)
        return resource

    @classmethod
    def lock(cls, resource):
        """Has the owner hold the resource's lock."""
        answer = cls.client.request(
            "POST", "/locks", {"resource_path": resource.name, "ttl_seconds": 3600},
            Credential(resource.name[:3], "root").fields)
        assert answer.status == 200, answer
        resource.lock_id = answer.json()["lock"]["lock_id"]

    @classmethod
    def free(cls, resource):
        fields = Credential("xyz", "root").fields
        for path in (resource.name, resource.name + "/b"):
            cls.client.request("DELETE", f"/locks/{path}?force=true", headers=fields)

    @classmethod
    def settle(cls):
        """Waits until the index has all that was posted, so that answers don't differ by how far it is."""
        fields = Credential("xyz", "root").fields

        def has_all():
            answer = cls.client.post({"query": "", "limit": 1}, fields, path="/search").json()
            metrics = [answer["indexed_position"]]
            time.sleep(0.3)
            metrics.append(cls.client.post({"query": "", "limit": 1}, fields, path="/search").json()["indexed_position"])
            return metrics[0] == metrics[1] and not answer["partial"]

        until(has_all, what="an index that is up to date")

    @classmethod
    def ask(cls, case):
        method = case.route.split()[0]
        for caller in cls.callers:
            for kind in KINDS:
                resource = cls.resources[caller.agent, kind]
                if case.needs_lock:
                    cls.free(resource)
                    if kind in COUNTERPART:
                        cls.lock(resource)
                path, body, fields = case.request(resource)
                answer = cls.send(method, path, body, fields | caller.fields)
                headers = tuple(sorted(answer.headers.items()))
                cls.cells.append(Cell(case, caller, kind, answer.status, headers, answer.body, resource))

    @classmethod
    def send(cls, method, path, body, fields):
        """One request in one piece: whether its body has come with its head decides whether a refusal ends the connection."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in fields.items())]
        if body is not None:
            body = body if isinstance(body, str) else json.dumps(body)
            lines.append(f"Content-Length: {len(body.encode())}")
        data = "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or "").encode()
        answer = cls.raw.send(data).answer(head_only=method == "HEAD")
        if answer.headers.get("connection") == "close":
            cls.raw.close()
            cls.raw = cls.server.raw()
        return answer

    @classmethod
    def follow(cls):
        """The streams: all are begun, and what they have said is looked at once they are quiet."""
        for route in STREAMS:
            path = route.split()[1]
            for label, query, needs, shows in (
                    ("", "context={}", [], None),
                    (" from the start", "after=0&context={}", ["context:read"], secret),
                    (" unnamed", "after=0", ["context:read"], secret),
                    (" of contexts", "after=0&events=context&context={}", ["context:read"], named),
                    (" of locks", "after=0&events=lock&lock={}", ["lock:read"], locked)):
                case = Case(route, None, needs=needs, absent=200, hides=True, shows=shows, label=label)
                cls.table.append(case)
                cls.follow_all(case, path, query)
        upgrade = [
            "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        case = Case(
            STREAMS[0], None, needs=["context:read"], there=101, absent=101, hides=True, shows=secret, label=" upgraded")
        cls.table.append(case)
        cls.follow_all(case, "/stream", "after=0&context={}", upgrade)

    @classmethod
    def follow_all(cls, case, path, query, more=()):
        open_streams = {}
        for caller in cls.callers:
            for kind in KINDS:
                resource = cls.resources[caller.agent, kind]
                lines = [f"GET {path}?{query.format(quoted(resource.name))} HTTP/1.1", "Host: localhost", *more]
                lines += [f"{name}: {value}" for name, value in caller.fields.items()]
                peer = socket.create_connection(("127.0.0.1", cls.server.port))
                peer.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
                open_streams[peer] = [caller, kind, resource, b""]
        quiet = time.monotonic() + 1
        while time.monotonic() < quiet:
            for peer in select.select(list(open_streams), [], [], 0.1)[0]:
                chunk = peer.recv(1 << 16)
                if chunk:
                    open_streams[peer][3] += chunk
                    quiet = time.monotonic() + 0.5
                if not chunk or b"HTTP/1.1 401" in open_streams[peer][3]:
                    cls.heard(case, *open_streams.pop(peer))
                    peer.close()
        for peer, heard in open_streams.items():
            cls.heard(case, *heard)
            peer.close()

    @classmethod
    def heard(cls, case, caller, kind, resource, data):
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = tuple(sorted((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])))
        cls.cells.append(Cell(case, caller, kind, int(lines[0].split()[1]), headers, body, resource))

    # -- What is shown ---------------------------------------------------------------------------------------------------

    def gaps(self, mutated=None, gate=None, needs=None):
        """What is wrong with the answers; with `mutated`, what would be if its case needed something else."""
        found = []
        by_place = {(id(cell.case), cell.caller.name, cell.kind): cell for cell in self.cells}
        for cell in self.cells:
            if mutated is not None and cell.case is not mutated:
                continue
            counterpart = by_place.get((id(cell.case), cell.caller.name, COUNTERPART.get(cell.kind)))
            wrong = cell.case.judge(
                cell, counterpart, cell.case.gate if gate is None else gate, cell.case.needs if needs is None else needs)
            if wrong:
                found.append(f"{cell!r}\n    {wrong}")
        return found

    def test_every_cell_is_as_the_policy_says(self):
        found = self.gaps()
        denied = sum(
            1 for cell in self.cells
            if cell.caller.known and not cell.case.open and not cell.case.allowed(cell.caller, cell.kind))
        print(f"     {len(self.cells)} cells, of which {denied} are denied to somebody who is known, {len(found)} gaps")
        shown = "\n".join(found[:3] + found[3::max(1, len(found) // 12)])
        self.assertEqual(len(found), 0, f"{len(found)} gaps, of which\n{shown}")
        self.assertGreater(len(self.cells), 5000)

    def test_every_route_of_the_contract_is_in_the_table(self):
        document = self.server.client().get("/openapi.json").json()
        described = {
            f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item if method != "parameters"}
        self.assertEqual(described - {case.route for case in self.table}, set(), "routes without a case")
        self.assertEqual({case.route for case in self.table} - described, set(), "cases without a route")
        asked = {cell.case.route for cell in self.cells}
        self.assertEqual(described - asked, set(), "routes that nobody asked for")

    def test_every_verb_is_met_granted_and_not(self):
        for case in self.table:
            for verb in case.verbs:
                mine = [cell for cell in self.cells if cell.case is case and cell.caller.known and cell.kind == "own"]
                self.assertTrue([cell for cell in mine if verb in cell.caller.verbs], f"{case} {verb} granted")
                self.assertTrue([cell for cell in mine if verb not in cell.caller.verbs], f"{case} {verb} not granted")
        self.assertEqual({verb for case in self.table for verb in case.verbs}, set(VERBS))

    def test_a_wrong_expectation_would_be_found(self):
        """Each verb of each case, left out or taken for another: the same answers must then be wrong."""
        tried = 0
        for case in self.table:
            for verb in case.verbs:
                if case.shows is None and case.hides and verb in case.needs and case.statuses["own"] == case.statuses["none"]:
                    # HEAD of a list: there is nothing in it by which the two could be told apart but lengths.
                    continue
                tried += 1
                gate = [needed for needed in case.gate if needed != verb]
                needs = [needed for needed in case.needs if needed != verb]
                self.assertTrue(self.gaps(case, gate, needs), f"{case} would pass without {verb}")
                other = next(other for other in VERBS if other not in (*case.verbs, "metrics"))
                wrong = self.gaps(case, gate + [other] * (verb in case.gate), needs + [other] * (verb in case.needs))
                self.assertTrue(wrong, f"{case} would pass with {other} for {verb}")
        self.assertGreater(tried, 30)

    def test_the_server_lives(self):
        self.assertTrue(self.server.alive())
