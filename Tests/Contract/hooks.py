"""What JSON Schema can't say of a request, said to schemathesis; and how many cases it has run.

Loaded by `schemathesis` through SCHEMATHESIS_HOOKS. Changes only cases that are meant to be valid.
"""

import atexit
import collections
import json
import os

import schemathesis

IDENTIFIER_BYTES, METADATA_KEY_BYTES, METADATA_VALUE_BYTES, PATH_BYTES = 256, 128, 4096, 1024

COUNTS = collections.Counter()
STATUSES = collections.Counter()


def is_positive(case):
    return case.meta is None or case.meta.generation.mode.is_positive


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
    path = fence.get("resource_path") if isinstance(fence, dict) else None
    if isinstance(path, str) and too_long(path.removeprefix("/"), PATH_BYTES):
        return True
    return (
        any(too_long(unit.get(name), IDENTIFIER_BYTES) for name in ("context_id", "agent_id"))
        or any(pairs_too_long(holder.get(name)) for holder in holders for name in ("metadata", "meta")))


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
    named = [*(case.path_parameters or {}).values(), (case.query or {}).get("agent_id"), (case.query or {}).get("prefix")]
    if any(too_long(name, IDENTIFIER_BYTES) for name in named):
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
    if case.meta is not None and case.meta.phase.name.value == "stateful" and case.headers:
        case.headers.pop("Prefer", None)
    if not is_positive(case):
        return
    # A cursor is good only for the query that it came from.
    if case.query and case.query.get("cursor"):
        case.query.pop("cursor")
    found = units(case.body)
    if found and case.method == "POST":
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


@atexit.register
def report():
    path = os.environ.get("ENGRAM_CONTRACT_COUNTS")
    if path and COUNTS:
        with open(path, "w") as file:
            json.dump({"cases": COUNTS, "statuses": STATUSES}, file)
