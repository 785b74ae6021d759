"""What others notice of those who abuse the server: slow clients by the hundred, and an agent far beyond its limit."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

from measure import Failed, median, wrk
from rows import Row
from servers import Engram, harness, scratch

sys.path.insert(0, str(pathlib.Path(harness.__file__).resolve().parent))
import slow  # noqa: E402: lies beside the harness

MEBIBYTE = 1 << 20


def _slow_process(port, count, path):
    process = subprocess.Popen(
        [sys.executable, slow.__file__, str(port), str(count), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdout.readline().strip() != "begun":
        raise Failed("the slow clients didn't begin")
    return process


def _ended(process):
    said, _ = process.communicate("", timeout=60)
    return json.loads(said)


def slow_clients(size):
    """p99 of one client that posts and reads, with 500 each of slow heads, slow bodies and slow readers beside it, against
    without; rounds alternate. Memory: what the server holds more when the slow ones of the last round have gone than when
    those of the first have, once its allocator has what so many unread answers take at a time: rounds before go on until
    five in turn were alike."""
    count, before = (500, 30) if size.rounds > 1 else (20, 1)
    context = "slow"
    alone, beside, memory, cut, settled = [], [], [], [], []
    with Engram() as server:
        with server.client() as client:
            for _ in range(4):
                batch = [harness.unit(context, "y" * 8000) for _ in range(25)]
                answer = client.post({"work_units": batch}, {"Prefer": "return=minimal"}, "/workunits")
                if answer.status != 201:
                    raise Failed(f"a batch got {answer.status}")
        slow.latencies(server.port, size.warm_seconds)
        for _ in range(before):
            process = _slow_process(server.port, count, f"/workunits/{context}?limit=100")
            slow.latencies(server.port, 5 if size.rounds > 1 else 0.5)
            _ended(process)
            time.sleep(1)
            settled.append(server.rss_bytes())
            if len(settled) > 4 and max(settled[-5:]) - min(settled[-5:]) < 4 * MEBIBYTE:
                break
        for _ in range(max(2, size.rounds)):
            alone.append(slow.latencies(server.port, size.seconds))
            process = _slow_process(server.port, count, f"/workunits/{context}?limit=100")
            try:
                time.sleep(2 if size.rounds > 1 else 0.5)
                beside.append(slow.latencies(server.port, size.seconds))
            finally:
                cut.append(_ended(process))
            time.sleep(1)
            memory.append(server.rss_bytes())
    p99 = [median([slow.percentile(found, 0.99) for found in rounds]) for rounds in (alone, beside)]
    growth = (memory[-1] - memory[0]) / MEBIBYTE
    raw = {
        "clients": 3 * count, "alone_p99": [slow.percentile(found, 0.99) for found in alone],
        "beside_p99": [slow.percentile(found, 0.99) for found in beside], "rss": memory, "settled": settled, "cut": cut}
    return [
        Row("slow-clients", f"one client beside {3 * count} slow ones, p99", f"{p99[1] * 1e3:.2f} ms",
            f"alone {p99[0] * 1e3:.2f} ms", p99[1] / p99[0], "≤", 1.5, raw),
        Row("slow-memory", "resident memory after the last of these rounds beyond that after the first (MiB)",
            f"{memory[-1] / MEBIBYTE:.0f} MiB", f"first {memory[0] / MEBIBYTE:.0f} MiB", growth, "≤", 16.0, raw)]


def fair(size):
    """p99 of an agent beside another that asks for ten times its limit, against without; rounds alternate."""
    folder = scratch("fair")
    tokens = {agent: f"engram_{agent * 8}" for agent in ("greedy", "modest")}
    per_second = 500

    def write(name, text):
        path = os.path.join(folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(text)
        return path

    write("tokens", "".join(
        f"{agent}:member:{hashlib.sha256(token.encode()).hexdigest()}\n" for agent, token in tokens.items()))
    file = write("engram.toml", (
        '[auth]\nproviders = ["token"]\n[auth.token]\nfile = "tokens"\n'
        '[[policy]]\nroles = ["member"]\nverbs = ["context:read", "context:write"]\nresources = ["context/**"]\n'
        f"[limits]\nagent_requests_per_second = {per_second}\n"))
    field = {"Authorization": f"Bearer {tokens['modest']}"}
    alone, beside, asked = [], [], []
    with Engram("--config", file) as server:
        slow.latencies(server.port, size.warm_seconds, field, agent="modest")
        for _ in range(max(2, size.rounds)):
            alone.append(slow.latencies(server.port, size.seconds, field, pace=0.01, agent="modest"))
            greedy = subprocess.Popen(
                [sys.executable, __file__, str(server.port), tokens["greedy"], str(10 * per_second)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                time.sleep(0.5)
                beside.append(slow.latencies(server.port, size.seconds, field, pace=0.01, agent="modest"))
            finally:
                asked.append(_ended(greedy))
    if not all(item.get("429") for item in asked):
        raise Failed("the greedy agent was never refused")
    p99 = [median([slow.percentile(found, 0.99) for found in rounds]) for rounds in (alone, beside)]
    rate = median([sum(item[key] for key in item if key.isdigit()) / item["seconds"] for item in asked])
    return [Row(
        "fair", f"an agent beside one that asks {rate:,.0f} times a second and may {per_second} times, p99",
        f"{p99[1] * 1e3:.2f} ms", f"alone {p99[0] * 1e3:.2f} ms", p99[1] / p99[0], "≤", 1.2, {
            "alone_p99": [slow.percentile(found, 0.99) for found in alone],
            "beside_p99": [slow.percentile(found, 0.99) for found in beside], "asked": asked})]


def greedy():
    """abuse.py PORT TOKEN RATE: asks at a rate, pipelined over one connection, until standard input ends."""
    import select
    import socket
    port, token, rate = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    request = f"GET /contexts?limit=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    one = socket.create_connection(("127.0.0.1", port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    counts, begun, sent, rest = {"200": 0, "429": 0}, time.monotonic(), 0, b""
    while not select.select([sys.stdin], [], [], 0)[0]:
        due = int((time.monotonic() - begun) * rate) - sent
        if due > 0:
            one.sendall(request * min(due, 100))
            sent += min(due, 100)
        while select.select([one], [], [], 0.002)[0]:
            found = one.recv(1 << 16)
            if not found:
                raise SystemExit("the server closed")
            rest += found
            for status in counts:
                counts[status] += rest.count(f"HTTP/1.1 {status} ".encode())
            rest = rest[-12:]
    print(json.dumps(counts | {"seconds": time.monotonic() - begun}))


ROWS = {"slow-clients": slow_clients, "fair": fair}

if __name__ == "__main__":
    greedy()
