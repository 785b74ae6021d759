"""What it costs to ask who is there: durable posts with authentication and policies on, against the same without."""

import base64
import hashlib
import hmac
import json
import os
import time

from measure import Failed, median, wrk
from rows import CONNECTIONS, Row, thousands
from servers import PAYLOAD_BYTES, Engram, scratch, unit_file

ISSUER, AUDIENCE = "https://issuer.example", "engram"
# What a policy has: rules for others, and the agent's own by role and name.
POLICIES = """
[[policy]]
roles = ["operator"]
verbs = ["context:read", "lock:read", "lock:force", "metrics"]
resources = ["context/**", "lock/**"]
[[policy]]
roles = ["reader", "writer"]
verbs = ["context:read", "search"]
resources = ["context/shared/**", "context/team-*/**"]
[[policy]]
roles = ["writer"]
verbs = ["context:read", "context:write", "lock:read", "lock:acquire"]
resources = ["context/{agent}/**", "lock/{agent}/**", "context/*-bench/**"]
"""


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(key):
    """An HS256 token for an hour, of the size that issuers make: some claims that nobody asks for."""
    claims = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "bench", "roles": ["writer", "reader"], "iat": int(time.time()),
        "exp": int(time.time()) + 3600, "jti": "0" * 32, "name": "A benchmark", "scope": "units locks search " * 8}
    head = encoded(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "one"}).encode())
    signed = f"{head}.{encoded(json.dumps(claims).encode())}"
    return f"{signed}.{encoded(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


def configured(kind):
    """(flags of a server with this kind of credentials, what `Authorization` holds)"""
    folder = scratch("auth")

    def write(name, text):
        path = os.path.join(folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(text)
        return path

    if kind == "token":
        token = "engram_" + "t" * 43
        write("tokens", "".join(
            f"{agent}:writer,reader:{hashlib.sha256(secret.encode()).hexdigest()}\n"
            for agent, secret in [("bench", token)] + [(f"other{n}", f"engram_{n:043d}") for n in range(1000)]))
        text = '[auth]\nproviders = ["token"]\n[auth.token]\nfile = "tokens"\n'
    else:
        key = b"k" * 32
        write("jwks.json", json.dumps({"keys": [{"kty": "oct", "kid": "one", "alg": "HS256", "k": encoded(key)}]}))
        token = jwt(key)
        text = (
            f'[auth]\nproviders = ["jwt"]\n[auth.jwt]\njwks = "jwks.json"\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\n')
    return ["--config", write("engram.toml", text + POLICIES)], f"Bearer {token}"


def auth(size):
    """Open, tokens and JWTs in turn, in an order that moves on from round to round."""
    body = unit_file("team-bench")
    kinds = {"open": ([], None), "token": configured("token"), "jwt": configured("jwt")}
    measured = {kind: [] for kind in kinds}

    def posts(kind):
        flags, authorization = kinds[kind]
        settings = {"ENGRAM_AUTHORIZATION": authorization} if authorization else {}
        with Engram(*flags) as server:
            wrk(server.url("/workunit"), size.warm_seconds, CONNECTIONS, body=body, settings=settings)
            before = server.processor()
            load = wrk(server.url("/workunit"), size.seconds, CONNECTIONS, body=body, settings=settings)
            used, threads = server.processor().since(before)
        if used <= 0:
            raise Failed("the server used no processor time")
        return {
            "per_second": load.rate, "p50": load.percentiles.get(50), "p99": load.percentiles.get(99),
            "server_seconds": used, "per_server_second": load.requests / used, "threads": threads}

    for turn in range(size.rounds):
        names = list(kinds)
        for kind in names[turn % 3:] + names[:turn % 3]:
            measured[kind].append(posts(kind))
    rows = []
    for kind, budget in (("token", 0.95), ("jwt", 0.9)):
        for unit, what in (("per_second", "/s"), ("per_server_second", "per server CPU-second")):
            one, two = (median([item[unit] for item in measured[name]]) for name in (kind, "open"))
            name = f"auth-{kind}" + ("" if unit == "per_second" else "-cpu")
            rows.append(Row(
                name, f"durable POST /workunit, {PAYLOAD_BYTES} bytes, 64 connections, with {kind}s and policies, {what}",
                thousands(one), f"open {thousands(two)}", one / two, "≥", budget, {kind: measured[kind], "open": measured["open"]}))
    return rows


ROWS = {"auth": auth}
