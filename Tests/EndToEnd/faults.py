"""What a server has to outlive: a small file system that fills and breaks, a store whose calls fail or crawl, a wall
clock that is turned, and a load that knows what was acknowledged.

Mounting needs root, as this machine's tests have it; without, the tests fail and say so.
"""

import contextlib
import fcntl
import http.client
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import threading
import time

from harness import Server, scratch_directory, unit, uuid7

EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH = 0x8004587D, 2  # linux/ext4.h


class FileSystem:
    """A small ext4 of its own in a file, on a loop device."""

    def __init__(self, mebibytes):
        if os.geteuid() != 0:
            raise AssertionError("this test mounts a file system and needs root: run it as root or with sudo")
        self.base = pathlib.Path(scratch_directory())
        self.image, self.path = self.base / "image", self.base / "mount"
        self.path.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(mebibytes << 20)
        # Nothing reserved for root, who runs these tests: what is full is full for the server too.
        _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0", str(self.image))
        self.mounted = False
        self.mount()

    def mount(self):
        _run("mount", "-o", "loop", str(self.image), str(self.path))
        self.mounted = True

    def unmount(self):
        for attempt in range(100):
            try:
                return self._unmount()
            except AssertionError:
                if attempt == 99:
                    # It goes with its last user, and nothing is left of it here.
                    _run("umount", "-l", str(self.path))
                    self.mounted = False
                    raise
                time.sleep(0.1)

    def _unmount(self):
        if self.mounted:
            _run("umount", str(self.path))
            self.mounted = False

    @property
    def free(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, leave=0):
        """Takes all space but `leave` bytes, at once."""
        with open(self.path / "filler", "ab") as file:
            size = os.fstat(file.fileno()).st_size
            # The last blocks go in small steps: a file needs some for its own map.
            for step in (64 << 20, 1 << 20, 1 << 16, 1 << 12, 1 << 10):
                while self.free >= leave + step:
                    try:
                        os.posix_fallocate(file.fileno(), size, step)
                    except OSError:
                        break
                    size += step

    def empty(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path / "filler")

    def break_down(self):
        """From here on every write and sync answers EIO, until it is mounted again."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", EXT4_GOING_FLAGS_NOLOGFLUSH))
        finally:
            os.close(directory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unmount()
        shutil.rmtree(self.base, ignore_errors=True)


class Faults:
    """The control of `faults.c` in one server process."""

    def __init__(self):
        self.base = pathlib.Path(scratch_directory())
        self.library = self.base / "faults.so"
        compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
        if not compiler:
            raise AssertionError("this test needs a C compiler: gcc, cc or clang")
        source = pathlib.Path(__file__).with_name("faults.c")
        _run(compiler, "-O1", "-shared", "-fPIC", "-o", str(self.library), str(source), "-ldl")
        self.control = self.base / "control"
        self.control.write_bytes(bytes(32))

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "FAULTS_CONTROL": str(self.control)}

    def _set(self, place, value):
        with open(self.control, "r+b") as file:
            os.pwrite(file.fileno(), struct.pack("<q", value), place * 8)

    def fail_store(self, errno):
        self._set(0, errno)

    def delay_store(self, seconds):
        self._set(1, int(seconds * 1_000_000))

    def turn_clock(self, seconds):
        self._set(2, int(seconds))

    @property
    def hits(self):
        return struct.unpack_from("<q", self.control.read_bytes(), 24)[0]


class Posts(threading.Thread):
    """Posts units with ids of its own to one context, until told to stop; keeps what was acknowledged by id. A refusal
    (503, 507) is waited out; a connection that ends is made anew."""

    def __init__(self, server, context, payload_bytes=1000, pause=0.0):
        super().__init__(daemon=True)
        self.server, self.context, self.pause = server, context, pause
        self.payload_bytes = payload_bytes
        self.random = random.Random(context)
        self.acknowledged, self.statuses, self.unexpected = {}, {}, []
        self.stopping = threading.Event()
        self.newest = time.monotonic()
        self.slowest = 0.0
        self.refusals = []

    def run(self):
        client = None
        while not self.stopping.is_set():
            given = unit(self.context, self.random.choice("abcdef") * self.payload_bytes, id=uuid7())
            begun = time.monotonic()
            try:
                client = client or self.server.client(90)
                answer = client.post(given)
            except (OSError, http.client.HTTPException):
                if client:
                    client.close()
                client = None
                self.stopping.wait(0.02)
                continue
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
            if answer.status == 201:
                one = answer.json()["work_unit"]
                self.acknowledged[one["id"]] = (one["sequence"], one["position"], given["payload"][:1])
                self.newest = time.monotonic()
            elif answer.status in (503, 507):
                self.refusals.append((answer.status, answer.json().get("code"), answer.headers.get("retry-after")))
                self.stopping.wait(0.02)
            else:
                self.unexpected.append(answer)
                return
            if self.pause:
                self.stopping.wait(self.pause)

    def stop(self):
        self.stopping.set()


class Reads(threading.Thread):
    """Reads the newest units of contexts, in turn, until told to stop: each answer must be a page."""

    def __init__(self, server, contexts, pause=0.01):
        super().__init__(daemon=True)
        self.server, self.contexts, self.pause = server, contexts, pause
        self.count, self.failures, self.slowest = 0, [], 0.0
        self.stopping = threading.Event()

    def run(self):
        with self.server.client(90) as client:
            while not self.stopping.is_set():
                context = self.contexts[self.count % len(self.contexts)]
                begun = time.monotonic()
                try:
                    client.listing(context, limit=20, reverse="true")
                except (OSError, http.client.HTTPException, AssertionError) as error:
                    if not self.stopping.is_set():
                        self.failures.append(repr(error))
                    return
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.count += 1
                self.stopping.wait(self.pause)

    def stop(self):
        self.stopping.set()


class Load:
    """Writers and readers together; `check` holds what is stored to what was acknowledged."""

    def __init__(self, server, writers=6, readers=2, payload_bytes=1000, pause=0.0, name="load"):
        self.server = server
        self.contexts = [f"{name}-{n}" for n in range(max(1, writers // 2))]
        self.writers = [
            Posts(server, self.contexts[n % len(self.contexts)], payload_bytes, pause) for n in range(writers)]
        with server.client() as client:
            # Something to read from the start.
            for context in self.contexts:
                client.create(unit(context, "first"))
        self.readers = [Reads(server, self.contexts) for _ in range(readers)]

    def __enter__(self):
        for thread in self.writers + self.readers:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for thread in self.writers + self.readers:
            thread.stop()
        for thread in self.writers + self.readers:
            thread.join(100)
            if thread.is_alive():
                raise AssertionError(f"a client hangs: {thread}")

    @property
    def count(self):
        return sum(len(writer.acknowledged) for writer in self.writers)

    @property
    def newest(self):
        return max(writer.newest for writer in self.writers)

    def statuses(self):
        sums = {}
        for writer in self.writers:
            for status, count in dict(writer.statuses).items():
                sums[status] = sums.get(status, 0) + count
        return sums

    def refusals(self):
        return {refusal for writer in self.writers for refusal in list(writer.refusals)}

    def sound(self):
        """Raises if a client met what it must not meet."""
        unexpected = [answer for writer in self.writers for answer in writer.unexpected]
        if unexpected:
            raise AssertionError(f"an answer that no fault excuses: {unexpected[0]}")
        failures = [failure for reader in self.readers for failure in reader.failures]
        if failures:
            raise AssertionError(f"a read failed: {failures[0]}")

    def check(self, server=None):
        """Every acknowledged unit is there, unchanged, once, in sequences without a gap. Returns how many there are."""
        total = 0
        for context in self.contexts:
            with (server or self.server).client(60) as client:
                units = client.all_units(context)
            if [one["sequence"] for one in units] != list(range(1, len(units) + 1)):
                raise AssertionError(f"{context}: sequences have a gap or repeat")
            positions = [one["position"] for one in units]
            if positions != sorted(set(positions)):
                raise AssertionError(f"{context}: positions do not grow")
            found = {one["id"]: (one["sequence"], one["position"], one["payload"][:1]) for one in units}
            for writer in self.writers:
                if writer.context != context:
                    continue
                lost = [key for key, value in writer.acknowledged.items() if found.get(key) != value]
                if lost:
                    raise AssertionError(f"{len(lost)} acknowledged units are lost or changed, such as {lost[0]}")
            total += len(units)
        return total


class Process:
    """What /proc says of a server."""

    def __init__(self, server):
        self.pid = server.process.pid

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.pid}/status").read_text()).group(1)) << 10

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class FaultyServer(Server):
    """A server with more environment, and limits put on it by a command in front (`prlimit`, `setpriv`)."""

    def __init__(self, *flags, environment=None, before=(), **more):
        self.environment, self.before = environment or {}, list(before)
        super().__init__(*flags, **more)

    def command(self):
        given = [f"{name}={value}" for name, value in self.environment.items()]
        return [*self.before, *(["env", *given] if given else []), *super().command()]


def _run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stdout.strip()}")
