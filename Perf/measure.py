"""What is measured with: processor time from /proc, wrk, medians, and the facts of the machine."""

import datetime
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A row could not be measured; the text says why."""


def program(name):
    """The path of a peer or client; nginx lives where an ordinary PATH doesn't look."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if not found:
        raise Failed(f"{name} is not installed (`make peers`)")
    return found


def median(values):
    return statistics.median(values)


# -- processor time --------------------------------------------------------------------------------------------


def _fields(path):
    """(name, fields from `state` on) of a stat file of proc(5); None when the task has gone."""
    try:
        text = pathlib.Path(path).read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = text[text.index("(") + 1:].rpartition(")")
    return name, rest.split()


def process_tree(root):
    """This process and all that descend from it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := _fields(f"/proc/{entry}/stat")):
            parents.setdefault(int(found[1][1]), []).append(int(entry))
    tree, new = [], [root]
    while new:
        process = new.pop()
        tree.append(process)
        new += parents.get(process, [])
    return tree


class Processor:
    """User and system seconds of a process tree so far: in all (threads that ended included), and by thread name.

    The kernel's io_uring workers are threads of the process and count. What it does in its own threads (the completion
    of a durable write, for one) counts for nobody, here as with every peer.
    """

    def __init__(self, root):
        self.seconds, self.threads = 0.0, {}
        for process in process_tree(root):
            if found := _fields(f"/proc/{process}/stat"):
                self.seconds += (int(found[1][11]) + int(found[1][12])) / TICKS
            try:
                tasks = os.listdir(f"/proc/{process}/task")
            except FileNotFoundError:
                continue
            for task in tasks:
                base = f"/proc/{process}/task/{task}"
                if found := _fields(f"{base}/stat"):
                    try:  # nanoseconds on a processor, where the kernel keeps them
                        seconds = int(pathlib.Path(f"{base}/schedstat").read_text().split()[0]) / 1e9
                    except (OSError, IndexError):
                        seconds = (int(found[1][11]) + int(found[1][12])) / TICKS
                    self.threads[found[0]] = self.threads.get(found[0], 0) + seconds

    def since(self, earlier):
        """(seconds, {thread name: seconds}) between two readings."""
        threads = {name: round(value - earlier.threads.get(name, 0), 4) for name, value in self.threads.items()}
        return self.seconds - earlier.seconds, {name: value for name, value in sorted(threads.items()) if value > 0}


class Memory:
    """Bytes of a process tree that are its own (Pss of smaps_rollup: a shared page counts by its share)."""

    def __init__(self, root):
        self.bytes = 0
        for process in process_tree(root):
            try:
                text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
            except (OSError, ProcessLookupError):
                continue
            if found := re.search(r"^Pss:\s+(\d+) kB", text, re.M):
                self.bytes += int(found[1]) << 10


def pin(root, processors):
    """Ties every thread of a process tree to these processors."""
    for process in process_tree(root):
        for task in os.listdir(f"/proc/{process}/task"):
            try:
                os.sched_setaffinity(int(task), processors)
            except ProcessLookupError:
                pass


# -- wrk -------------------------------------------------------------------------------------------------------

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Load:
    """What one run of wrk says. Latencies are seconds."""

    def __init__(self, text):
        self.text = text
        total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h),", text)
        if not total:
            raise Failed(f"wrk said nothing to count: {text.strip()[-300:]}")
        self.requests = int(total.group(1))
        self.seconds = float(total.group(2)) * SECONDS[total.group(3)]
        self.rate = self.requests / self.seconds if self.seconds else 0.0
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        self.refused = (int(bad.group(1)) if bad else 0) + (sum(map(int, errors.groups())) if errors else 0)
        self.percentiles = {
            int(share): float(value) * SECONDS[unit]
            for share, value, unit in re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s|m|h)\s*$", text, re.M)}


def wrk(url, seconds, connections, threads=1, body=None, processors=None, script=None, settings=None):
    """Runs wrk for whole seconds; with `body` (a file) it posts that. Every answer must be a success.

    `script` is a file of Perf/ that says what is sent instead of one GET at a time; `settings` are environment for it.
    """
    command = [program("wrk"), f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    environment = os.environ | (settings or {})
    if body:
        script = script or "post.lua"
        environment["ENGRAM_BODY"] = str(body)
    if script:
        command += ["-s", str(ROOT / "Perf" / script)]
    done = subprocess.run(
        command + [url], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=seconds + 60,
        preexec_fn=(lambda: os.sched_setaffinity(0, processors)) if processors else None)
    load = Load(done.stdout)
    if load.refused or load.requests == 0:
        raise Failed(f"{load.refused} of {load.requests} requests to {url} were no success: {done.stdout.strip()[-300:]}")
    return load


def wrk_until_killed(url, connections, body):
    """A load of posts whose server will go away under it; the caller kills it (wrk alone would try on and on)."""
    return subprocess.Popen(
        [program("wrk"), "-t1", f"-c{connections}", "-d1h", "-s", str(ROOT / "Perf" / "post.lua"), url],
        env=os.environ | {"ENGRAM_BODY": str(body)}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)


# -- the machine -----------------------------------------------------------------------------------------------


def _output(*command):
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout.strip()
    except OSError as error:
        return str(error)


def _version(name, *arguments):
    try:
        return _output(program(name), *arguments).split("\n")[0][:100]
    except Failed:
        return "absent"


def _debian(package):
    try:
        return _output("dpkg-query", "-W", "-f=${Version}", package)[:100] or "absent"
    except OSError:
        return "absent"


def machine(scratch):
    """What a figure is worth nothing without."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info) or re.search(r"CPU part\s*: (.*)", info)
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    mount = _output("stat", "-f", "-c", "%T", str(scratch))
    commit = _output("git", "rev-parse", "--short=12", "HEAD")
    if _output("git", "status", "--porcelain", "--untracked-files=no"):
        commit += " (changed)"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "processor": model.group(1).strip() if model else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory.group(1)) / (1 << 20), 1),
        "kernel": platform.release(),
        "file_system": mount,
        "commit": commit,
        "nginx": _version("nginx", "-v"),
        "nchan": _debian("libnginx-mod-nchan"),
        "redis": _version("redis-server", "--version"),
        "etcd": _version("etcd", "--version"),
        "fio": _version("fio", "--version"),
        "postgresql": _debian("postgresql-15"),
        "sqlite3": _version("sqlite3", "--version"),
        "wrk": _version("wrk", "-v"),
    }
