"""Debian's chromium without a window, driven over its debugging port, and a door that gives page and stream one origin."""

import json
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.parse

from harness import RUNNING, SCRATCH, until
from websocket import WebSocket


class Door:
    """Serves one page at `/`, and lets everything else through to the server byte by byte, as long as that is there.

    A browser follows a stream of another origin only if that says so, which Engram doesn't.
    """

    def __init__(self, server, page):
        self.server, self.page, self.heads = server, page.encode(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                chunk = peer.recv(65536)
                if not chunk:
                    return peer.close()
                head += chunk
            self.heads.append(head.decode("latin-1"))
            if head.startswith(b"GET / "):
                peer.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
                    + f"Content-Length: {len(self.page)}\r\n\r\n".encode() + self.page)
                return peer.close()
            if head.startswith(b"GET /favicon"):
                peer.sendall(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                return peer.close()
            # While the server is down the connection just ends: that is what a browser sees of a crash.
            server = socket.create_connection(("127.0.0.1", self.server.port), timeout=5)
            server.settimeout(None)
            server.sendall(head)
        except OSError:
            return peer.close()
        threading.Thread(target=self._pipe, args=(peer, server), daemon=True).start()
        self._pipe(server, peer)

    @staticmethod
    def _pipe(source, sink):
        try:
            while chunk := source.recv(65536):
                sink.sendall(chunk)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def last_event_ids(self):
        """What came back as Last-Event-ID, in the order of the connections."""
        fields = (line.partition(":") for head in self.heads for line in head.split("\r\n"))
        return [value.strip() for name, _, value in fields if name.lower() == "last-event-id"]


class Browser:
    """One page in chromium. `evaluate` runs JavaScript there."""

    def __init__(self, url):
        program = shutil.which("chromium")
        if program is None:
            raise AssertionError("chromium is not installed: `make clients` installs it")
        SCRATCH.mkdir(parents=True, exist_ok=True)
        self.profile = tempfile.mkdtemp(prefix="chromium-", dir=SCRATCH)
        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
             "--no-proxy-server", "--remote-debugging-port=0", f"--user-data-dir={self.profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        RUNNING.add(self.process)
        self.said, self.count = [], 0
        threading.Thread(target=self._hear, daemon=True).start()
        address = until(self._address, 60, "chromium's debugging port")
        self.wire = self._connect(address.port, address.path)
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self.wire.close()
        self.wire = self._connect(address.port, f"/devtools/page/{page['targetId']}")
        self.call("Page.navigate", url=url)
        until(lambda: self.evaluate("[location.href, document.readyState]") == [url, "complete"], 60, f"the page {url}")

    def _hear(self):
        for line in iter(self.process.stderr.readline, b""):
            self.said.append(line.decode("utf-8", "replace").strip())

    def _address(self):
        if self.process.poll() is not None:
            raise AssertionError(f"chromium ended with {self.process.returncode}: {self.said[-5:]}")
        found = next((line for line in self.said if line.startswith("DevTools listening on ")), None)
        return found and urllib.parse.urlsplit(found.rsplit(" ", 1)[1])

    @staticmethod
    def _connect(port, path):
        wire = WebSocket(port, path, fields={"Host": f"127.0.0.1:{port}"}, timeout=60)
        if wire.status != 101:
            raise AssertionError(f"chromium refuses the connection: {wire.refusal}")
        return wire

    def call(self, method, **parameters):
        self.count += 1
        self.wire.text({"id": self.count, "method": method, "params": parameters})
        while (message := self.wire.json()) is not None:
            if message.get("id") == self.count:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]
        raise AssertionError(f"chromium is gone: {self.said[-5:]}")

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=f"JSON.stringify({expression})", returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return json.loads(result["result"].get("value", "null"))

    def close(self):
        self.wire.close()
        self.process.kill()
        self.process.wait()
        RUNNING.discard(self.process)
        shutil.rmtree(self.profile, ignore_errors=True)
