"""The load clients in C: compiled when they are needed, run with the server looked at where they say so."""

import json
import os
import pathlib
import shutil
import subprocess
import threading

import servers
from measure import Failed


def compiled(name, libraries=()):
    """The path of a load client, built from `NAME.c` with libraries unless this run has built it."""
    path = servers.SCRATCH / name
    if path.exists():
        return str(path)
    for compiler in map(shutil.which, ("cc", "gcc", "clang")):
        if compiler:
            break
    else:
        raise Failed("a C compiler is needed: cc, gcc or clang")
    path.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [compiler, "-O2", "-o", str(path), str(pathlib.Path(__file__).with_name(f"{name}.c")),
         *(f"-l{library}" for library in libraries)], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise Failed(f"{name}.c: {done.stdout}")
    return str(path)


def run(name, look, timeout, processors=None, libraries=(), **arguments):
    """Runs a client. At each mark (a line of one word) it waits until `look()` has returned.

    Returns ({mark: what `look` found}, what the client says in its last line).
    """
    command = [compiled(name, libraries)] + [f"{key}={value}" for key, value in arguments.items()]
    client = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=(lambda: os.sched_setaffinity(0, processors)) if processors else None)
    deadline = threading.Timer(timeout, client.kill)
    deadline.start()
    seen, last = {}, None
    try:
        for line in client.stdout:
            if line.startswith("{"):
                last = line
                continue
            seen[line.strip()] = look()
            client.stdin.write("\n")
            client.stdin.flush()
        complaint = client.stderr.read().strip()
        if client.wait() != 0 or last is None:
            raise Failed(f"{name}: {complaint[-300:] or f'ended with {client.returncode}'}")
        return seen, json.loads(last)
    finally:
        deadline.cancel()
        if client.poll() is None:
            client.kill()
            client.wait()
        for stream in (client.stdin, client.stdout, client.stderr):
            stream.close()
