"""Server-Sent Events with clients that we didn't write: a browser's EventSource (chromium), and curl."""

import json
import os
import select
import subprocess
import threading
import time
import unittest
import urllib.parse

from browser import Browser, Door
from harness import RUNNING, Names, Options, Server, quoted, unit, until
from locks import held, release

PAGE = """<!doctype html><title>Engram</title><script>
const seen = [], counts = {open: 0, error: 0};
const source = new EventSource("/stream?QUERY");
for (const name of ["subscribed", "workunit", "context", "lock", "message"])
  source.addEventListener(name, event => seen.push([name, event.lastEventId, event.data]));
source.onopen = () => counts.open += 1;
source.onerror = () => counts.error += 1;
</script>"""

SOCKET_PAGE = """<!doctype html><title>Engram</title><script>
const seen = [], socket = new WebSocket("ws://" + location.host + "/stream?QUERY", "engram.v1+json");
let ended = null;
socket.onmessage = event => seen.push(JSON.parse(event.data));
socket.onclose = event => ended = [event.code, event.wasClean];
</script>"""


class BrowserSuite(unittest.TestCase):
    def open(self, server, page, **query):
        door = Door(server, page.replace("QUERY", urllib.parse.urlencode(query, doseq=True)))
        self.addCleanup(door.close)
        browser = Browser(door.url)
        self.addCleanup(browser.close)
        return door, browser

    def seen(self, browser, count, what="events"):
        """The page's events once there are so many."""
        until(lambda: browser.evaluate("seen.length") >= count, 60, f"{count} {what} in the page")
        return browser.evaluate("seen")


class EventSource(BrowserSuite):
    def test_every_kind_of_event(self):
        context = Names.fresh("browser")
        with Server(loops=2) as server, server.client() as client:
            _, browser = self.open(server, PAGE, context=context, events="workunit,context,lock", lock=context)
            self.seen(browser, 1)
            made = client.create(unit(context, "odd: \r\n\r\ndata: x\u2028🦊\u0000"))
            state = client.request(
                "PATCH", f"/contexts/{quoted(context)}", {"agent_id": "ann", "display_name": "é\n"}).json()["context"]
            lock = held(client, "ann", f"{context}/a", metadata={"k": "\n"})
            release(client, "ann", f"{context}/a")
            seen = [(name, last_id, json.loads(data)) for name, last_id, data in self.seen(browser, 6)]
            self.assertEqual(
                [name for name, _, _ in seen], ["subscribed", "context", "workunit", "context", "lock", "lock"])
            self.assertEqual(seen[0][1], str(seen[0][2]["position"]))
            self.assertEqual(seen[2][1:], (str(made["position"]), made))
            self.assertEqual(seen[3][2], state)
            self.assertEqual([data for _, _, data in seen[4:]], [
                {"action": "acquired", "lock": lock}, {"action": "released", "lock": lock}])
            ids = [int(last_id) for _, last_id, _ in seen]
            self.assertEqual(ids, sorted(set(ids)))
            self.assertEqual(browser.evaluate("[counts, source.readyState]"), [{"open": 1, "error": 0}, 1])

    def test_it_comes_back_after_a_crash_and_misses_nothing(self):
        """The URL says `after=0` each time; what the browser sends along as Last-Event-ID beats it."""
        context = Names.fresh("browser")
        with Server(loops=2) as server:
            made, n = [], 0
            door, browser = self.open(server, PAGE, context=context, after=0)
            kills = 8 if Options.full else 2
            for turn in range(kills + 1):
                # Some before the page is there again, some after, so that the crash falls into a live stream.
                with server.client() as client:
                    for _ in range(30):
                        made.append(client.create(unit(context, f"{n}")))
                        n += 1
                    until(lambda: browser.evaluate("counts.open") >= turn + 1, 60, "the page connected")
                    for _ in range(30):
                        made.append(client.create(unit(context, f"{n}")))
                        n += 1
                if turn < kills:
                    # At least one id is known to the page, or it had none to send.
                    self.seen(browser, 1)
                    server.kill()
                    server.start()
            until(lambda: browser.evaluate("seen.filter(one => one[0] == 'workunit').length") >= len(made), 60, "all units")
            units = [json.loads(data) for name, _, data in browser.evaluate("seen") if name == "workunit"]
            self.assertEqual([one["sequence"] for one in units], list(range(1, len(made) + 1)))
            self.assertEqual(units, made)
            sent, ids = door.last_event_ids(), {last_id for _, last_id, _ in browser.evaluate("seen")}
            self.assertGreaterEqual(len(sent), kills)
            self.assertLessEqual(set(sent), ids, "it sends what it was given")
            self.assertGreaterEqual(browser.evaluate("counts.error"), kills)


class BrowserSocket(BrowserSuite):
    def test_a_browsers_websocket(self):
        context = Names.fresh("browser")
        with Server(loops=2) as server:
            door, browser = self.open(server, SOCKET_PAGE, context=context)
            [first] = self.seen(browser, 1)
            self.assertEqual((first["type"], first["contexts"]), ("subscribed", [context]))
            self.assertEqual(browser.evaluate("[socket.protocol, socket.extensions]"), ["engram.v1+json", ""])
            self.assertTrue(any("permessage-deflate" in head for head in door.heads), "chromium offers compression")
            with server.client() as client:
                made = [client.create(unit(context, text)) for text in ("", "🦊\u2028", "x" * 300_000)]
                self.assertEqual([one["work_unit"] for one in self.seen(browser, 4)[1:]], made)
                given = unit(context, "from the page 🦊" + "y" * 200_000)
                message = json.dumps({"type": "publish", "ref": "page", "work_unit": given})
                browser.evaluate(f"(socket.send({json.dumps(message)}), 0)")
                messages = self.seen(browser, 6)[4:]
                ack = next(one for one in messages if one["type"] == "ack")
                self.assertEqual((ack["ref"], ack["sequence"]), ("page", 4))
                self.assertEqual(client.get(f"/workunit/{ack['id']}").json()["work_unit"]["payload"], given["payload"])
            self.assertEqual(server.terminate(), 0)
            self.assertEqual(until(lambda: browser.evaluate("ended"), 60, "the close"), [1001, True])


class Curl:
    """`curl -N` as a client of the stream; its lines are parsed as little as can be."""

    def __init__(self, server, query, last_event_id=None):
        fields = ["-H", f"Last-Event-ID: {last_event_id}"] if last_event_id is not None else []
        self.process = subprocess.Popen(
            ["curl", "-sSN", "--fail", *fields, f"http://{server.address}/stream?{query}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        RUNNING.add(self.process)
        self.buffer = b""

    def blocks(self, count, seconds=20):
        """So many events, each as its fields; comments and bare ids are none."""
        found, deadline = [], time.monotonic() + seconds
        while len(found) < count:
            while b"\n\n" not in self.buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                    raise AssertionError(f"{len(found)} of {count} events within {seconds} s")
                chunk = os.read(self.process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise AssertionError(f"curl ended with {self.process.wait()} after {len(found)} of {count} events")
                self.buffer += chunk
            block, self.buffer = self.buffer.split(b"\n\n", 1)
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line and line[0] != ":")
            if "data" in fields:
                found.append(fields)
        return found

    def ended(self, seconds=20):
        """Its exit code once the server has ended the stream."""
        return self.process.wait(seconds)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        RUNNING.discard(self.process)


class CurlSuite(unittest.TestCase):
    def follow(self, server, query, **more):
        curl = Curl(server, query, **more)
        self.addCleanup(curl.close)
        return curl

    def test_follow_resume_and_the_end(self):
        context = Names.fresh("curl")
        with Server(loops=2) as server:
            with server.client() as client:
                made = [client.create(unit(context, f"{n} é\n")) for n in range(20)]
                curl = self.follow(server, f"context={context}&after=0")
                first, *seen = curl.blocks(11)
                self.assertEqual((first["event"], json.loads(first["data"])["contexts"]), ("subscribed", [context]))
                self.assertEqual([json.loads(one["data"]) for one in seen], made[:10])
                last_id = seen[-1]["id"]
                curl.close()
                server.kill()
                server.start()
            with server.client() as client:
                again = self.follow(server, f"context={context}&after=0", last_event_id=last_id)
                self.assertEqual(again.blocks(1)[0]["id"], last_id)
                made += [client.create(unit(context, "live"))]
                self.assertEqual([json.loads(one["data"]) for one in again.blocks(11)], made[10:])
            self.assertEqual(server.terminate(), 0)
            self.assertEqual(again.ended(), 0, "a stream that is ended is a whole answer to curl")

    def test_many_under_load(self):
        contexts = [Names.fresh("curl") for _ in range(2)]
        total = 1000
        with Server(loops=2) as server:
            curls = [self.follow(server, f"context={contexts[n % 2]}&after=0") for n in range(8)]

            def write(number):
                with server.client() as client:
                    for n in range(total // 2):
                        client.create(unit(contexts[n % 2], f"{number}/{n}"))

            writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
            for writer in writers:
                writer.start()
            for n, curl in enumerate(curls):
                _, *seen = curl.blocks(1 + total // 2, 60)
                self.assertEqual([json.loads(one["data"])["sequence"] for one in seen], list(range(1, total // 2 + 1)))
            for writer in writers:
                writer.join()
