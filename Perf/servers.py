"""The servers that are measured, and the disk alone. Each on a free port, in a directory of its own, ended by its owner."""

import csv
import io
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Tests" / "EndToEnd"))

import harness
from measure import ROOT, TICKS, Failed, Processor, program

SCRATCH = pathlib.Path(os.environ.get("ENGRAM_SCRATCH", ROOT / ".build" / "perf"))
PAYLOAD_BYTES = 1024
PAYLOAD = "".join("abcdefghijklmnopqrstuvwxyz 012345"[n % 33] for n in range(PAYLOAD_BYTES))


def scratch(name):
    SCRATCH.mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(prefix=name + "-", dir=SCRATCH)


def _body_file(name, value):
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = SCRATCH / f"{name}.json"
    path.write_text(json.dumps(value, separators=(",", ":")))
    return path


def unit_file(context, payload=PAYLOAD):
    """A file with the body of `POST /workunit`: a payload of 1 KB, and what must be around it."""
    return _body_file(f"unit-{context}", harness.unit(context, payload, agent="bench"))


def batch_file(context, count):
    """A file with the body of `POST /workunits`: `count` times the unit of `unit_file`."""
    return _body_file(f"batch-{context}-{count}", [harness.unit(context, PAYLOAD, agent="bench")] * count)


class Engram(harness.Server):
    """The release binary; the harness of the end-to-end tests starts it, waits for `ready`, and kills it."""

    def __init__(self, *flags, loops=None, directory=None):
        super().__init__(*flags, loops=loops, directory=directory or scratch("engram"), start=False)
        try:
            self.start()
        except (AssertionError, OSError) as error:
            raise Failed(f"engram: {error}") from None

    def url(self, path):
        return f"http://{self.address}{path}"

    @property
    def pid(self):
        return self.process.pid

    def processor(self):
        return Processor(self.pid)


class Peer:
    """A foreground program with a directory; `start` waits until its port accepts."""

    # What asks it to end at once.
    END = signal.SIGTERM

    def __init__(self, name, command, directory, **options):
        self.name, self.directory = name, directory
        self.log = open(os.path.join(directory, "output"), "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **options)
        harness.RUNNING.add(self.process)
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = pathlib.Path(directory, "output").read_text(errors="replace")[-500:]
                self.discard()
                raise Failed(f"{name} did not start: {said}")
            time.sleep(0.02)

    @property
    def pid(self):
        return self.process.pid

    def processor(self):
        return Processor(self.pid)

    def discard(self):
        if self.process.poll() is None:
            self.process.send_signal(self.END)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        harness.RUNNING.discard(self.process)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.discard()


class Nginx(Peer):
    """`return 200` with one worker, no access log, and connections that are never closed for their number of requests."""

    CONFIGURATION = """
worker_processes 1; daemon off; pid {directory}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 "OK\\n"; }} }}
}}
"""

    def __init__(self):
        self.port, directory = harness.free_port(), scratch("nginx")
        path = pathlib.Path(directory, "nginx.conf")
        path.write_text(self.CONFIGURATION.format(directory=directory, port=self.port))
        super().__init__("nginx", [program("nginx"), "-p", directory, "-c", str(path)], directory)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"


class Nchan(Peer):
    """nginx with nchan: publishers post to `/publish`, subscribers come to `/ws` and `/sse`, all to one channel.

    Set as it showed its best here: one worker, its store in memory, no access log, a short buffer (a message is kept
    as long as a subscriber needs it), bodies in memory and in one piece, and never a ping or a timeout.
    """

    CONFIGURATION = """
load_module {module};
worker_processes 1; daemon off; pid {directory}/pid; error_log stderr crit; worker_rlimit_nofile {files};
events {{ worker_connections {connections}; use epoll; multi_accept on; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600; tcp_nodelay on;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  client_body_buffer_size 64k; client_body_in_single_buffer on;
  nchan_shared_memory_size 256M; nchan_message_buffer_length 64; nchan_message_timeout 30s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{ nchan_publisher http; nchan_channel_id fanout; }}
    location = /ws {{ nchan_subscriber websocket; nchan_channel_id fanout; nchan_subscriber_first_message newest; }}
    location = /sse {{ nchan_subscriber eventsource; nchan_channel_id fanout; nchan_subscriber_first_message newest; }}
  }}
}}
"""
    MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules", "/usr/local/nginx/modules")

    def __init__(self):
        for module in (pathlib.Path(place, "ngx_nchan_module.so") for place in self.MODULES):
            if module.exists():
                break
        else:
            raise Failed("nginx has no nchan module (`make peers`)")
        harness.several_files()
        files = min(16384, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.port, directory = harness.free_port(), scratch("nchan")
        path = pathlib.Path(directory, "nginx.conf")
        path.write_text(self.CONFIGURATION.format(
            module=module, directory=directory, port=self.port, files=files, connections=files - 64))
        super().__init__("nchan", [program("nginx"), "-p", directory, "-c", str(path)], directory)


class Etcd(Peer):
    """One member with the settings it comes with, every proposal synced; its data beside Engram's."""

    def __init__(self):
        self.port, peer_port, directory = harness.free_port(), harness.free_port(), scratch("etcd")
        here, between = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{peer_port}"
        super().__init__("etcd", [
            program("etcd"), "--name", "one", "--data-dir", os.path.join(directory, "data"), "--log-level", "error",
            "--listen-client-urls", here, "--advertise-client-urls", here, "--listen-peer-urls", between,
            "--initial-advertise-peer-urls", between, "--initial-cluster", f"one={between}"], directory)
        deadline = time.monotonic() + 20
        while not self._has_leader():
            if time.monotonic() > deadline:
                self.discard()
                raise Failed("etcd: no leader within 20 s")
            time.sleep(0.05)

    def _has_leader(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return json.load(answer).get("health") == "true"
        except (OSError, ValueError):
            return False


class Redis(Peer):
    """`appendfsync always`, and nothing else that writes: no snapshots, no rewriting of the log."""

    def __init__(self):
        self.port, directory = harness.free_port(), scratch("redis")
        super().__init__("redis", [
            program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", directory,
            "--daemonize", "no", "--save", "", "--appendonly", "yes", "--appendfsync", "always",
            "--auto-aof-rewrite-percentage", "0"], directory)

    def xadd(self, requests, connections):
        """redis-benchmark, no pipelining. Returns (requests per second, p50, p99 in seconds)."""
        done = subprocess.run(
            [program("redis-benchmark"), "-h", "127.0.0.1", "-p", str(self.port), "-c", str(connections),
             "-n", str(requests), "-P", "1", "--csv", "XADD", "bench", "*", "unit", PAYLOAD],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        rows = [row for row in csv.DictReader(io.StringIO(done.stdout))]
        if done.returncode != 0 or not rows or "rps" not in rows[0]:
            raise Failed(f"redis-benchmark: {(done.stdout + done.stderr).strip()[-300:]}")
        row = rows[0]
        return float(row["rps"]), float(row["p50_latency_ms"]) / 1e3, float(row["p99_latency_ms"]) / 1e3

    def length(self):
        """How many entries the stream has: what redis-benchmark doesn't check."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as wire:
            wire.sendall(b"XLEN bench\r\n")
            reply = wire.recv(100)
        if not reply.startswith(b":"):
            raise Failed(f"redis: {reply!r}")
        return int(reply[1:])


class Postgres(Peer):
    """PostgreSQL with its defaults and the memory that a fair user gives it; durable (fsync is on).

    It refuses to be root's: started by root it runs as the user `postgres` of its package, in a directory of that one's.
    """

    END = signal.SIGINT  # "fast": it doesn't wait for sessions

    def __init__(self):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        if not found:
            raise Failed("postgresql is not installed (`make peers`)")
        self.bin, self.user = found[-1].parent, {}
        directory = scratch("postgres")
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam("postgres")
            except KeyError:
                raise Failed("PostgreSQL can't be root's, and there is no user `postgres` here") from None
            self.user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            if subprocess.run(["test", "-x", os.path.dirname(directory)], **self.user).returncode != 0:
                os.rmdir(directory)
                directory = tempfile.mkdtemp(prefix="engram-postgres-", dir="/var/tmp")
            os.chown(directory, account.pw_uid, account.pw_gid)
        data = os.path.join(directory, "data")
        made = subprocess.run(
            [self.bin / "initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-locale", "-E", "UTF8"], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **self.user)
        if made.returncode != 0:
            shutil.rmtree(directory, ignore_errors=True)
            raise Failed(f"initdb: {made.stdout.strip()[-300:]}")
        self.port = harness.free_port()
        super().__init__("postgres", [
            self.bin / "postgres", "-D", data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
            "-c", "unix_socket_directories=", "-c", "shared_buffers=1GB", "-c", "work_mem=64MB"], directory,
            cwd="/", **self.user)
        deadline = time.monotonic() + 60
        while subprocess.run([self.bin / "pg_isready", "-q", *self.where()]).returncode != 0:
            if time.monotonic() > deadline:
                self.discard()
                raise Failed("postgres accepts, but isn't ready after 60 s")
            time.sleep(0.05)

    def where(self):
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "-d", "postgres"]

    def sql(self, text, lines=None):
        """Runs statements, `lines` being what a `COPY … FROM STDIN` among them reads. Returns what is selected."""
        with subprocess.Popen(
                [self.bin / "psql", *self.where(), "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", text],
                stdin=subprocess.DEVNULL if lines is None else subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True) as psql:
            try:
                for line in lines or ():
                    psql.stdin.write(line)
                if lines is not None:
                    psql.stdin.close()
            except BrokenPipeError:
                pass
            said = psql.stdout.read()
        if psql.returncode != 0:
            raise Failed(f"psql: {said.strip()[-300:]}")
        return said.strip()

    def ended(self):
        """User and system seconds of the sessions that have ended."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / TICKS

    def latencies(self, script, times):
        """Seconds of each of so many runs of a pgbench script, one after the other on one connection, prepared."""
        path = pathlib.Path(self.directory, "script.sql")
        path.write_text(script)
        with tempfile.TemporaryDirectory(dir=self.directory) as folder:
            done = subprocess.run(
                [self.bin / "pgbench", "-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "-n", "-M", "prepared",
                 "-c", "1", "-t", str(times), "-l", f"--log-prefix={folder}/log", "-f", str(path), "postgres"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            found = [
                int(line.split()[2]) / 1e6 for log in pathlib.Path(folder).iterdir() for line in log.read_text().splitlines()]
        if done.returncode != 0 or len(found) != times:
            raise Failed(f"pgbench: {done.stdout.strip()[-300:]}")
        return found


class Disk:
    """fio on a file written beforehand, so that no write of the measurement allocates."""

    FILE_BYTES = 256 << 20
    DESCRIPTION = "fio 4 KiB sequential overwrite, O_DIRECT|O_DSYNC, iodepth 1"

    def __init__(self, file_bytes=FILE_BYTES):
        self.directory = scratch("fio")
        self.path = os.path.join(self.directory, "written")
        self.file_bytes = file_bytes
        zeros = bytes(1 << 20)
        with open(self.path, "wb") as file:
            for _ in range(file_bytes >> 20):
                file.write(zeros)
            os.fsync(file.fileno())
        self.engine = "io_uring"

    def measure(self, seconds):
        """(p50, p99) in seconds. Falls back from io_uring to pwritev2 where the kernel doesn't allow it."""
        command = [
            program("fio"), "--name=log", f"--filename={self.path}", "--rw=write", "--bs=4k", "--direct=1",
            "--sync=dsync", "--iodepth=1", f"--size={self.file_bytes}", "--overwrite=1", "--time_based",
            f"--runtime={max(1, round(seconds))}", "--lat_percentiles=1", "--clat_percentiles=0",
            "--output-format=json", f"--ioengine={self.engine}"]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=seconds + 60)
        if done.returncode != 0:
            if self.engine == "io_uring":
                self.engine = "pvsync2"
                return self.measure(seconds)
            raise Failed(f"fio: {(done.stderr + done.stdout).strip()[-300:]}")
        write = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]["write"]
        percentiles = write["lat_ns"]["percentile"]
        return percentiles["50.000000"] / 1e9, percentiles["99.000000"] / 1e9

    def discard(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.discard()
