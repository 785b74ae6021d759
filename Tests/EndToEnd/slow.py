"""Clients that are slow on purpose, many in one thread, and one that is not: what it notices of them."""

import errno
import http.client
import json
import selectors
import socket
import sys
import threading
import time

from harness import http_request


class SlowClients:
    """Keeps `count` of one kind connected and slow until `stop`; one that is cut comes again.

    head: a byte of a request head every second. body: all of a head, then a byte of the body every second. read: asks for
    `path`, then takes a few bytes a second into a window as small as the kernel gives.
    """

    def __init__(self, port, kind, count, path="/contexts"):
        self.port, self.kind, self.count, self.path = port, kind, count, path
        self.cut = 0
        self.ending = threading.Event()
        self.selector = selectors.DefaultSelector()
        self.live = set()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.ending.set()
        self.thread.join(20)
        for one in list(self.live):
            one.close()

    def _open(self):
        one = socket.socket()
        if self.kind == "read":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", self.port))
        self.live.add(one)
        self.selector.register(one, selectors.EVENT_WRITE)

    def _drop(self, one):
        self.cut += 1
        self.live.discard(one)
        try:
            self.selector.unregister(one)
        except (KeyError, ValueError):
            pass
        one.close()

    def _begin(self, one):
        if self.kind == "head":
            first = b"GET /contexts HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
        elif self.kind == "body":
            first = http_request("POST", "/workunit", fields=[
                "Content-Type: application/json", "Content-Length: 8388608"]) + b"{"
        else:
            first = http_request("GET", self.path)
        one.send(first)
        if self.kind == "read":
            self.selector.unregister(one)
        else:
            self.selector.modify(one, selectors.EVENT_READ)

    def _run(self):
        for _ in range(self.count):
            self._open()
        tick = time.monotonic() + 1
        while not self.ending.is_set():
            for key, _ in self.selector.select(timeout=max(0, min(0.2, tick - time.monotonic()))):
                one = key.fileobj
                try:
                    if key.events & selectors.EVENT_WRITE:
                        self._begin(one)
                    elif one.recv(4096) == b"":
                        self._drop(one)
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                        self._drop(one)
            if time.monotonic() < tick:
                continue
            tick += 1
            for one in list(self.live):
                try:
                    if self.kind == "read":
                        if one.recv(64) == b"":
                            self._drop(one)
                    else:
                        one.send(b" ")
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOTCONN):
                        self._drop(one)
            while len(self.live) < self.count:
                self._open()


def latencies(port, seconds, headers=None, pace=0.002, context="healthy", agent="healthy"):
    """Seconds of each answer of one client that posts and reads in turn, at a pace."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = json.dumps({"context_id": context, "agent_id": agent, "type": "MESSAGE", "payload": "x" * 200})
    found, end, number = [], time.monotonic() + seconds, 0
    while time.monotonic() < end:
        number += 1
        begun = time.monotonic()
        if number % 2:
            connection.request("POST", "/workunit", body, {"Content-Type": "application/json"} | (headers or {}))
        else:
            connection.request("GET", f"/workunits/{context}?limit=5&reverse=true", headers=headers or {})
        reply = connection.getresponse()
        reply.read()
        found.append(time.monotonic() - begun)
        if reply.status not in (200, 201):
            raise AssertionError(f"a healthy client got {reply.status}")
        time.sleep(pace)
    connection.close()
    return sorted(found)


def percentile(found, part):
    return found[min(len(found) - 1, int(len(found) * part))]


def main():
    """slow.py PORT COUNT PATH: so many of each kind, in a process of their own, until standard input ends."""
    port, count, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    kinds = [SlowClients(port, kind, count, path).start() for kind in ("head", "body", "read")]
    print("begun", flush=True)
    sys.stdin.read()
    for kind in kinds:
        kind.stop()
    print(json.dumps({kind.kind: kind.cut for kind in kinds}), flush=True)


if __name__ == "__main__":
    main()
