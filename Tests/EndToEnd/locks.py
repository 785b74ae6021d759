"""The calls of the wire contract's locks, and requests that wait while the test goes on."""

import datetime
import json
import threading
import time

from harness import Raw, http_request, quoted, until


def lock_path(path):
    """In a URL: everything but unreserved characters percent-encoded, the slashes too."""
    return "/locks/" + quoted(path)


def body(agent, *paths, **more):
    named = {"resource_path": paths[0]} if len(paths) == 1 else {"resource_paths": list(paths)}
    return named | {"agent_id": agent} | more


def acquire(client, agent, *paths, **more):
    return client.request("POST", "/locks", body(agent, *paths, **more))


def held(client, agent, *paths, **more):
    """Acquires what must be free; returns the lock, or the locks if several are asked for."""
    answer = acquire(client, agent, *paths, **more)
    if answer.status != 200:
        raise AssertionError(f"{agent} asks for {paths}: {answer}")
    return answer.json()["lock"] if len(paths) == 1 else answer.json()["locks"]


def release(client, agent, path, **query):
    more = "".join(f"&{name}={quoted(str(value))}" for name, value in query.items())
    return client.request("DELETE", f"{lock_path(path)}?agent_id={quoted(agent)}{more}")


def holder(client, path):
    """Who holds it; None if nobody does."""
    answer = client.get(lock_path(path))
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise AssertionError(f"{path}: {answer}")
    return answer.json()["lock"]["holder_agent"]


def moment(text):
    """Seconds since 1970 of a time as the wire has it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Waiting:
    """A request for locks that is sent, and answered when it may be. Has its connection to itself."""

    def __init__(self, server, agent, *paths, wait=60, **more):
        self.agent, self.paths = agent, paths
        self.wire = Raw(server.port, timeout=120)
        self.wire.send(http_request("POST", "/locks", body(agent, *paths, wait_seconds=wait, **more)))

    def is_answered(self):
        self.wire.socket.setblocking(False)
        try:
            return bool(self.wire.buffer) or self.wire._more() or True
        except BlockingIOError:
            return False
        finally:
            self.wire.socket.settimeout(120)

    def answer(self):
        answer = self.wire.answer()
        if answer is None:
            raise AssertionError(f"{self.agent}, waiting for {self.paths}, was cut")
        return answer

    def granted(self):
        answer = self.answer()
        if answer.status != 200:
            raise AssertionError(f"{self.agent}, waiting for {self.paths}: {answer}")
        one = answer.json()
        return one["lock"] if "lock" in one else one["locks"]

    def cut(self):
        self.wire.close()


class Racers:
    """Clients on threads of their own that do the same thing at the same moment, round after round."""

    def __init__(self, server, count):
        self.server, self.count = server, count
        self.barrier = threading.Barrier(count + 1, timeout=120)
        self.results, self.task, self.error = [None] * count, None, None
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        try:
            with self.server.client(60) as client:
                while True:
                    self.barrier.wait()
                    if self.task is None:
                        return
                    self.results[number] = self.task(client, number)
                    self.barrier.wait()
        except threading.BrokenBarrierError:
            pass
        except Exception as error:
            self.error = error
            self.barrier.abort()

    def round(self, task):
        """`task(client, number)` by each at once; returns the results in order of the numbers."""
        self.task = task
        try:
            self.barrier.wait()
            self.barrier.wait()
        except threading.BrokenBarrierError:
            raise AssertionError(f"a racer failed: {self.error!r}") from self.error
        return list(self.results)

    def close(self):
        self.task = None
        try:
            self.barrier.wait()
        except threading.BrokenBarrierError:
            pass
        for thread in self.threads:
            thread.join(10)


def settled(server):
    """Lets what was sent before on other connections be decided before what is sent next.

    Nothing on the wire tells that a request waits. The server hears of a request in the turn after it arrived, whereas
    these steps are each several turns of every loop and of the disk.
    """
    with server.client() as first, server.client() as second:
        for n in range(4):
            for client in (first, second):
                held(client, "settler", f"settling/{n}")
                release(client, "settler", f"settling/{n}")
        time.sleep(0.05)


def gone(client, path, seconds=20):
    until(lambda: holder(client, path) is None, seconds, f"{path} is free")


def text_of(answer):
    return json.dumps(answer.json(), ensure_ascii=False)
