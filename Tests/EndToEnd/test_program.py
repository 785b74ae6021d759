"""The program itself: flags, exit codes, signals, two servers in one place, and a log that was damaged."""

import mmap
import os
import pathlib
import signal
import socket
import subprocess
import time
import unittest

from harness import BINARY, NotReady, Server, free_port, http_request, scratch_directory, unit, until

EX_USAGE, EX_CANTCREAT, EX_CONFIG = 64, 73, 78


def run(*arguments, timeout=30):
    return subprocess.run(
        [BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, timeout=timeout)


def serve(*flags, directory=None, address=None, timeout=30):
    """Runs a server that should refuse to start."""
    return run(
        "serve", "--listen", address or f"127.0.0.1:{free_port()}", "--data-dir", directory or scratch_directory(),
        *flags, timeout=timeout)


class Flags(unittest.TestCase):
    def test_help(self):
        for arguments in (["--help"], ["serve", "--help"], ["inspect", "--help"]):
            with self.subTest(arguments):
                done = run(*arguments)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("USAGE", done.stdout.upper())
        for flag in ("--listen", "--data-dir", "--loops", "--log-level"):
            self.assertIn(flag, run("serve", "--help").stdout)

    def test_wrong_usage(self):
        for arguments in (
            ["serve", "--no-such-flag"], ["no-such-command"], ["serve", "--loops", "many"], ["serve", "--loops", "0"],
            ["serve", "--loops", "-1"], ["serve", "--listen"], ["serve", "--listen", "nowhere"],
            ["serve", "--listen", "127.0.0.1:99999"], ["serve", "--listen", "127.0.0.1"],
            ["serve", "--log-level", "loud"], ["serve", "--log-format", "xml"], ["serve", "extra"]):
            with self.subTest(arguments):
                done = run(*arguments, timeout=10)
                self.assertEqual(done.returncode, EX_USAGE, done.stdout + done.stderr)
                self.assertTrue(done.stderr.strip(), "nothing said why")

    def test_the_start_line(self):
        with Server() as server:
            line = next(line for line in server.stdout if line.strip() != "ready")
            self.assertIn(server.address, line)
            self.assertIn(server.directory, line)
            self.assertEqual(server.recovered()[0], 0, line)
            self.assertIsNotNone(server.recovered()[1], line)
            self.assertEqual(server.stdout.index("ready"), len(server.stdout) - 1)

    def test_recovered_events_are_counted(self):
        with Server() as server:
            with server.client() as client:
                for n in range(25):
                    client.create(unit("count", str(n)))
            server.kill()
            server.start()
            # The context made on first use may be an event of its own.
            self.assertIn(server.recovered()[0], range(25, 52), server.stdout)

    def test_environment_and_precedence(self):
        port, other = free_port(), free_port()
        environment = os.environ | {"ENGRAM_LISTEN": f"127.0.0.1:{port}", "ENGRAM_DATA_DIR": scratch_directory()}
        for flags, expected in (([], port), (["--listen", f"127.0.0.1:{other}"], other)):
            with self.subTest(flags):
                process = subprocess.Popen([BINARY, "serve", *flags], env=environment, stdout=subprocess.PIPE)
                try:
                    until(lambda: _accepts(expected), 20, f"port {expected}")
                finally:
                    process.kill()
                    process.communicate()


def _accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Neighbours(unittest.TestCase):
    def test_one_data_directory_has_one_server(self):
        with Server() as first:
            with first.client() as client:
                client.create(unit("c", "before"))
                done = serve(directory=first.directory)
                self.assertEqual(done.returncode, EX_CANTCREAT, done.stdout + done.stderr)
                self.assertIn(first.directory, done.stderr)
                client.create(unit("c", "after"))
                self.assertEqual(len(client.all_units("c")), 2)
            first.kill()
            with Server(directory=first.directory) as heir, heir.client() as client:
                self.assertEqual(len(client.all_units("c")), 2)

    def test_a_port_in_use_is_an_error(self):
        with Server() as first:
            done = serve(address=first.address)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(str(first.port), done.stderr)
            with first.client() as client:
                self.assertEqual(client.get("/healthz").status, 200)

    def test_a_port_that_someone_else_holds(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            done = serve(address=f"127.0.0.1:{holder.getsockname()[1]}")
            self.assertNotEqual(done.returncode, 0, done.stdout)

    def test_beyond_loopback_is_refused(self):
        for address in ("0.0.0.0", "[::]", "192.0.2.1"):
            with self.subTest(address):
                done = serve(address=f"{address}:{free_port()}", timeout=10)
                self.assertEqual(done.returncode, EX_CONFIG, done.stdout + done.stderr)

    def test_a_data_directory_that_cannot_be(self):
        path = pathlib.Path(scratch_directory(), "file")
        path.write_text("a file, no directory")
        done = serve(directory=str(path))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(path), done.stderr)
        self.assertEqual(path.read_text(), "a file, no directory")

    def test_what_is_stored_is_for_nobody_else(self):
        directory = pathlib.Path(scratch_directory(), "made", "here")
        with Server(directory=str(directory)) as server:
            with server.client() as client:
                client.create(unit("a", "x"))
            until(lambda: (directory / "db" / "CURRENT").exists(), what="the store")
            paths = [directory, *directory.rglob("*")]
            self.assertGreater(len(paths), 10)
            self.assertEqual([str(path) for path in paths if path.stat().st_mode & 0o007], [])

    def test_a_data_directory_is_made(self):
        path = os.path.join(scratch_directory(), "a", "b")
        with Server(directory=path) as server, server.client() as client:
            client.create(unit("c", "x"))


class Signals(unittest.TestCase):
    def test_both_end_it_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number), Server() as server:
                with server.client() as client:
                    client.create(unit("c", "x"))
                server.process.send_signal(number)
                self.assertEqual(server.process.wait(15), 0, server.said())
                server.start()
                with server.client() as client:
                    self.assertEqual(len(client.all_units("c")), 1)

    def test_idle_connections_do_not_hold_it_up(self):
        with Server() as server:
            wires = [server.raw() for _ in range(50)]
            for wire in wires:
                wire.send(http_request("GET", "/healthz")).answer()
            begun = time.monotonic()
            self.assertEqual(server.terminate(), 0)
            self.assertLess(time.monotonic() - begun, 5)
            for wire in wires:
                self.assertTrue(wire.ended(2))
                wire.close()

    def test_a_second_signal_ends_it_at_once(self):
        with Server() as server, server.raw() as wire:
            # A request that never ends would hold the first signal up for its ten seconds.
            wire.send(http_request("POST", "/workunit", b"{}" + b" " * 100)[:-50])
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            begun = time.monotonic()
            if server.alive():
                server.process.send_signal(signal.SIGTERM)
            server.process.wait(3)
            self.assertLess(time.monotonic() - begun, 3)

    def test_a_request_that_never_ends_holds_it_up_for_ten_seconds_at_most(self):
        with Server() as server, server.raw() as wire:
            wire.send(http_request("POST", "/workunit", b"{}" + b" " * 100)[:-50])
            time.sleep(0.2)
            self.assertEqual(server.terminate(timeout=13), 0)


class Log(unittest.TestCase):
    """Standard error is a pipe that is full, and that nobody reads."""

    def setUp(self):
        self.server = Server(start=False)
        self.addCleanup(self.server.discard)
        self.reader, writer = os.pipe()
        self.server.process = subprocess.Popen(
            self.server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writer)
        self.server._readers = []
        self.addCleanup(self.server.process.stdout.close)
        self.assertTrue(any(line == b"ready\n" for line in self.server.process.stdout))
        # The flag is on what is opened here, and not on what the server holds.
        full = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
        for size in (4096, 1):
            try:
                while os.write(full, b"." * size):
                    pass
            except BlockingIOError:
                pass
        os.close(full)
        os.close(writer)
        self.addCleanup(os.close, self.reader)

    def reload(self):
        self.server.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)

    def test_the_end_comes_all_the_same(self):
        self.reload()
        begun = time.monotonic()
        self.assertEqual(self.server.terminate(), 0)
        self.assertLess(time.monotonic() - begun, 5)

    def test_who_reads_again_is_told_what_was_lost(self):
        for _ in range(3):
            self.reload()
        with self.server.client() as client:
            self.assertEqual(client.get("/healthz").status, 200)
        os.set_blocking(self.reader, False)
        try:
            while os.read(self.reader, 1 << 16).strip(b"."):
                pass
        except BlockingIOError:
            pass
        self.reload()
        said = os.read(self.reader, 1 << 16).decode()
        self.assertRegex(said, r"warning log lines were lost: .* lines=[1-9]\d*\n")
        self.assertIn(" reloaded ", said)
        self.assertEqual(self.server.terminate(), 0)


class Damage(unittest.TestCase):
    """The log of a killed server, a byte of it flipped where units were acknowledged and later batches witness it."""

    MARK = "the-first-unit-of-this-log"

    def written(self, server, count=50):
        with server.client() as client:
            for n in range(count):
                client.create(unit("damage", f"{self.MARK}-{n}-" + "." * 1000))
        # An idle log writes an empty batch after 200 ms: the last witness.
        time.sleep(0.6)

    def find(self, directory, text):
        """(path, offset) of this text in the files of the data directory."""
        found = []
        for path in sorted(pathlib.Path(directory).rglob("*")):
            if path.is_file() and path.stat().st_size:
                with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    offset = data.find(text.encode())
                    if offset >= 0:
                        found.append((path, offset))
        return found

    def flip(self, path, offset, bit=0x01):
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ bit]))
            os.fsync(file.fileno())

    def test_a_sound_log_is_said_to_be_sound(self):
        with Server() as server:
            self.written(server)
            server.kill()
            done = run("inspect", "--data-dir", server.directory)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertTrue(done.stdout.strip())
            server.start()
            self.assertEqual(server.terminate(), 0)
            done = run("inspect", "--data-dir", server.directory)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_inspect_needs_a_log(self):
        self.assertNotEqual(run("inspect", "--data-dir", os.path.join(scratch_directory(), "none")).returncode, 0)

    def test_a_flipped_byte_is_found_and_stops_the_start(self):
        for count, target in ((50, 0), (50, 25), (200, 100)):
            with self.subTest(f"unit {target} of {count}"), Server() as server:
                self.written(server, count)
                server.kill()
                places = self.find(server.directory, f"{self.MARK}-{target}-")
                self.assertTrue(places, "the unit's text is nowhere in the data directory")
                for path, offset in places:
                    self.flip(path, offset + 5)
                done = run("inspect", "--data-dir", server.directory)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                names = [path.name for path, _ in places]
                self.assertTrue(any(name in done.stdout + done.stderr for name in names), done.stdout + done.stderr)
                with self.assertRaises(NotReady) as refusal:
                    server.start()
                self.assertNotEqual(server.process.returncode, 0)
                said = "\n".join(server.stderr)
                self.assertTrue(any(name in said for name in names), f"the file is not named: {said}")
                self.assertRegex(said, r"\d", "no offset")
                self.assertNotIn("Fatal error", str(refusal.exception))
                # Put right again, it starts again: the refusal has changed nothing.
                for path, offset in places:
                    self.flip(path, offset + 5)
                server.start()
                with server.client() as client:
                    self.assertEqual(len(client.all_units("damage")), count)

    def test_a_missing_piece_stops_the_start(self):
        """Zeros where a batch was: not the end of the log, because later batches are there."""
        with Server() as server:
            self.written(server, 60)
            server.kill()
            [(path, offset)] = self.find(server.directory, f"{self.MARK}-20-")[:1]
            with open(path, "r+b") as file:
                file.seek(offset // 4096 * 4096)
                file.write(bytes(4096))
            self.assertEqual(run("inspect", "--data-dir", server.directory).returncode, 1)
            with self.assertRaises(NotReady):
                server.start()

    def test_damage_in_the_last_batch_is_never_made_up(self):
        """The last unit's batch is witnessed by the empty batch of the idle log, so that its damage is found too."""
        with Server() as server:
            self.written(server, 10)
            server.kill()
            for path, offset in self.find(server.directory, f"{self.MARK}-9-"):
                self.flip(path, offset + 5)
            with self.assertRaises(NotReady):
                server.start()
