"""What JSON Schema can't say of a request, said to schemathesis; and how many cases it has run.

Loaded by `schemathesis` through SCHEMATHESIS_HOOKS. Changes only cases that are meant to be valid.
"""

import atexit
import collections
import json
import os

import schemathesis

IDENTIFIER_BYTES, METADATA_KEY_BYTES, METADATA_VALUE_BYTES, PATH_BYTES = 256, 128, 4096, 1024
DISPLAY_NAME_BYTES = 1024

WAIT_SECONDS, TTL_SECONDS, FEW_TTL_SECONDS = 0.05, 1, 30
"""So long at most do requests wait for locks here, and hold them: else a run would take as long as its waits, and the
agents of many requests would soon have all the locks that one may have. Locks of the few paths are held for longer."""
FEW_PATHS = [f"few/{place}" for place in range(6)]
FEW_AGENTS = ["anna", "bob", "carl"]

GRANTED = collections.deque(maxlen=32)
"""Locks of the few paths that were granted, the latest last."""
POSTED = collections.deque(maxlen=32)
"""Units that were posted."""

COUNTS = collections.Counter()
STATUSES = collections.Counter()


def is_positive(case):
    return case.meta is None or case.meta.generation.mode.is_positive


def in_phase(case, name):
    return case.meta is not None and case.meta.phase.name.value == name


def units(body):
    """The units that a request's body holds."""
    if isinstance(body, dict):
        body = body["work_units"] if isinstance(body.get("work_units"), list) else [body]
    return [unit for unit in body if isinstance(unit, dict)] if isinstance(body, list) else []


def too_long(text, limit):
    return isinstance(text, str) and len(text.encode("utf-8", "surrogatepass")) > limit


def pairs_too_long(pairs):
    return isinstance(pairs, dict) and any(
        too_long(key, METADATA_KEY_BYTES) or too_long(value, METADATA_VALUE_BYTES) for key, value in pairs.items())


def unit_too_long(unit):
    holders = [unit, *(one for one in unit.get("relationships") or [] if isinstance(one, dict))]
    fence = unit.get("fence")
    if isinstance(fence, dict) and path_too_long(fence.get("resource_path")):
        return True
    return (
        any(too_long(unit.get(name), IDENTIFIER_BYTES) for name in ("context_id", "agent_id"))
        or any(pairs_too_long(holder.get(name)) for holder in holders for name in ("metadata", "meta")))


def path_too_long(path):
    return isinstance(path, str) and too_long(path.removeprefix("/"), PATH_BYTES)


def paths_of(body):
    """The paths that a request for locks names."""
    paths = [body.get("resource_path"), *(body.get("resource_paths") or [])] if isinstance(body, dict) else []
    return [path for path in paths if isinstance(path, str)]


def small_too_long(body):
    """Of a change of a context, or a request for locks: bytes that its schema counts as characters."""
    if not isinstance(body, dict):
        return False
    names = [body.get("agent_id"), *(body.get("add_agents") or []), *(body.get("remove_agents") or [])]
    return (
        any(too_long(name, IDENTIFIER_BYTES) for name in names) or any(map(path_too_long, paths_of(body)))
        or too_long(body.get("display_name"), DISPLAY_NAME_BYTES) or pairs_too_long(body.get("metadata")))


def shortened(case):
    """Waits and lives of locks that are within the limits become short ones, whatever else is wrong with the request."""
    body = case.body
    if not isinstance(body, dict) or not case.path.startswith("/locks"):
        return
    for name, longest in (("wait_seconds", WAIT_SECONDS), ("ttl_seconds", TTL_SECONDS)):
        value = body.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and longest < value <= 86400:
            if name == "ttl_seconds" or value <= 300:
                body[name] = longest


def turn(case):
    """A number of this case, the same whenever the run is repeated."""
    return COUNTS[f"{case.method} {case.path}"]


def name_agent(case, places):
    """The agent is named once: in one of these places (a body, a query), else in the field."""
    if any(isinstance(place, dict) and "agent_id" in place for place in places):
        case.headers.pop("X-Agent-ID", None)
    else:
        case.headers.setdefault("X-Agent-ID", "anna")


def patch_that_may_be(case):
    """What a schema can't say of a change of a context: nothing in two lists, and pinned are units of the context."""
    body = case.body
    if body.get("add_agents"):
        body.pop("remove_agents", None)
    body.pop("pin_units", None)
    if POSTED and turn(case) % 2 == 0:
        unit = POSTED[turn(case) // 2 % len(POSTED)]
        case.path_parameters["id"], body["pin_units"] = unit["context_id"], [unit["id"]]
        body.pop("unpin_units", None)


def locks_that_meet(case):
    """Every other request names one of few paths and agents, so that locks are held, renewed and refused."""
    body = case.body if isinstance(case.body, dict) else None
    few = turn(case) % 2 == 0
    if case.method == "POST" and body is not None:
        # Without a word on them, locks would be held for a minute.
        body.setdefault("ttl_seconds", TTL_SECONDS)
        if few:
            place = turn(case) // 2
            if "resource_path" in body:
                body["resource_path"] = FEW_PATHS[place % len(FEW_PATHS)]
            else:
                body["resource_paths"] = [FEW_PATHS[place % 3 + 1], FEW_PATHS[place % 3]]
            body["agent_id"] = FEW_AGENTS[place // len(FEW_PATHS) % len(FEW_AGENTS)]
            body["ttl_seconds"] = FEW_TTL_SECONDS
        elif "resource_paths" in body:
            # Two spellings are one path, which may be named once.
            body["resource_paths"] = list({path.removeprefix("/"): path for path in body["resource_paths"]}.values())
        if in_phase(case, "stateful") and "resource_paths" in body:
            # Links point into the answer to a request for one.
            body["resource_path"] = body.pop("resource_paths")[0]
    elif "path" in (case.path_parameters or {}) and GRANTED and few and not in_phase(case, "stateful"):
        lock = GRANTED[turn(case) // 2 % len(GRANTED)]
        case.path_parameters["path"] = lock["resource_path"]
        if case.method == "PUT" and body is not None:
            body["lock_id"], body["ttl_seconds"] = lock["lock_id"], FEW_TTL_SECONDS
            body.pop("agent_id", None)
        elif case.method == "DELETE":
            case.query = {name: value for name, value in (case.query or {}).items() if name != "lock_id"}
            case.query["agent_id"] = lock["holder_agent"]
    if case.method == "POST":
        name_agent(case, [body])
    elif case.method == "PUT" and (few or "agent_id" in (body or {})):
        case.headers.pop("X-Agent-ID", None)
    elif case.method == "DELETE":
        name_agent(case, [case.query])


def whole(value):
    """1.0 is an integer to JSON Schema; the contract wants integers without fraction and exponent. Values that are
    ignored may be anything, but integers beyond 2^53 are refused wherever they stand."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, int) and abs(value) >= 2**53:
        return 0
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    return [whole(one) for one in value] if isinstance(value, list) else value


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """The document gives the lines as an array, as OpenAPI 3.2 reads sequential media types."""
    if isinstance(value, list):
        return "".join(json.dumps(one) + "\n" for one in value).encode("utf-8", "surrogatepass")
    return json.dumps(value).encode("utf-8", "surrogatepass")


@schemathesis.hook
def filter_case(context, case):
    """Lengths are counted in bytes of UTF-8, which a schema counts in characters."""
    if not is_positive(case):
        return True
    named = [value for name, value in (case.path_parameters or {}).items() if name != "path"]
    paths = [(case.path_parameters or {}).get("path")]
    (paths if case.path.startswith("/locks") else named).append((case.query or {}).get("prefix"))
    if any(too_long(name, IDENTIFIER_BYTES) for name in [*named, (case.query or {}).get("agent_id")]):
        return False
    if any(map(path_too_long, paths)) or (case.method in ("PATCH", "PUT") or case.path == "/locks") and small_too_long(case.body):
        return False
    # The object `metadata` of the query, whether schemathesis has spread it over the query yet or not.
    query = dict(case.query or {})
    if isinstance(query.get("metadata"), dict):
        query |= query.pop("metadata")
    if any(too_long(key, METADATA_KEY_BYTES + len("metadata.")) or too_long(value, METADATA_VALUE_BYTES)
           for key, value in query.items() if key.startswith("metadata.")):
        return False
    return not any(unit_too_long(unit) for unit in units(case.body))


@schemathesis.hook
def before_call(context, case, kwargs):
    # Links point into a whole answer.
    if in_phase(case, "stateful") and case.headers:
        case.headers.pop("Prefer", None)
    shortened(case)
    if not is_positive(case):
        return
    # A cursor is good only for the query that it came from.
    if case.query and case.query.get("cursor"):
        case.query.pop("cursor")
    if case.path.startswith("/locks"):
        locks_that_meet(case)
    if case.method == "PATCH" and isinstance(case.body, dict):
        patch_that_may_be(case)
        name_agent(case, [case.body])
    found = units(case.body)
    if found and case.method == "POST" and not case.path.startswith("/locks"):
        # The agent is named once, in the field or in the body.
        if all("agent_id" in unit for unit in found):
            case.headers.pop("X-Agent-ID", None)
        else:
            for unit in found:
                unit.pop("agent_id", None)
            case.headers.setdefault("X-Agent-ID", "anna")
        # An id stands once in a batch.
        seen = set()
        for unit in found:
            if str(unit.get("id")).lower() in seen:
                unit.pop("id")
            elif "id" in unit:
                seen.add(unit["id"].lower())
        case.body = whole(case.body)


@schemathesis.hook
def after_call(context, case, response):
    COUNTS[f"{case.method} {case.path}"] += 1
    STATUSES[f"{case.method} {case.path} {response.status_code}"] += 1
    if (case.method, case.path, response.status_code) == ("POST", "/locks", 200):
        answer = response.json()
        locks = answer.get("locks") or [answer["lock"]]
        GRANTED.extend(lock for lock in locks if lock["resource_path"] in FEW_PATHS)
    if (case.method, case.path, response.status_code) == ("POST", "/workunit", 201):
        # Not what `Prefer: return=minimal` leaves of it.
        POSTED.extend(unit for unit in [response.json().get("work_unit")] if unit)


@atexit.register
def report():
    path = os.environ.get("ENGRAM_CONTRACT_COUNTS")
    if path and COUNTS:
        with open(path, "w") as file:
            json.dump({"cases": COUNTS, "statuses": STATUSES}, file)
