"""`engram verify`: says nothing of a sound directory, and of a damaged one what is wrong, without changing it."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from harness import BINARY, Server, log_files, scratch_directory, unit

EX_NOINPUT, EX_CANTCREAT = 66, 73


def verify(directory, *flags):
    return subprocess.run(
        [BINARY, "verify", "--data-dir", str(directory), *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=120)


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x55]))


def snapshot(directory):
    return {str(path): path.read_bytes() for path in pathlib.Path(directory).rglob("*") if path.is_file()}


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """One directory with units in log and store, as SIGTERM leaves it, and one as SIGKILL does."""
        with Server() as server:
            with server.client() as client:
                for n in range(200):
                    client.create(unit(f"verify-{n % 7}", f"{n} " + "v" * 700, agent=f"agent-{n % 3}"))
            cls.directory = scratch_directory()
            server.kill()
            shutil.copytree(server.directory, cls.directory + "/killed")
            server.start()
            assert server.terminate() == 0
            shutil.copytree(server.directory, cls.directory + "/ended")

    def copy(self, which="ended"):
        into = tempfile.mkdtemp(dir=self.directory)
        shutil.copytree(f"{self.directory}/{which}", into + "/data")
        return into + "/data"

    def finds(self, directory, *words):
        done = verify(directory)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stdout)
        self.assertNotIn("no damage", done.stdout)
        return done.stdout

    def test_sound(self):
        for which in ("ended", "killed"):
            with self.subTest(which):
                directory = self.copy(which)
                before = snapshot(directory)
                done = verify(directory)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertEqual(done.stdout.splitlines()[-1], "no damage")
                self.assertIn("log: ", done.stdout)
                # SQLite puts its own files in order as it opens them: the index is made of the store.
                after = snapshot(directory)
                changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
                self.assertEqual([name for name in changed if "search/" not in str(name)], [], "something was written")
        self.assertIn("store: ids: 200 entries", verify(self.copy()).stdout)

    def test_nothing_there(self):
        self.assertEqual(verify(scratch_directory()).returncode, EX_NOINPUT)
        self.assertEqual(verify(scratch_directory() + "/nowhere").returncode, EX_NOINPUT)

    def test_a_server_is_running(self):
        with Server() as server:
            done = verify(server.directory)
            self.assertEqual(done.returncode, EX_CANTCREAT, done.stdout)
            self.assertIn("is using", done.stderr)

    def test_a_byte_of_each_table(self):
        tables = [path.name for path in pathlib.Path(self.copy(), "db").glob("*.sst")]
        self.assertGreaterEqual(len(tables), 6)
        for name in tables:
            with self.subTest(name):
                directory = self.copy()
                flip(f"{directory}/db/{name}", 30)
                self.finds(directory, "Corruption", name)

    def test_a_byte_of_the_log(self):
        directory = self.copy("killed")
        segment = max(log_files(directory), key=lambda path: path.read_bytes()[:100_000].count(b"ENGBATCH"))
        flip(segment, 4096 + 300)
        self.finds(directory, "damage", segment.name)

    def test_a_table_that_is_gone(self):
        directory = self.copy()
        max(pathlib.Path(directory, "db").glob("*.sst"), key=lambda path: path.stat().st_size).unlink()
        self.finds(directory, "No such file")

    def test_no_log_or_no_store(self):
        directory = self.copy()
        shutil.rmtree(directory + "/db")
        # The log of this small history goes back to its start: a server would replay it.
        self.assertEqual(verify(directory).returncode, 0)
        directory = self.copy()
        for path in log_files(directory):
            path.unlink()
        self.finds(directory, "the log ends at 0")

    def test_another_servers_log(self):
        with Server() as other:
            with other.client() as client:
                client.create(unit("other", "x"))
            self.assertEqual(other.terminate(), 0)
            directory = self.copy()
            shutil.rmtree(directory + "/wal")
            shutil.copytree(other.directory + "/wal", directory + "/wal")
        self.finds(directory, "belongs to another log")
