"""What happens when the machine fails the server: no space, failing and crawling disks, no descriptors, no memory to
lock, a wall clock that is turned, a process that is stopped. Nothing acknowledged is lost, and nobody hangs."""

import email.utils
import errno
import os
import re
import signal
import socket
import subprocess
import time
import unittest

from faults import Faults, FaultyServer, FileSystem, Load, Process
from harness import BINARY, NotReady, Options, Raw, Server, http_request, unit, until
from test_stream import Follower

EX_IOERR = 74
RESUME_SECONDS = 10


def readiness(server):
    with server.client() as client:
        answer = client.get("/readyz")
    return answer.status, answer.body.decode()


def refused(load):
    return load.statuses().get(507, 0)


def verified(test, directory):
    """`engram verify` finds nothing wrong with what a server left."""
    done = subprocess.run(
        [BINARY, "verify", "--data-dir", str(directory)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=600)
    test.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class FullFileSystem(unittest.TestCase):
    def test_filled_and_emptied_under_load(self):
        turns = 20 if Options.full else 5
        with FileSystem(900) as disk, Server(directory=str(disk.path / "data")) as server:
            with Load(server) as load:
                until(lambda: load.count > 50, 60, "the load")
                for turn in range(turns):
                    with self.subTest(turn=turn):
                        self.fill_and_empty(server, disk, load, hold=75 if Options.full and turn == 5 else 0.5)
            load.sound()
            self.assertEqual({code for status, code, _ in load.refusals() if status == 507}, {"storage_full"})
            load.check()
            self.assertEqual(server.terminate(), 0, server.said())
            verified(self, server.directory)
            server.start()
            load.check()
            self.assertEqual(server.terminate(), 0)
        print(f"     {turns} turns, {load.count} acknowledged units, answers {load.statuses()}", flush=True)

    def fill_and_empty(self, server, disk, load, hold):
        disk.fill()
        try:
            begun = refused(load)
            until(lambda: refused(load) > begun, 20, "the first 507")
            until(lambda: readiness(server)[0] == 503, 10, "not ready")
            self.assertIn("free space", readiness(server)[1])
            reads = sum(reader.count for reader in load.readers)
            time.sleep(hold)
            self.assertGreater(sum(reader.count for reader in load.readers), reads, "reads stopped")
            self.assertTrue(server.alive(), server.said())
        finally:
            disk.empty()
        emptied = time.monotonic()
        until(lambda: load.newest > emptied, RESUME_SECONDS, "writes again")
        until(lambda: readiness(server)[0] == 200, 30, "ready again")
        load.sound()

    def test_full_at_start_up(self):
        with FileSystem(900) as disk, Server(directory=str(disk.path / "data")) as server:
            with server.client() as client:
                kept = [client.create(unit("start", str(n))) for n in range(20)]
            server.kill()
            for leave in (0, 300 << 10, 20 << 20):
                with self.subTest(leave=leave):
                    disk.fill(leave)
                    try:
                        server.start()
                        self.starts_full(server, kept)
                    finally:
                        disk.empty()
                    with server.client() as client:
                        until(lambda: client.get("/readyz").status == 200, RESUME_SECONDS, "ready")
                        kept.append(client.create(unit("start", "yes")))
                        until(lambda: os.path.exists(disk.path / "data" / "ballast"), 10, "the ballast")
                server.kill()
            server.start()
            with server.client() as client:
                self.assertEqual(client.all_units("start"), kept)
            self.assertEqual(server.terminate(), 0)
            verified(self, server.directory)

    def starts_full(self, server, kept):
        with server.client() as client:
            self.assertEqual(client.all_units("start"), kept)
            # A spare segment of the last run may still take some.
            while (answer := client.post(unit("start", "few"))).status == 201:
                kept.append(answer.json()["work_unit"])
            self.assertEqual((answer.status, answer.json()["code"]), (507, "storage_full"))
            until(lambda: client.get("/readyz").status == 503, 10, "not ready")

    def test_full_from_the_very_first_start(self):
        """Not even a store can be made: the server says so and ends, and the next start goes as if it had not been."""
        with FileSystem(900) as disk:
            disk.fill()
            server = Server(directory=str(disk.path / "data"), start=False)
            with self.assertRaises(NotReady) as said:
                server.start()
            self.assertRegex(str(said.exception), "exit (73|74) ")
            self.assertIn("No space left", str(said.exception))
            disk.empty()
            server.start()
            with server.client() as client:
                client.create(unit("first", "now"))
            self.assertEqual(server.terminate(), 0)

    def test_full_at_the_end(self):
        """SIGTERM on a full file system ends in seconds, whoever waits for room."""
        with FileSystem(900) as disk, Server(directory=str(disk.path / "data")) as server:
            load = Load(server, writers=6, payload_bytes=400_000)
            with load:
                until(lambda: load.count > 40, 60, "the load")
                disk.fill()
                begun = time.monotonic()
                code = server.terminate(timeout=30)
                took = time.monotonic() - begun
                load.stop()
            self.assertEqual(code, 0, server.said())
            self.assertLess(took, 8, "SIGTERM took too long on a full file system")
            disk.empty()
            verified(self, server.directory)
            server.start()
            load.check()
            self.assertEqual([answer for writer in load.writers for answer in writer.unexpected], [])

    def test_the_store_finds_no_room_and_recovers(self):
        """ENOSPC of flushes, which RocksDB meets by itself: writes wait in the log, and the store goes on without a
        restart once there is room."""
        faults = Faults()
        with FaultyServer(environment=faults.environment()) as server:
            with Load(server, writers=4, readers=1, payload_bytes=600_000) as load:
                faults.fail_store(errno.ENOSPC)
                until(lambda: faults.hits > 0, 120, "a flush")
                until(lambda: readiness(server)[0] == 503, 20, "not ready")
                self.assertIn("background errors", readiness(server)[1])
                time.sleep(45 if Options.full else 3)
                self.assertTrue(server.alive(), server.said())
                load.sound()
                faults.fail_store(0)
                freed = time.monotonic()
                until(lambda: load.newest > freed, 30, "writes again")
                for writer in load.writers:
                    writer.stop()
                until(lambda: readiness(server)[0] == 200, 60, "ready again")
            load.sound()
            load.check()
            self.assertEqual(server.terminate(30), 0, server.said())
            verified(self, server.directory)


    def test_the_store_has_no_room_at_the_end(self):
        """SIGTERM while flushes find no room: what isn't in the store is in the log, and ends nobody's patience."""
        faults = Faults()
        with FaultyServer(environment=faults.environment()) as server:
            load = Load(server, writers=4, readers=1, payload_bytes=600_000)
            with load:
                faults.fail_store(errno.ENOSPC)
                until(lambda: faults.hits > 0, 120, "a flush")
                until(lambda: readiness(server)[0] == 503, 20, "not ready")
                begun = time.monotonic()
                code = server.terminate(timeout=40)
                took = time.monotonic() - begun
                load.stop()
            self.assertEqual(code, 0, server.said())
            self.assertLess(took, 15, "SIGTERM took too long")
            faults.fail_store(0)
            server.start()
            load.check()
            self.assertEqual(server.terminate(30), 0)
            verified(self, server.directory)


class FailingDisk(unittest.TestCase):
    def test_the_store_fails(self):
        """EIO on the store: not ready, then an exit that says why; a restart replays what the log has."""
        faults = Faults()
        with FaultyServer(environment=faults.environment()) as server:
            with Load(server, writers=4, readers=1, payload_bytes=600_000) as load:
                faults.fail_store(errno.EIO)
                until(lambda: faults.hits > 0, 120, "a flush")
                until(lambda: not server.alive() or readiness(server)[0] == 503, 20, "not ready")
                code = server.process.wait(120)
                for reader in load.readers:
                    reader.stop()
            self.assertEqual(code, EX_IOERR, server.said())
            self.assertIn("store", server.said())
            faults.fail_store(0)
            server.start()
            load.check()
            self.assertEqual(server.terminate(30), 0)
            verified(self, server.directory)

    def test_the_log_fails(self):
        """EIO on the log ends the writer and the process; what was acknowledged is there after a restart."""
        with FileSystem(900) as disk, Server(directory=str(disk.path / "data")) as server:
            with Load(server) as load:
                until(lambda: load.count > 100, 60, "the load")
                disk.break_down()
                code = server.process.wait(30)
                for thread in load.readers + load.writers:
                    thread.stop()
            self.assertEqual(code, EX_IOERR, server.said())
            self.assertIn("the log failed", server.said())
            before = load.count
            disk.unmount()
            disk.mount()
            server.start()
            self.assertGreaterEqual(load.check(), before)
            self.assertEqual(server.terminate(), 0)
            verified(self, server.directory)

    def test_the_store_crawls(self):
        """Flushes that take long stall RocksDB's writes: commits go on until too much is unapplied, then 503 with
        Retry-After, and all of it is there once the disk is quick again."""
        faults = Faults()
        with FaultyServer(environment=faults.environment()) as server:
            with Load(server, writers=6, readers=1, payload_bytes=2_000_000) as load:
                faults.delay_store(6)
                until(lambda: load.statuses().get(503, 0) > 3, 240, "the first 503")
                self.assertTrue(all(retry for status, _, retry in load.refusals() if status == 503), load.refusals())
                self.assertEqual(readiness(server)[0], 503)
                faults.delay_store(0)
                quick = time.monotonic()
                until(lambda: load.newest > quick + 1, 90, "writes again")
                for writer in load.writers:
                    writer.stop()
                until(lambda: readiness(server)[0] == 200, 90, "ready again")
            load.sound()
            load.check()
            self.assertEqual(server.terminate(60), 0, server.said())
            verified(self, server.directory)


class Shortage(unittest.TestCase):
    def test_out_of_descriptors(self):
        """Accepting pauses without a busy loop, those connected live on, log and store still open files, and accepting
        resumes when descriptors are free."""
        limit = 160
        with FaultyServer(before=["prlimit", f"--nofile={limit}:{limit}"]) as server:
            process = Process(server)
            crowd = []
            with Load(server, writers=4, readers=1, payload_bytes=300_000) as load:
                until(lambda: load.count > 5, 60, "the load")
                for _ in range(3 * limit):
                    crowd.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
                until(lambda: process.descriptors() >= limit * 3 // 4, 20, "descriptors in use")
                time.sleep(0.5)
                self.assertLess(process.descriptors(), limit, "nothing is left for log and store")
                with self.assertRaises(OSError, msg="it serves more than its limit"):
                    with Raw(server.port, timeout=1) as late:
                        late.send(http_request("GET", "/healthz"))
                        if late.answer() is None:
                            raise OSError("closed")
                # New segments of the log and new tables of the store are made meanwhile.
                begun = load.count
                until(lambda: load.count > begun + (1500 if Options.full else 500), 240, "writes go on")
                load.sound()
            load.stop()
            idle = process.cpu_seconds()
            time.sleep(2)
            self.assertLess(process.cpu_seconds() - idle, 0.6, "it spins")
            for one in crowd:
                one.close()
            with server.client() as client:
                until(lambda: client.get("/healthz").status == 200, 20, "accepting again")
            load.check()
            self.assertEqual(server.terminate(), 0, server.said())

    def test_memory_that_may_not_be_locked(self):
        """Buffers that the kernel won't register work all the same, and a line says so."""
        before = ["prlimit", "--memlock=8388608:8388608", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]
        with FaultyServer(before=before) as server:
            with server.client() as client:
                made = [client.create(unit("locked", "x" * 10_000)) for _ in range(20)]
                self.assertEqual(client.all_units("locked"), made)
            self.assertIn("RLIMIT_MEMLOCK", server.said())
            self.assertEqual(server.terminate(), 0)


class Time(unittest.TestCase):
    def test_the_wall_clock_is_turned(self):
        """An hour back and two forward: log_time never falls, ids stay unique and sorted, no time-out fires, what is
        written reaches the store, and the Date of answers follows."""
        faults = Faults()
        with FaultyServer(environment=faults.environment()) as server:
            with server.client() as client, Raw(server.port) as slow, Follower(server, context="clock", after=0) as follower:
                follower.subscribed()
                body = http_request("POST", "/workunit", unit("clock-slow", "s"))
                slow.send(body[:-5])
                made = []
                for turn in (0, -3600, 3600, -7200, 0):
                    faults.turn_clock(turn)
                    made += [client.create(unit("clock", f"{turn} {n}")) for n in range(20)]
                    expected = time.time() + turn
                    until(lambda: abs(self.date(client) - expected) < 10, 10, "the date")
                    until(lambda: self.applied(client) >= made[-1]["position"], 10, "the store")
                slow.send(body[-5:])
                self.assertEqual(slow.answer().status, 201, "a time-out fired")
                self.assertEqual([one["id"] for one in follower.units(len(made))], [one["id"] for one in made])
                times = [one["timestamp"] for one in client.all_units("clock")]
            self.assertEqual(times, sorted(times), "log_time fell")
            ids = [one["id"] for one in made]
            self.assertEqual(ids, sorted(set(ids)), "ids repeat or fall")
            self.assertEqual(server.terminate(), 0)

    @staticmethod
    def date(client):
        answer = client.get("/healthz")
        return email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()

    @staticmethod
    def applied(client):
        text = client.get("/metrics").body.decode()
        return float(re.search(r"^engram_\S*applied_position (\S+)$", text, re.M).group(1))

    def test_stopped_and_continued(self):
        """SIGSTOP for a minute: requests under way, idle connections and streams go on as if it hadn't been."""
        seconds = 60 if Options.full else 13
        with Server() as server:
            with Load(server, writers=4, readers=1, pause=0.02) as load, Follower(
                    server, timeout=120, context=load.contexts[0], after=0) as follower, \
                    Raw(server.port, timeout=90) as half, Raw(server.port, timeout=90) as head, \
                    server.client(90) as idle:
                until(lambda: load.count > 20, 60, "the load")
                follower.subscribed()
                self.assertEqual(idle.get("/healthz").status, 200)
                body = http_request("POST", "/workunit", unit("half", "h" * 100))
                half.send(body[:-30])
                head.send(body[:20])
                time.sleep(0.2)
                server.process.send_signal(signal.SIGSTOP)
                time.sleep(seconds)
                server.process.send_signal(signal.SIGCONT)
                going = time.monotonic()
                time.sleep(1)
                half.send(body[-30:])
                head.send(body[20:])
                for under_way in (half, head):
                    self.assertEqual(under_way.answer().status, 201, "a request under way was cut")
                self.assertEqual(idle.get("/healthz").status, 200, "an idle connection was cut")
                until(lambda: load.newest > going, 20, "writes again")
                self.assertEqual(set(load.statuses()), {201}, "a storm of refusals")
                until(lambda: load.count > 60, 30, "more writes")
                load.sound()
                load.stop()
                with server.client() as client:
                    wanted = [one["id"] for one in client.all_units(load.contexts[0])]
                self.assertEqual([one["id"] for one in follower.units(len(wanted))], wanted)
            load.check()
            self.assertEqual(server.terminate(), 0)


class Growth(unittest.TestCase):
    def test_the_log_is_recycled(self):
        """More goes through the log than it may keep: its files stay few, and memory bounded."""
        gibibytes = 4 if Options.full else 1
        with Server() as server:
            with Load(server, writers=6, readers=1, payload_bytes=1_000_000) as load:
                most = memory = 0
                deadline = time.monotonic() + (1200 if Options.full else 300)
                while load.count < gibibytes * 1000:
                    self.assertLess(time.monotonic(), deadline, f"only {load.count} units; {load.statuses()}")
                    most = max(most, server.log_bytes())
                    memory = max(memory, Process(server).rss_bytes())
                    load.sound()
                    time.sleep(0.2)
            load.sound()
            # Flushed above 512 MiB of log, and the two segments that follow; two spares.
            self.assertLess(most, (1 << 30) + (256 << 20), f"{most >> 20} MiB of log files")
            load.check()
            self.assertEqual(server.terminate(60), 0)
        print(f"     {gibibytes} GiB written, at most {most >> 20} MiB of log files, {memory >> 20} MiB of memory", flush=True)
