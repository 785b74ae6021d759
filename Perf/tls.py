"""The rows of TLS: the same suite and certificate for both, versions 1.3. Each returns `Row`s, or raises `Failed`."""

import os
import pathlib
import shutil

import clients
from measure import Failed, median, pin, wrk
from rows import CONNECTIONS, Row, alternate, thousands
from servers import Engram, Nginx, scratch, unit_file

from certificates import Authority

SUITE = "TLS_AES_128_GCM_SHA256"
RSA = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
P256 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


class Pair:
    """A certificate and key of a run."""

    def __init__(self, key):
        self.directory = scratch("certificates")
        self.certificate, self.key = Authority(self.directory, key).issue("server")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)


class SecureEngram(Engram):
    def __init__(self, pair, *flags, loops=None):
        path = pathlib.Path(pair.directory, "engram.toml")
        path.write_text(f'[tls]\ncertificate = "{pair.certificate}"\nkey = "{pair.key}"\n')
        super().__init__("--config", str(path), *flags, loops=loops)

    def url(self, path):
        return f"https://{self.address}{path}"


class SecureNginx(Nginx):
    """nginx with the suites, groups and versions that Engram has, and tickets, but no cache of sessions."""

    CONFIGURATION = Nginx.CONFIGURATION.replace(
        "listen 127.0.0.1:{port};",
        "listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; "
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_conf_command Ciphersuites " + SUITE + "; ssl_prefer_server_ciphers on; "
        "ssl_ecdh_curve X25519:P-256:P-384; ssl_session_tickets on; ssl_session_cache off;")

    def __init__(self, pair):
        # The rest of the fields is filled in where the plain one's are.
        self.CONFIGURATION = self.CONFIGURATION.replace("{certificate}", pair.certificate).replace("{key}", pair.key)
        super().__init__()

    def url(self, path):
        return f"https://127.0.0.1:{self.port}{path}"


def _processors():
    available = sorted(os.sched_getaffinity(0))
    return ({available[0]}, {available[1]}) if len(available) > 1 else (None, None)


def get(size):
    """Keep-alive GET over TLS: requests per processor second of the server."""
    ours, theirs = _processors()

    def measured(server):
        if ours:
            pin(server.pid, ours)
        wrk(server.url("/healthz"), size.warm_seconds, CONNECTIONS, processors=theirs)
        before = server.processor()
        load = wrk(server.url("/healthz"), size.seconds, CONNECTIONS, processors=theirs)
        seconds, threads = server.processor().since(before)
        if seconds <= 0:
            raise Failed("the server used no processor time")
        return {
            "requests_per_second": load.rate, "server_seconds": seconds, "per_server_second": load.requests / seconds,
            "p50": load.percentiles.get(50), "p99": load.percentiles.get(99), "threads": threads}

    with Pair(P256) as pair, SecureEngram(pair, loops=1) as engram, SecureNginx(pair) as nginx:
        one, two = alternate(size.rounds, lambda: measured(engram), lambda: measured(nginx))
    rates = [median([item["per_server_second"] for item in results]) for results in (one, two)]
    return [Row(
        "tls-get", "GET /healthz over TLS 1.3 (AES-128-GCM), 64 connections, one loop, per server CPU-second",
        thousands(rates[0]) + " req", f"nginx {thousands(rates[1])} req", rates[0] / rates[1], "≥", 1.0,
        {"engram": one, "nginx": two, "pinned": bool(ours)})]


def post(size):
    """Durable posts over TLS and plain: per second, and per processor second of the server."""
    body = unit_file("bench")

    def measured(make):
        with make() as server:
            wrk(server.url("/workunit"), size.warm_seconds, CONNECTIONS, body=body)
            before = server.processor()
            load = wrk(server.url("/workunit"), size.seconds, CONNECTIONS, body=body)
            used, threads = server.processor().since(before)
            return {
                "per_second": load.rate, "p50": load.percentiles.get(50), "p99": load.percentiles.get(99),
                "server_seconds": used, "per_server_second": load.requests / used if used else 0, "threads": threads}

    with Pair(P256) as pair:
        one, two = alternate(size.rounds, lambda: measured(lambda: SecureEngram(pair)), lambda: measured(Engram))
    found = []
    for name, key, unit in (("tls-post", "per_second", "/s"), ("tls-post-cpu", "per_server_second", "/CPU-s")):
        secure, plain = (median([item[key] for item in results]) for results in (one, two))
        found.append(Row(
            name, "durable POST /workunit of 1 KB over TLS, 64 connections" + ("" if unit == "/s" else ", per server CPU-second"),
            thousands(secure) + unit, f"plain {thousands(plain)}{unit}", secure / plain, "≥", 0.8,
            {"tls": one, "plain": two}))
    return found


def handshake(size):
    """Full handshakes, a new connection each: per processor second of the server."""
    found = []
    for name, key, title in (("tls-handshake", P256, "ECDSA P-256"), ("tls-handshake-rsa", RSA, "RSA-2048")):
        ours, theirs = _processors()

        def measured(server):
            if ours:
                pin(server.pid, ours)
            seen, said = clients.run(
                "handshakes", server.processor, size.seconds + 60, theirs, libraries=("ssl", "crypto"), port=server.port,
                seconds=size.seconds, warm=size.warm_seconds)
            if said["suite"] != SUITE:
                raise Failed(f"{said['suite']} in place of {SUITE}")
            seconds, threads = seen["end"].since(seen["begin"])
            if seconds <= 0:
                raise Failed("the server used no processor time")
            return said | {
                "server_seconds": seconds, "per_server_second": said["handshakes"] / seconds, "threads": threads}

        with Pair(key) as pair, SecureEngram(pair, loops=1) as engram, SecureNginx(pair) as nginx:
            one, two = alternate(size.rounds, lambda: measured(engram), lambda: measured(nginx))
        rates = [median([item["per_server_second"] for item in results]) for results in (one, two)]
        found.append(Row(
            name, f"full handshakes of TLS 1.3 ({title}, X25519), a connection each, per server CPU-second",
            thousands(rates[0]), f"nginx {thousands(rates[1])}", rates[0] / rates[1], "≥", 0.8,
            {"engram": one, "nginx": two, "pinned": bool(ours)}))
    return found


ROWS = {"tls-get": get, "tls-post": post, "tls-handshake": handshake}
