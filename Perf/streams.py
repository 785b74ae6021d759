"""The rows of streams and locks: fan-out against nchan, idle and slow subscribers, publishing over WebSocket, locks
against etcd. The load clients are `fanout.c`, `publish.c` and `locks.c`."""

import os

import clients
import servers
from measure import Failed, Memory, median, pin, wrk
from rows import CONNECTIONS, MEBIBYTE, Row, alternate, settle, thousands, units_per_second
from servers import PAYLOAD, PAYLOAD_BYTES, Engram, Etcd, Nchan

KINDS = {"ws": "WebSocket", "sse": "SSE"}
PATHS = {"ws": "/stream", "sse": "/stream/sse"}
CONTEXT = "fanout"
STAMPED = "stamp:" + "0" * 24 + " " + PAYLOAD[31:]
"""What is posted: 1 KB of text, the first of it overwritten by the client with the time and the number of the post."""


class Look:
    """Processor time and memory of a server at a client's mark."""

    def __init__(self, server):
        self.processor, self.memory = server.processor(), Memory(server.pid)


def _apart():
    """({the server's processor}, {the client's}) where there are two, as in the row `get`."""
    available = sorted(os.sched_getaffinity(0))
    return ({available[0]}, {available[1]}) if len(available) > 1 else (None, None)


def _where(server, kind):
    """What the client has to know of a server: Engram gets a unit around the text, nchan the bare text."""
    if isinstance(server, Nchan):
        body = servers.SCRATCH / "stamped.txt"
        body.write_text(STAMPED)
        return {"path": f"/{kind}", "publish": "/publish", "body": body}
    body = servers.unit_file(CONTEXT, STAMPED)
    return {"path": f"{PATHS[kind]}?context={CONTEXT}", "publish": "/workunit", "body": body}


def _fan(server, kind, subscribers, seconds, processors=None, **how):
    """One run of `fanout.c`; every delivery must have come, once."""
    marks, said = clients.run(
        "fanout", lambda: Look(server), timeout=seconds + 120, processors=processors, port=server.port, kind=kind,
        subscribers=subscribers, seconds=seconds, **_where(server, kind), **how)
    if said["missing"] or said["doubled"] or said["closed_early"] or not said["posts"]:
        raise Failed(
            f"{said['missing']} deliveries missing, {said['doubled']} doubled, {said['closed_early']} streams ended, "
            f"of {said['posts']} posts to {subscribers}")
    used, threads = marks["end"].processor.since(marks["begin"].processor)
    return said | {
        "server_seconds": used, "threads": threads, "per_server_second": said["deliveries"] / used if used else 0,
        "per_second": said["deliveries"] / said["seconds"], "grown": marks["end"].memory.bytes - marks["begin"].memory.bytes}


def milli(seconds):
    return f"{seconds * 1e3:.2f} ms"


def _of(results, *names):
    values = []
    for item in results:
        for name in names:
            item = item[name]
        values.append(item)
    return median(values)


# -- fan-out -----------------------------------------------------------------------------------------------------


def _fanout(size, kind):
    """One loop and one worker, each on a processor of its own and the client on the other."""
    ours, theirs = _apart()
    work = f"{PAYLOAD_BYTES} bytes to {size.subscribers} {KINDS[kind]} subscribers"

    def compared(seconds, **how):
        """The same load on a fresh pair of servers, of which only one has subscribers at a time."""
        with Engram(loops=1) as engram, Nchan() as nchan:
            if ours:
                pin(engram.pid, ours)
                pin(nchan.pid, ours)
            return alternate(
                size.rounds,
                lambda: _fan(engram, kind, size.subscribers, seconds, theirs, **how),
                lambda: _fan(nchan, kind, size.subscribers, seconds, theirs, **how))

    rows = []
    loads = (
        ("", f"{size.window} posts under way", {"window": size.window}),
        ("-paced", f"{size.fan_rate} posts/s", {"rate": size.fan_rate}))
    for suffix, load, how in loads:
        one, two = compared(size.seconds, warm=size.fan_warm_seconds, **how)
        raw = {"engram": one, "nchan": two, "pinned": bool(ours)}
        ours_rate, theirs_rate = _of(one, "per_server_second"), _of(two, "per_server_second")
        rows.append(Row(
            f"fanout-{kind}{suffix}", f"{work}, {load}, deliveries per server CPU-second", thousands(ours_rate),
            f"nchan {thousands(theirs_rate)}", ours_rate / theirs_rate, "≥", 1.2, raw))
    ours_age, theirs_age = _of(one, "last", "p99"), _of(two, "last", "p99")
    rows.append(Row(
        f"fanout-{kind}-age", f"{work}, {load}, p99 age at the last one",
        f"{milli(ours_age)} (p50 {milli(_of(one, 'last', 'p50'))})",
        f"nchan {milli(theirs_age)} (p50 {milli(_of(two, 'last', 'p50'))})", ours_age / theirs_age, "≤", 1, raw))
    return rows


def fanout_ws(size):
    return _fanout(size, "ws")


def fanout_sse(size):
    return _fanout(size, "sse")


def fanout_100(size):
    """As it comes: as many loops as processors, nobody tied."""
    rows = []
    for kind in KINDS:
        found = []
        for _ in range(size.rounds):
            with Engram() as server:
                found.append(_fan(server, kind, size.few, size.seconds, rate=100, warm=size.fan_warm_seconds))
        p99 = _of(found, "last", "p99")
        rows.append(Row(
            f"fanout-100-{kind}", f"{PAYLOAD_BYTES} bytes to {size.few} {KINDS[kind]} subscribers, 100 posts/s, durable, "
            "p99 age at the last one (ms)", f"{milli(p99)} (p50 {milli(_of(found, 'last', 'p50'))})", "limit 3 ms",
            p99 * 1e3, "≤", 3, {"rounds": found}))
    return rows


# -- subscribers that wait -----------------------------------------------------------------------------------------


def _idle(size, server, kind, path, contexts):
    def held(count, seconds):
        return clients.run(
            "fanout", lambda: Look(server), timeout=seconds + 120, port=server.port, kind=kind, subscribers=count, path=path,
            contexts=contexts, hold=seconds, settle=size.settle_seconds)

    # What the first requests bring forth isn't any subscriber's own: above all Engram's receive buffers, which all
    # connections share and the kernel hands out in turn, so that 4000 requests touch all of them for the first time.
    if isinstance(server, Engram):
        wrk(server.url("/healthz"), 1, CONNECTIONS)
    held(max(1, size.idle // 40), 0.1)
    marks, said = held(size.idle, size.hold_seconds)
    if said["closed_early"]:
        raise Failed(f"{said['closed_early']} of {size.idle} idle streams ended")
    used, threads = marks["end"].processor.since(marks["begin"].processor)
    grown = max(marks[name].memory.bytes for name in ("begin", "end")) - marks["closed"].memory.bytes
    return {"bytes_each": grown / size.idle, "share": used / size.hold_seconds, "threads": threads, "pings": said["pings"]}


def idle(size):
    """Subscribers of contexts of their own. Memory is the larger of before and after the time they stand."""
    rows = []
    for kind in KINDS:
        with Engram() as server, Nchan() as nchan:
            one = _idle(size, server, kind, f"{PATHS[kind]}?context=idle-%d", size.idle)
            two = _idle(size, nchan, kind, f"/{kind}", 1)
        work, raw = f"{size.idle} idle {KINDS[kind]} subscribers", {"engram": one, "nchan": two}
        rows.append(Row(
            f"idle-{kind}", f"{work}, bytes of server memory each", thousands(one["bytes_each"]),
            f"limit 2,048 (nchan {thousands(two['bytes_each'])})", one["bytes_each"], "≤", 2048, raw))
        rows.append(Row(
            f"idle-{kind}-cpu", f"{work}, share of a core", f"{one['share'] * 100:.2f} %",
            f"limit 3 % (nchan {two['share'] * 100:.2f} %)", one["share"], "≤", 0.03, raw))
    return rows


# -- subscribers that don't read -------------------------------------------------------------------------------------


def slow(size):
    """One that has stopped and one that reads a byte a second, among the others: before, with and after them.

    Then half of `crowd` stopped, at four times the rate: what would be kept for them without a limit is many times
    what is allowed.
    """
    rows = []
    for kind in KINDS:
        how = {"rate": size.fan_rate, "warm": size.warm_seconds}
        with Engram() as server:
            before = _fan(server, kind, size.subscribers, size.seconds, **how)
            during = _fan(server, kind, size.subscribers, size.slow_seconds, stopped=1, drips=1, told=size.told_seconds, **how)
            after = _fan(server, kind, size.subscribers, size.seconds, **how)
        with Engram() as server:
            half = size.crowd // 2
            crowd = _fan(
                server, kind, size.crowd, size.crowd_seconds, stopped=half, rate=4 * size.fan_rate,
                told=size.told_seconds, warm=size.fan_warm_seconds)
        plain, raw = _of([before, after], "age", "p99"), {"before": before, "during": during, "after": after, "crowd": crowd}
        told = sum(one["closed"] or one["gaps"] > 0 for one in during["slow"])
        posted = crowd["posts"] * crowd["bytes"] / max(1, crowd["deliveries"]) * half
        rows += [
            Row(f"slow-{kind}", f"a stopped and a dripping one among {size.subscribers} {KINDS[kind]} subscribers, "
                f"{size.fan_rate} posts/s, p99 age at the others", milli(during["age"]["p99"]),
                f"without {milli(plain)}", during["age"]["p99"] / plain, "≤", 1.2, raw),
            Row(f"slow-{kind}-told", f"which of the two are told within {size.slow_seconds:.0f} s", f"{told} of 2", "both",
                told, "≥", 2, raw),
            Row(f"slow-{kind}-memory", f"{half} stopped of {size.crowd} {KINDS[kind]} subscribers: MiB by which the server grows",
                f"{crowd['grown'] / MEBIBYTE:.0f} MiB", f"limit {half + 64} MiB ({posted / MEBIBYTE:,.0f} MiB not taken)",
                crowd["grown"] / MEBIBYTE, "≤", half + 64, raw)]
    return rows


# -- publishing over one WebSocket -----------------------------------------------------------------------------------


def publish_ws(size):
    """One connection, 64 publishes under way, against 64 connections that post, on one loop each in turn."""
    body = servers.unit_file("bench")
    with Engram(loops=1) as server:

        def publishes():
            if size.rounds > 1:
                settle(server)
            marks, said = clients.run(
                "publish", lambda: Look(server), timeout=size.seconds + 60, port=server.port, path="/stream?context=quiet",
                body=body, window=CONNECTIONS, seconds=size.seconds, warm=size.fan_warm_seconds)
            if size.rounds > 1:
                settle(server)
            used, threads = server.processor().since(marks["begin"].processor)
            return said | {
                "server_seconds": used, "threads": threads, "per_server_second": said["published"] / used,
                "units_per_second": said["published"] / said["seconds"]}

        ones, twos = alternate(
            size.rounds, publishes, lambda: units_per_second(server, size, "/workunit", 1, body=body))
    one, two = (_of(results, "per_server_second") for results in (ones, twos))
    return [Row(
        "publish-ws", f"publish of {PAYLOAD_BYTES} bytes, {CONNECTIONS} under way on one WebSocket, per server CPU-second",
        f"{thousands(one)} ({thousands(_of(ones, 'units_per_second'))} /s)",
        f"POST {thousands(two)} ({thousands(_of(twos, 'units_per_second'))} /s)", one / two, "≥", 1.5,
        {"publish": ones, "post": twos})]


# -- locks ---------------------------------------------------------------------------------------------------------


def locks(size):
    """Acquire and release by 16 clients, nobody in anybody's way; etcd both ways that `locks.c` names."""
    def pairs(server, kind):
        marks, said = clients.run(
            "locks", lambda: Look(server), timeout=size.seconds + 60, port=server.port, kind=kind, clients=16,
            seconds=size.seconds, warm=size.fan_warm_seconds)
        if not said["pairs"]:
            raise Failed(f"{kind}: no lock was released")
        used, threads = marks["end"].processor.since(marks["begin"].processor)
        return said | {"per_second": said["pairs"] / said["seconds"], "server_seconds": used, "threads": threads}

    with Engram() as engram, Etcd() as etcd:
        ones, twos = alternate(
            size.rounds, lambda: pairs(engram, "engram"),
            lambda: {kind: pairs(etcd, kind) for kind in ("etcd", "etcd-lease")})
    one, two, leased = _of(ones, "per_second"), _of(twos, "etcd", "per_second"), _of(twos, "etcd-lease", "per_second")
    return [Row(
        "locks", "acquire + release of a lock, durable, 16 clients", f"{thousands(one)} /s",
        f"etcd {thousands(two)} /s (a lease each: {thousands(leased)})", one / two, "≥", 5,
        {"engram": ones, "etcd": twos})]


ROWS = {
    "fanout-ws": fanout_ws, "fanout-sse": fanout_sse, "fanout-100": fanout_100, "idle": idle, "slow": slow,
    "publish-ws": publish_ws, "locks": locks}
