#!/usr/bin/env python3
"""A soak: posts for as long as asked, reads meanwhile, and judges whether the server keeps its pace.

    soak.py --units 10000000            so many units; or --minutes 60; or both, whichever ends first
    soak.py --bytes 1024                payload of a unit
    soak.py --smoke                     20,000 units, in seconds: what `make test` runs; nothing is judged by its pace

Prints a line every few seconds, a table of tenths, and PASS or FAIL of each criterion. The last line is
`N passed, N failed`. The data (about 1.3 × payload) lies below ENGRAM_SCRATCH and is removed at the end.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import clients
import measure
import servers
from measure import Failed

MEBIBYTE = 1 << 20
MEMORY_BYTES_MAX = 6 << 30
"""Memtables (6 families × 2 × 128 MiB), block cache (4 GiB), window, slabs; see Sources/Storage/StoreOptions.swift."""
LOG_BYTES_MAX = (2 << 30) + (256 << 20)
"""`logBytesMax`, the segments being filled, and spares."""
MEMORY_GROWTH_MAX = 1.15
PACE_MIN = 0.8
READ_SECONDS_MAX = 0.002
SETTLE_SECONDS = 180
END_SECONDS, END_RATE, END_READS = 20, 2000, 100
"""At the end the newest 100 are read while single units are posted at this rate: the budget of the design."""
SAMPLE_SECONDS = 1.0
LINE_SECONDS = 5.0


@dataclasses.dataclass
class Sample:
    seconds: float
    acknowledged: int
    rss: int
    log_files: int
    segments: int
    store: int
    unapplied: int
    processor: float


class Client:
    """One `soak.c` process, followed line by line."""

    def __init__(self, binary, *arguments):
        self.process = subprocess.Popen(
            [binary, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        self.newest, self.reads, self.complaint = {"acknowledged": 0, "refused": 0, "read_failures": 0}, [], ""
        self.threads = [threading.Thread(target=self._follow, daemon=True), threading.Thread(target=self._hear, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _follow(self):
        for line in self.process.stdout:
            said = json.loads(line)
            now = time.monotonic()
            self.reads += [(now, latency / 1e6) for latency in said.pop("reads_us")]
            self.newest = said

    def _hear(self):
        self.complaint = self.process.stderr.read()

    def alive(self):
        return self.process.poll() is None

    def end(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for thread in self.threads:
            thread.join(5)


def has_batches(server):
    """Whether this server takes `POST /workunits`; where it doesn't, single units are posted."""
    unit = servers.harness.unit("soak-0", "probe")
    with server.client() as client:
        return client.request("POST", "/workunits", [unit], {"Content-Type": "application/json"}).status == 201


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def metric(text, pattern):
    found = re.search(rf"^{pattern} (\S+)$", text, re.M)
    return float(found.group(1)) if found else 0.0


class Soak:
    def __init__(self, options):
        self.options = options
        self.samples, self.rows = [], []
        self.results = []

    # -- the run -----------------------------------------------------------------------------------------------

    def run(self):
        binary = clients.compiled("soak")
        options = self.options
        with servers.Engram() as server:
            batch = options.batch or (100 if has_batches(server) else 1)
            self.probes = 1 if has_batches(server) and not options.batch else 0
            with server.client() as client:
                first = self.stored(client)
            print(f"{options.connections} connections, {batch} units a post, payload {options.bytes} bytes, "
                  f"{options.contexts} contexts, {options.reads}/s reads of the newest 100", flush=True)
            units, seconds = options.units or 0, (options.minutes or 0) * 60
            load = Client(
                binary, server.port, options.connections, batch, options.bytes, options.contexts, units, seconds, 0, 0)
            reader = Client(binary, server.port, 0, 1, 16, options.contexts, 0, 10_000_000, options.reads, 0)
            try:
                self.watch(server, load, reader)
            finally:
                load.end()
                reader.end()
            if load.process.returncode != 0:
                raise Failed(f"the load ended early: {load.complaint}")
            self.load, self.reader = load, reader
            self.acknowledged = load.newest["acknowledged"] + first
            self.settle(server)
            self.acknowledged += self.read_at_the_end(binary, server)
            self.settle(server)
            code = server.terminate(120)
            self.judge("the server ends in order", code == 0, f"exit {code}")
            self.verify(server)
        self.judge_pace()

    @staticmethod
    def stored(client):
        """Units that the probes have left."""
        return len(client.all_units("soak-0"))

    def watch(self, server, load, reader):
        begun = time.monotonic()
        self.begun, told = begun, begun
        with server.client(60) as client:
            while load.alive():
                time.sleep(SAMPLE_SECONDS if self.options.smoke is False else 0.2)
                if not server.alive():
                    raise Failed(f"the server ended: {server.said()}")
                self.sample(server, client, load, time.monotonic() - begun)
                if time.monotonic() - told >= LINE_SECONDS:
                    told = time.monotonic()
                    self.tell(reader)
            if not self.samples:
                self.sample(server, client, load, time.monotonic() - begun)
        self.ended = time.monotonic()

    def settle(self, server):
        """Waits until the store has applied everything: what the log still holds isn't counted by verify."""
        begun = time.monotonic()
        with server.client(60) as client:
            while time.monotonic() - begun < SETTLE_SECONDS:
                text = client.get("/metrics").body.decode()
                if metric(text, "engram_store_applied_position") >= metric(text, "engram_log_position"):
                    return
                time.sleep(1.2)
        raise Failed(f"the store has not applied everything {SETTLE_SECONDS} s after the load")

    def read_at_the_end(self, binary, server):
        """Reads of the newest 100 beside a steady trickle of posts. Returns the units that were acknowledged."""
        options, seconds = self.options, 2 if self.options.smoke else END_SECONDS
        post = Client(binary, server.port, 16, 1, options.bytes, options.contexts, 0, seconds, 0, END_RATE)
        read = Client(binary, server.port, 0, 1, 16, options.contexts, 0, 10_000_000, END_READS, 0)
        try:
            while post.alive():
                time.sleep(0.2)
            time.sleep(1.1)
        finally:
            post.end()
            read.end()
        if post.process.returncode != 0:
            raise Failed(f"the posts at the end ended early: {post.complaint}")
        self.end_reads = [latency for _, latency in read.reads]
        self.end_failures = read.newest["read_failures"]
        return post.newest["acknowledged"]

    def sample(self, server, client, load, seconds):
        text = client.get("/metrics").body.decode()
        rss = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{server.pid}/status").read_text()).group(1)) << 10
        self.samples.append(Sample(
            seconds, load.newest["acknowledged"], rss, server.log_bytes(), int(metric(text, "engram_log_segments")),
            int(metric(text, "engram_store_bytes")), int(metric(text, "engram_unapplied_bytes")),
            server.processor().seconds))

    def tell(self, reader):
        last = self.samples[-1]
        before = next((one for one in reversed(self.samples) if last.seconds - one.seconds >= LINE_SECONDS), self.samples[0])
        span = max(last.seconds - before.seconds, 1e-9)
        now = time.monotonic()
        recent = [latency for at, latency in reader.reads[-5000:] if now - at < 2 * LINE_SECONDS]
        print(
            f"{last.seconds:8.0f} s {last.acknowledged:>11,} units {(last.acknowledged - before.acknowledged) / span:>9,.0f}/s  "
            f"rss {last.rss // MEBIBYTE:>5} MiB  log {last.log_files // MEBIBYTE:>5} MiB in {last.segments:>2} segments  "
            f"store {last.store // MEBIBYTE:>6} MiB  unapplied {last.unapplied // MEBIBYTE:>3} MiB  "
            f"newest-100 p50 {percentile(recent, 0.5) * 1000:.2f} p99 {percentile(recent, 0.99) * 1000:.2f} ms", flush=True)

    def verify(self, server):
        begun = time.monotonic()
        done = subprocess.run(
            [servers.harness.BINARY, "verify", "--quiet", "--data-dir", server.directory], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.judge(
            "engram verify", done.returncode == 0,
            f"exit {done.returncode} after {time.monotonic() - begun:.0f} s: {done.stdout.strip().splitlines()[-1:]}")
        found = re.search(r"^store: ids: (\d+) entries", done.stdout, re.M)
        stored = int(found.group(1)) if found else -1
        self.judge("every acknowledged unit is stored, once", stored == self.acknowledged,
                   f"{stored:,} stored, {self.acknowledged:,} acknowledged")

    # -- the verdict ---------------------------------------------------------------------------------------------

    def judge(self, name, holds, detail):
        self.results.append((name, holds, detail))

    def tenths(self):
        """(units per second, highest rss, log files, p99 of reads, CPU per unit) for each tenth of the units."""
        total, rows = self.samples[-1].acknowledged, []
        for n in range(10):
            low, high = total * n / 10, total * (n + 1) / 10
            inside = [one for one in self.samples if low <= one.acknowledged <= high]
            if len(inside) < 2:
                rows.append(None)
                continue
            first, last = inside[0], inside[-1]
            span, units = last.seconds - first.seconds, last.acknowledged - first.acknowledged
            reads = [latency for at, latency in self.reader.reads
                     if first.seconds <= at - self.begun <= last.seconds]
            rows.append((
                units / span if span else float("nan"), max(one.rss for one in inside),
                max(one.log_files for one in inside), max(one.segments for one in inside), last.store,
                percentile(reads, 0.5), percentile(reads, 0.99),
                (last.processor - first.processor) / units * 1e6 if units else float("nan")))
        return rows

    def judge_pace(self):
        rows = self.tenths()
        print("\ntenth     units/s   rss MiB   log MiB  segments  store MiB  newest-100 p50 / p99 ms  server CPU µs/unit")
        for n, row in enumerate(rows):
            if row:
                rate, rss, log, segments, store, p50, p99, cpu = row
                print(f"{n + 1:>5} {rate:>11,.0f} {rss // MEBIBYTE:>9} {log // MEBIBYTE:>9} {segments:>9} "
                      f"{store // MEBIBYTE:>10}      {p50 * 1000:8.2f} / {p99 * 1000:.2f} {cpu:>20.1f}")
        most = max(one.rss for one in self.samples)
        self.judge("memory is below its bound", most <= MEMORY_BYTES_MAX,
                   f"{most // MEBIBYTE} MiB, bound {MEMORY_BYTES_MAX // MEBIBYTE} MiB")
        log = max(one.log_files for one in self.samples)
        self.judge("the log is below its bound", log <= LOG_BYTES_MAX,
                   f"{log // MEBIBYTE} MiB of files, bound {LOG_BYTES_MAX // MEBIBYTE} MiB")
        failures = self.reader.newest["read_failures"] + self.end_failures
        reads = len(self.reader.reads) + len(self.end_reads)
        self.judge("every read succeeds", failures == 0 and reads > 0, f"{reads} reads, {failures} failed")
        if self.options.smoke:
            return
        count = len(self.samples)
        quarter = max(one.rss for one in self.samples[count // 4:count // 2] or self.samples)
        half = max(one.rss for one in self.samples[count // 2:])
        self.judge("memory is flat after warm-up", half <= MEMORY_GROWTH_MAX * quarter,
                   f"{half // MEBIBYTE} MiB in the last half, {quarter // MEBIBYTE} MiB in the second quarter: "
                   f"{half / quarter:.2f}, at most {MEMORY_GROWTH_MAX}")
        if rows[0] and rows[-1]:
            self.judge("the last tenth keeps the pace of the first", rows[-1][0] >= PACE_MIN * rows[0][0],
                       f"{rows[-1][0]:,.0f} and {rows[0][0]:,.0f} units/s: {rows[-1][0] / rows[0][0]:.2f}, at least {PACE_MIN}")
            p50, p99 = percentile(self.end_reads, 0.5), percentile(self.end_reads, 0.99)
            self.judge("newest-100 p99 at the end", p99 <= READ_SECONDS_MAX,
                       f"{p99 * 1000:.2f} ms (p50 {p50 * 1000:.2f}) of {len(self.end_reads)} reads beside {END_RATE:,} posts/s, "
                       f"at most {READ_SECONDS_MAX * 1000:g} ms; in the last tenth of the load {rows[-1][6] * 1000:.2f} ms")
        else:
            self.judge("long enough to judge its pace", False, f"{count} samples")
        written = self.acknowledged * self.options.bytes
        self.judge("log space is recycled", log <= written / 2 or written < LOG_BYTES_MAX,
                   f"{written // MEBIBYTE} MiB of payload through {log // MEBIBYTE} MiB of files")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, help="units to post")
    parser.add_argument("--minutes", type=float, help="minutes to post for")
    parser.add_argument("--bytes", type=int, default=1024, help="payload of a unit (1024)")
    parser.add_argument("--contexts", type=int, default=2000, help="contexts, Zipf (2000)")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--batch", type=int, default=0, help="units a post (100 where the server takes batches, else 1)")
    parser.add_argument("--reads", type=float, default=50, help="reads of the newest 100 units a second (50)")
    parser.add_argument("--smoke", action="store_true", help="20,000 units; no judgement of pace")
    options = parser.parse_args()
    if options.smoke:
        options.units, options.minutes, options.contexts = options.units or 20_000, None, min(options.contexts, 200)
    if not options.units and not options.minutes:
        options.units = 10_000_000

    servers.SCRATCH = servers.SCRATCH / f"soak-{os.getpid()}"
    servers.SCRATCH.mkdir(parents=True)
    soak = Soak(options)
    try:
        print("\n".join(f"{name}: {value}" for name, value in measure.machine(servers.SCRATCH).items()), flush=True)
        free = shutil.disk_usage(servers.SCRATCH).free
        wanted = int((options.units or 0) * options.bytes * 2.5) + (4 << 30)
        if free < wanted:
            raise Failed(f"{free >> 30} GiB are free, and such a run may take {wanted >> 30} GiB")
        soak.run()
    except Failed as error:
        soak.judge("the run", False, str(error))
    finally:
        shutil.rmtree(servers.SCRATCH, ignore_errors=True)

    print()
    for name, holds, detail in soak.results:
        print(f"{'PASS' if holds else 'FAIL'} {name}: {detail}")
    failed = sum(not holds for _, holds, _ in soak.results)
    print(f"{len(soak.results) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
