"""A real server on a free port with a directory of its own, and the smallest clients that can question it."""

import atexit
import base64
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("ENGRAM_BINARY", str(ROOT / ".build" / "release" / "engram"))
# Scratch lies beside the build, so that the log meets the disk of the checkout, not a tmpfs.
SCRATCH = pathlib.Path(os.environ.get("ENGRAM_SCRATCH", ROOT / ".build" / "end-to-end"))

RUNNING = set()
"""The live server processes: none may outlive the runner."""


@atexit.register
def _end_all():
    for process in RUNNING:
        if process.poll() is None:
            process.kill()


READY_SECONDS = 60
ANSWER_SECONDS = 20


class Options:
    """What `run.py` was asked for. `full` makes the long suites long."""
    full = False
    kills = None


def several_files():
    """Room for thousands of descriptors here, and in the servers that inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scratch_directory():
    SCRATCH.mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(prefix="engram-", dir=SCRATCH)


class NotReady(AssertionError):
    """The server ended, or said nothing, before `ready`."""


class Server:
    """One server process and its data directory, which outlives the process until `discard`."""

    def __init__(self, *flags, directory=None, port=None, loops=None, start=True):
        self.directory = directory or scratch_directory()
        self.port = port or free_port()
        self.flags = list(flags) + (["--loops", str(loops)] if loops else [])
        self.process = None
        self.stdout = []
        self.stderr = []
        self.ready_seconds = None
        if start:
            self.start()

    # -- life ----------------------------------------------------------------------------------------------

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        return [BINARY, "serve", "--listen", self.address, "--data-dir", self.directory, *self.flags]

    def start(self, timeout=READY_SECONDS):
        """Starts the process and waits for the line `ready`; raises `NotReady` with what the server said."""
        self.stdout, self.stderr = [], []
        begun = time.monotonic()
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        RUNNING.add(self.process)
        ready = threading.Event()

        def follow(pipe, lines):
            for line in iter(pipe.readline, b""):
                lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                if lines is self_stdout and lines[-1].strip() == "ready":
                    self.ready_seconds = time.monotonic() - begun
                    ready.set()
            pipe.close()

        self_stdout = self.stdout
        self._readers = [
            threading.Thread(target=follow, args=(self.process.stdout, self.stdout), daemon=True),
            threading.Thread(target=follow, args=(self.process.stderr, self.stderr), daemon=True)]
        for reader in self._readers:
            reader.start()
        while not ready.wait(0.02):
            if self.process.poll() is not None and not ready.wait(0.5):
                for reader in self._readers:
                    reader.join(2)
                raise NotReady(f"exit {self.process.returncode} before `ready`; it said: {self.said()}")
            if time.monotonic() - begun > timeout:
                self.kill()
                raise NotReady(f"not ready after {timeout} s; it said: {self.said()}")
        return self

    def said(self):
        return "\n".join([*self.stdout[-20:], *self.stderr[-20:]])

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL, and nothing left to hear from it."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            RUNNING.discard(self.process)
            for reader in self._readers:
                reader.join(5)

    def terminate(self, timeout=15):
        """SIGTERM; returns the exit code. Kills, and raises, when the server does not end in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no exit {timeout} s after SIGTERM; it said: {self.said()}") from None
        for reader in self._readers:
            reader.join(5)
        return code

    def discard(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.discard()

    # -- what the start line says ------------------------------------------------------------------------------

    def recovered(self):
        """(events, milliseconds) of the start line; either is None when the line doesn't show it."""
        line = next((line for line in self.stdout if line.strip() != "ready"), "")
        events = re.search(r"(\d+)\s*(?:recovered\s+)?events|events\D{0,3}(\d+)", line)
        millis = re.search(r"(\d+(?:\.\d+)?)\s*(?:ms\b|milliseconds)", line)
        return (
            int(next(group for group in events.groups() if group)) if events else None,
            float(millis.group(1)) if millis else None)

    def client(self, timeout=ANSWER_SECONDS):
        return Client(self.port, timeout)

    def raw(self, timeout=ANSWER_SECONDS):
        return Raw(self.port, timeout)

    def rss_bytes(self):
        """Memory that the process holds."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) << 10

    def log_bytes(self):
        """Bytes of the log's files (segments are made ahead, so this is an upper bound)."""
        return sum(size_of(path) for path in log_files(self.directory))


def size_of(path):
    """Bytes of a file; 0 if it has got another name meanwhile, as a segment does that is used again."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def log_files(directory):
    """The segments of the write-ahead log (`Sources/WAL/WAL.md`, Files)."""
    return sorted(path for path in pathlib.Path(directory, "wal").rglob("*") if path.is_file())


class Answer:
    """One reply: status, headers (lower-case names) and body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def pointers(self):
        return [error.get("pointer") for error in self.json().get("errors", [])]

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:400]!r}"


class Client:
    """One keep-alive connection through `http.client`, with the calls of the wire contract."""

    def __init__(self, port, timeout=ANSWER_SECONDS):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def request(self, method, path, body=None, headers=None):
        """Sends exactly one request and reads its answer. Never retries."""
        fields = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body, ensure_ascii=False)
            fields.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        self.connection.request(method, path, body=body, headers=fields)
        reply = self.connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, headers, reply.read())

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, unit, headers=None, path="/workunit"):
        return self.request("POST", path, body=unit, headers=headers)

    def create(self, unit, headers=None):
        """Posts a unit that must succeed; returns the unit as the server sees it."""
        answer = self.post(unit, headers)
        if answer.status != 201:
            raise AssertionError(f"POST /workunit: {answer}")
        return answer.json()["work_unit"]

    def listing(self, context, **query):
        answer = self.get(units_path(context, **query))
        if answer.status != 200:
            raise AssertionError(f"GET {units_path(context, **query)}: {answer}")
        return answer.json()

    def all_units(self, context, limit=1000):
        """Every unit of a context, page by page until the cursor is empty."""
        units, cursor = [], None
        while cursor != "":
            query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            page = self.listing(context, **query)
            units += page["work_units"]
            cursor = page["next_cursor"]
        return units


class Raw:
    """A socket with nothing in between: for requests that no library would send."""

    def __init__(self, port, timeout=ANSWER_SECONDS):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        """Sends all of it; a peer that has already answered and closed is no error here."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def _more(self):
        try:
            chunk = self.socket.recv(1 << 18)
        except ConnectionResetError:
            chunk = b""
        self.buffer += chunk
        return bool(chunk)

    def answer(self, head_only=False):
        """The next reply, interim ones skipped; None when the connection ended first."""
        while True:
            while b"\r\n\r\n" not in self.buffer:
                if not self._more():
                    return None
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            if not re.match(r"HTTP/1\.1 \d\d\d( |$)", lines[0]):
                raise AssertionError(f"no status line where one must be: {head[:200]!r}")
            status = int(lines[0][9:12])
            if status >= 200:
                break
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if head_only or status in (204, 304):
            return Answer(status, headers, b"")
        if "content-length" in headers:
            length = int(headers["content-length"])
            while len(self.buffer) < length and self._more():
                pass
            body, self.buffer = self.buffer[:length], self.buffer[length:]
        else:
            while self._more():
                pass
            body, self.buffer = self.buffer, b""
        return Answer(status, headers, body)

    def interim(self):
        """The status of the next reply, which may be a 100."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head = self.buffer.split(b"\r\n\r\n", 1)[0]
        status = int(head.split(b" ")[1])
        if status < 200:
            self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]
        return status

    def ended(self, timeout=ANSWER_SECONDS):
        """True once the peer has closed; False when it still says something, or keeps open until the timeout."""
        self.socket.settimeout(timeout)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def http_request(method, path, body=None, fields=(), version="HTTP/1.1"):
    """The bytes of a plain request; `fields` are extra lines without their line ends."""
    lines = [f"{method} {path} {version}", "Host: localhost", *fields]
    if body is not None:
        if isinstance(body, (dict, list)):
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode()
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def quoted(segment):
    return urllib.parse.quote(segment, safe="")


def units_path(context, **query):
    path = f"/workunits/{quoted(context)}"
    return path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")


def unit(context, payload="", agent="tester", kind="MESSAGE", **more):
    """A create request; bytes travel as base64."""
    body = {"context_id": context, "agent_id": agent, "type": kind}
    if isinstance(payload, bytes):
        body |= {"payload": base64.b64encode(payload).decode(), "payload_encoding": "base64"}
    else:
        body["payload"] = payload
    return body | more


class Names:
    """Context names that no other test has used."""
    _lock = threading.Lock()
    _count = 0

    @classmethod
    def fresh(cls, hint="context"):
        with cls._lock:
            cls._count += 1
            return f"{hint}-{os.getpid()}-{cls._count}"


def uuid7(millis=None):
    """A UUIDv7 as a client would make one (RFC 9562, section 5.7)."""
    millis = int(time.time() * 1000) if millis is None else millis
    value = (millis << 80) | (0x7 << 76) | (0b10 << 62)
    value |= (int.from_bytes(os.urandom(2), "big") & 0xFFF) << 64
    value |= int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def until(condition, seconds=ANSWER_SECONDS, what="the condition"):
    """Polls until the condition holds; raises when it doesn't in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold within {seconds} s")
        time.sleep(0.01)
