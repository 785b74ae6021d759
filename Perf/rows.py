"""The rows of the table of budgets (`design.md`, section 8). Each returns one `Row`, or raises `Failed`.

Every comparison alternates: Engram first in the even rounds, its peer first in the odd ones, medians at the end.
"""

import dataclasses
import json
import math
import os
import pathlib
import subprocess
import sys
import time

from measure import Failed, median, pin, wrk, wrk_until_killed
from servers import PAYLOAD_BYTES, Disk, Engram, Nginx, Redis, batch_file, harness, unit_file

CONNECTIONS = 64
MEBIBYTE = 1 << 20


@dataclasses.dataclass
class Row:
    """One line of the table. `value` is compared with `budget` by `sign`; `engram` and `peer` are the raw numbers."""
    name: str
    work: str
    engram: str
    peer: str
    value: float
    sign: str
    budget: float
    raw: dict

    @property
    def met(self):
        return self.value >= self.budget if self.sign == "≥" else self.value <= self.budget


def thousands(value):
    return f"{value:,.0f}"


def micro(seconds):
    return f"{seconds * 1e6:,.0f} µs"


def alternate(rounds, first, second):
    """Runs both per round, and swaps their order from round to round. Returns their results."""
    ones, twos = [], []
    for turn in range(rounds):
        for act, results in [(first, ones), (second, twos)][::1 if turn % 2 == 0 else -1]:
            results.append(act())
    return ones, twos


# -- GET -------------------------------------------------------------------------------------------------------


def _get(size, script):
    """Engram and nginx alternately: (requests per processor second of either, what was measured).

    With two processors or more the server is tied to one and wrk to the other, for both peers.
    """
    available = sorted(os.sched_getaffinity(0))
    ours, theirs = ({available[0]}, {available[1]}) if len(available) > 1 else (None, None)

    def measured(server):
        if ours:
            pin(server.pid, ours)
        wrk(server.url("/healthz"), size.warm_seconds, CONNECTIONS, processors=theirs, script=script)
        before = server.processor()
        load = wrk(server.url("/healthz"), size.seconds, CONNECTIONS, processors=theirs, script=script)
        seconds, threads = server.processor().since(before)
        if seconds <= 0:
            raise Failed("the server used no processor time")
        return {
            "requests_per_second": load.rate, "server_seconds": seconds, "per_server_second": load.requests / seconds,
            "p50": load.percentiles.get(50), "p99": load.percentiles.get(99), "threads": threads}

    with Engram("--log-level", "info", loops=1) as engram, Nginx() as nginx:
        ours_measured, theirs_measured = alternate(
            size.rounds, lambda: measured(engram), lambda: measured(nginx))
    one, two = (median([item["per_server_second"] for item in results]) for results in (ours_measured, theirs_measured))
    return one, two, {"engram": ours_measured, "nginx": theirs_measured, "pinned": bool(ours)}


def get(size):
    """Keep-alive GET, one loop against one worker: requests per processor second of the server."""
    one, two, raw = _get(size, None)
    return [Row(
        "get", "GET /healthz, 64 connections, one loop, per server CPU-second",
        thousands(one) + " req", f"nginx {thousands(two)} req", one / two, "≥", 1.25, raw)]


def pipelined(size):
    """The same with 16 requests in one write."""
    one, two, raw = _get(size, "pipelined.lua")
    return [Row(
        "pipelined", "GET /healthz × 16 in one write, 64 connections, one loop, per server CPU-second",
        thousands(one) + " req", f"nginx {thousands(two)} req", one / two, "≥", 5, raw)]


# -- POST ------------------------------------------------------------------------------------------------------


def _post(size, name, seconds):
    body = unit_file("bench")

    def engram():
        with Engram() as server:
            wrk(server.url("/workunit"), size.warm_seconds, CONNECTIONS, body=body)
            before = server.processor()
            load = wrk(server.url("/workunit"), seconds, CONNECTIONS, body=body)
            used, threads = server.processor().since(before)
            return {
                "per_second": load.rate, "p50": load.percentiles.get(50), "p99": load.percentiles.get(99),
                "server_seconds": used, "per_server_second": load.requests / used if used else 0, "threads": threads}

    def redis():
        with Redis() as server:
            sample, _, _ = server.xadd(2000 if size.rounds == 1 else 20_000, CONNECTIONS)
            requests, stored = max(1000, round(sample * seconds)), server.length()
            before = server.processor()
            rate, p50, p99 = server.xadd(requests, CONNECTIONS)
            used, _ = server.processor().since(before)
            if server.length() != stored + requests:
                raise Failed("redis did not store what redis-benchmark counted")
            return {
                "per_second": rate, "p50": p50, "p99": p99, "server_seconds": used,
                "per_server_second": requests / used if used else 0}

    ones, twos = alternate(size.rounds, engram, redis)
    one, two = (median([item["per_second"] for item in results]) for results in (ones, twos))
    return [Row(
        name, f"durable POST /workunit, {PAYLOAD_BYTES} bytes, 64 connections, {seconds:.0f} s",
        f"{thousands(one)} /s", f"redis {thousands(two)} /s", one / two, "≥", 1.1, {"engram": ones, "redis": twos})]


def post(size):
    return _post(size, "post", size.seconds)


def post_long(size):
    return _post(size, "post-long", size.long_seconds)


def single(size):
    """One connection, one loop, against the disk alone plus a GET alone, all in the same round."""
    body = unit_file("bench")
    rounds = []
    with Engram(loops=1) as server, Disk(size.file_bytes) as disk:

        def latency(path, **options):
            load = wrk(server.url(path), size.seconds, 1, **options)
            return {"p50": load.percentiles[50], "p99": load.percentiles[99], "per_second": load.rate}

        wrk(server.url("/workunit"), size.warm_seconds, 1, body=body)
        for turn in range(size.rounds):
            found = {}
            steps = [
                ("disk", lambda: dict(zip(("p50", "p99"), disk.measure(size.seconds)))),
                ("get", lambda: latency("/healthz")), ("post", lambda: latency("/workunit", body=body))]
            for name, step in steps[::1 if turn % 2 == 0 else -1]:
                found[name] = step()
            rounds.append(found)
        engine = disk.engine
    rows = []
    for share, budget in (("p50", 1.1), ("p99", 1.5)):
        ours = median([item["post"][share] for item in rounds])
        floor = median([item["disk"][share] + item["get"][share] for item in rounds])
        disk_alone, get_alone = (median([item[name][share] for item in rounds]) for name in ("disk", "get"))
        rows.append(Row(
            f"single-{share}", f"durable POST /workunit, 1 connection, one loop, {share}",
            micro(ours), f"disk {micro(disk_alone)} + GET {micro(get_alone)}", ours / floor, "≤", budget,
            {"rounds": rounds, "disk": f"{Disk.DESCRIPTION}, ioengine={engine}"}))
    return rows


# -- POST, several units or safely tried again --------------------------------------------------------------------


def units_per_second(server, size, path, units, **options):
    """Units per processor second of the home loop's thread and of the whole process, work left for later included."""
    wrk(server.url(path), size.warm_seconds, CONNECTIONS, **options)
    if size.rounds > 1:
        settle(server)
    before = server.processor()
    load = wrk(server.url(path), size.seconds, CONNECTIONS, **options)
    if size.rounds > 1:
        settle(server)
    used, threads = server.processor().since(before)
    loop = threads.get("engram-loop-0", 0)
    if used <= 0 or loop <= 0:
        raise Failed("the server used no processor time")
    total = load.requests * units
    return {
        "units_per_second": load.rate * units, "server_seconds": used, "per_loop_second": total / loop,
        "per_server_second": total / used, "p50": load.percentiles.get(50), "p99": load.percentiles.get(99),
        "threads": threads}


def _ratio_rows(name, work, budgets, peer, ones, twos):
    """One row for each kind of processor second."""
    rows = []
    for kind, budget in budgets.items():
        one, two = (median([item[f"per_{kind}_second"] for item in results]) for results in (ones, twos))
        rows.append(Row(
            f"{name}-{kind}", f"{work}, per CPU-second of the {'home loop' if kind == 'loop' else 'server'}",
            thousands(one) + " units", f"{peer} {thousands(two)} units", one / two, "≥", budget,
            {"ours": ones, "peer": twos}))
    return rows


def batch(size):
    """Batches of 100 against single posts of the same units, with whole and with minimal answers."""
    units, rows = 100, []
    one, many = unit_file("bench"), batch_file("bench", units)
    for name, settings in (("batch", {}), ("batch-minimal", {"ENGRAM_PREFER": "return=minimal"})):
        with Engram(loops=1) as server:
            batches, singles = alternate(
                size.rounds,
                lambda: units_per_second(server, size, "/workunits", units, body=many, settings=settings),
                lambda: units_per_second(server, size, "/workunit", 1, body=one, settings=settings))
        answer = ", return=minimal" if settings else ""
        rows += _ratio_rows(
            name, f"POST /workunits of {units} × {PAYLOAD_BYTES} bytes{answer}", {"loop": 8, "server": 2}, "single",
            batches, singles)
    return rows


def idempotent(size):
    """Posts with an Idempotency-Key of their own each against posts without."""
    body = unit_file("bench")

    def posts(keyed):
        return units_per_second(
            server, size, "/workunit", 1, body=body, script="keyed.lua", settings={"ENGRAM_KEYED": "1" if keyed else "0"})

    with Engram(loops=1) as server:
        keyed, plain = alternate(size.rounds, lambda: posts(True), lambda: posts(False))
    return _ratio_rows(
        "idempotent", f"POST /workunit with Idempotency-Key, {PAYLOAD_BYTES} bytes", {"loop": 0.75, "server": 0.75},
        "without", keyed, plain)


# -- reading while others write --------------------------------------------------------------------------------


def preload(server, contexts, total):
    """Stores at least this many units, evenly over the contexts, from 64 connections. Returns how many there are."""
    share, stored = math.ceil(total / len(contexts)), 0
    for context in contexts:
        body, count, rate = unit_file(context), 0, None
        while count < share:
            seconds = 1 if rate is None else max(1, min(10, math.floor((share - count) / rate)))
            load = wrk(server.url("/workunit"), seconds, CONNECTIONS, body=body)
            count, rate = count + load.requests, load.rate
        with server.client() as client:
            stored += client.listing(context, reverse="true", limit=1)["work_units"][0]["sequence"]
    return stored


def settle(server, seconds=60):
    """Waits until the server has finished what the load left it: less than a tenth of a processor for a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = server.processor()
        time.sleep(1)
        if server.processor().since(before)[0] < 0.1:
            return


def client(*arguments):
    return subprocess.Popen(
        [sys.executable, str(pathlib.Path(__file__).with_name("paced.py")), *map(str, arguments)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process, timeout):
    out, err = process.communicate(timeout=timeout)
    if process.returncode != 0:
        raise Failed(f"a paced client: {err.strip()[-300:]}")
    return json.loads(out)


def percentile(sorted_values, share):
    """The nearest-rank percentile."""
    return sorted_values[max(0, math.ceil(len(sorted_values) * share / 100) - 1)]


def newest(size):
    """The newest 100 units of a context, while posts go on. Half of the contexts get posts (warm), half none (cold)."""
    count = 10 if size.stored > 10_000 else 2
    contexts = [f"newest-{n}" for n in range(count)]
    warm = contexts[: count // 2]
    with Engram() as server:
        stored = preload(server, contexts, size.stored)
        if size.rounds > 1:
            settle(server)
        files = [str(unit_file(context)) for context in warm]
        before = server.processor()
        posters = [
            client("post", server.port, size.posts_per_second / 2, size.read_seconds + 1, 8, *files) for _ in range(2)]
        try:
            time.sleep(0.5)
            read = finished(
                client("read", server.port, size.reads_per_second, size.read_seconds, *contexts), size.read_seconds + 60)
            posts = [finished(poster, 60) for poster in posters]
        finally:
            for poster in posters:
                if poster.poll() is None:
                    poster.kill()
        used, threads = server.processor().since(before)
    if read["refused"] or any(item["refused"] for item in posts):
        raise Failed(f"answers other than 2xx: {read['refused']} reads, {sum(item['refused'] for item in posts)} posts")
    rate = sum(item["answered"] / item["seconds"] for item in posts)
    if rate < 0.95 * size.posts_per_second:
        raise Failed(f"only {rate:.0f} posts/s of {size.posts_per_second} were kept up: the read is not what it should be")
    pools = {"all": read["latencies"], "warm": read["latencies"][: count // 2], "cold": read["latencies"][count // 2:]}
    figures = {}
    for name, pool in pools.items():
        values = sorted(value for part in pool for value in part)
        figures[name] = {"reads": len(values), "p50": percentile(values, 50), "p99": percentile(values, 99), "max": values[-1]}
    return [Row(
        "newest", f"newest 100 units, {stored:,} stored, {rate:,.0f} posts/s, p99 (ms)",
        f"{figures['all']['p99'] * 1e3:.2f} ms (p50 {figures['all']['p50'] * 1e3:.2f}; "
        f"cold p99 {figures['cold']['p99'] * 1e3:.2f})", "limit 2 ms",
        figures["all"]["p99"] * 1e3, "≤", 2.0,
        {"figures": figures, "stored": stored, "posts_per_second": rate, "server_seconds": used, "threads": threads})]


# -- restart ---------------------------------------------------------------------------------------------------


def restart(size):
    """SIGKILL in full load, then the time from exec to `ready`, per 256 MiB of log that had to be scanned.

    What was to scan is taken from the start line: recovered events, times the bytes of one event as it is answered.
    """
    body = unit_file("restart")
    found = []
    for _ in range(min(size.rounds, 3)):
        with Engram() as server:
            load = wrk_until_killed(server.url("/workunit"), CONNECTIONS, body)
            try:
                time.sleep(size.restart_seconds)
                server.kill()
            finally:
                load.kill()
                load.wait()
            files = server.log_bytes()
            try:
                server.start()
            except harness.NotReady as error:
                raise Failed(f"no restart after SIGKILL: {error}") from None
            events, said = server.recovered()
            with server.client() as reader:
                one = reader.get("/workunits/restart?limit=1&reverse=true")
            [newest_unit] = one.json()["work_units"]
            scanned = min(events * len(one.body), files or math.inf) if events is not None else files
            found.append({
                "ready_seconds": server.ready_seconds, "said_milliseconds": said, "recovered_events": events,
                "units": newest_unit["sequence"], "scanned_mib": scanned / MEBIBYTE, "log_files_mib": files / MEBIBYTE})
    worst = max(found, key=lambda item: item["ready_seconds"] / max(1, item["scanned_mib"] / 256))
    allowed = max(1.0, worst["scanned_mib"] / 256)
    return [Row(
        "restart", "restart after SIGKILL under load: seconds to `ready` per second allowed",
        f"{worst['ready_seconds'] * 1e3:,.0f} ms for {worst['scanned_mib']:,.0f} MiB", f"limit {allowed:.2f} s",
        worst["ready_seconds"] / allowed, "≤", 1.0, {"rounds": found})]


ROWS = {
    "get": get, "pipelined": pipelined, "post": post, "post-long": post_long, "single": single, "batch": batch,
    "idempotent": idempotent, "newest": newest, "restart": restart}
