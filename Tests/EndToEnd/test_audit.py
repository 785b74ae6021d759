"""The audit log: a line for each failure, denial and administrative act, and no secret in any."""

import json
import os
import re
import signal
import stat
import subprocess
import time
import unittest

from faults import FileSystem
from guarded import GuardedServer, token_of
from harness import BINARY, NotReady, http_request, unit, until
from websocket import WebSocket

ALLOWED = ["context:read", "context:write", "lock:read", "lock:acquire"]


class Audit(unittest.TestCase):
    def setUp(self):
        self.server = GuardedServer(
            agents=["anna", "boss"], policy=[
                {"agents": ["anna"], "verbs": ALLOWED, "resources": ["context/own", "lock/**"]},
                {"agents": ["boss"], "verbs": ALLOWED + ["lock:force", "metrics"], "resources": ["context/**", "lock/**"]}],
            start=False)
        self.path = self.server.home / "audit.log"
        self.server.configure(audit={"file": str(self.path)})
        self.server.start()

    def tearDown(self):
        self.server.discard()

    def lines(self, event=None, path=None):
        path = path or self.path
        found = [json.loads(line) for line in path.read_text().splitlines()]
        return [line for line in found if event in (None, line["event"])]

    def line(self, event, **expected):
        def match():
            return next((line for line in self.lines(event) if expected.items() <= line.items()), None)
        return until(match, what=f"a line {event} {expected}, among {self.lines()}")

    def test_the_file_is_private_and_begins_with_the_start(self):
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        line = self.line("start", result="success")
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
        self.assertEqual(self.server.terminate(), 0)
        self.line("stop", result="success")

    def test_failures_and_denials_say_who_what_and_where_from(self):
        with self.server.client() as client:
            client.get("/contexts", {"X-Request-ID": "r-1"})
            client.get("/contexts", {"X-Request-ID": "r-2", "Authorization": "Bearer wrong-" + token_of("anna")})
        with self.server.of("anna") as anna:
            self.assertEqual(anna.post(unit("other", agent="anna"), {"X-Request-ID": "r-3"}).status, 403)
            self.assertEqual(anna.get("/metrics", {"X-Request-ID": "r-4"}).status, 403)
        for name, reason in (("r-1", "missing"), ("r-2", "unknown_token")):
            line = self.line("authentication_failure", request_id=name)
            self.assertEqual((line["result"], line["address"], line["reason"]), ("failure", "127.0.0.1", reason))
            self.assertNotIn("agent", line)
        line = self.line("denial", request_id="r-3")
        self.assertEqual((line["agent"], line["verb"], line["resource"]), ("anna", "context:write", "context/other"))
        self.assertEqual(line["address"], "127.0.0.1")
        self.assertEqual(self.line("denial", request_id="r-4")["verb"], "metrics")

    def test_a_page_of_a_stranger_is_written_down(self):
        with self.server.raw() as raw:
            raw.send(http_request("POST", "/workunit", {}, fields=["Origin: https://evil.example", "X-Request-ID: r-5"]))
            self.assertEqual(raw.answer().status, 403)
        self.assertEqual(self.line("denial", request_id="r-5")["reason"], "origin")

    def test_a_lock_taken_from_its_holder(self):
        with self.server.of("anna") as anna, self.server.of("boss") as boss:
            self.assertEqual(anna.post({"resource_path": "a/b"}, path="/locks").status, 200)
            self.assertEqual(anna.request("DELETE", "/locks/a/b?force=true").status, 403)
            self.assertEqual(boss.request("DELETE", "/locks/a/b?force=true", headers={"X-Request-ID": "r-6"}).status, 200)
        line = self.line("forced_release", request_id="r-6")
        self.assertEqual((line["agent"], line["resource"], line["result"]), ("boss", "lock/a/b", "success"))

    def test_reloads_good_and_bad(self):
        self.server.reload()
        self.line("reload", result="success")
        self.server.file.write_text("[server]\nnonsense = 1\n")
        before = self.server.reloads()
        self.server.process.send_signal(signal.SIGHUP)
        until(lambda: self.server.reloads() > before)
        self.line("reload", result="failure")

    def test_a_file_that_was_moved_away_is_made_anew(self):
        moved = self.path.with_suffix(".1")
        os.rename(self.path, moved)
        self.server.reload()
        until(lambda: self.path.exists(), what="the new file")
        with self.server.client() as client:
            client.get("/contexts", {"X-Request-ID": "after"})
        self.line("authentication_failure", request_id="after")
        self.assertNotIn("after", moved.read_text())

    def test_what_peers_send_stays_in_one_line(self):
        hostile = 'x","event":"start'
        with self.server.client() as client:
            client.get("/contexts", {"X-Request-ID": hostile})
        with self.server.of("anna") as anna:
            anna.post(unit("a\u2028b\u202e\"\\", agent="anna"))
            anna.request("PATCH", "/contexts/%C2%9Bx", {"display_name": "x"})
        self.line("authentication_failure", request_id=hostile)
        until(lambda: len(self.lines("denial")) >= 1)
        text = self.path.read_text()
        for character in text:
            self.assertTrue(character == "\n" or 0x20 <= ord(character) < 0x7f or ord(character) >= 0xa0, repr(character))
        self.assertNotIn("\u202e", text)
        self.assertEqual([line["event"] for line in self.lines("start")], ["start"])

    def test_a_flood_is_summed_up(self):
        with self.server.client() as client:
            for _ in range(300):
                client.get("/contexts")
        failures = until(lambda: self.lines("authentication_failure"))
        self.assertLessEqual(len(failures), 20)
        line = until(lambda: next(iter(self.lines("suppressed")), None), seconds=30, what="the summary")
        self.assertEqual(line["address"], "127.0.0.1")
        self.assertEqual(line["count"] + len(self.lines("authentication_failure")), 300)

    def test_noise_of_the_same_address_hides_no_denial_of_an_agent(self):
        with self.server.client() as client:
            for _ in range(100):
                client.get("/contexts", {"X-Agent-ID": "anna"})
        with self.server.of("anna") as anna:
            for number in range(25):
                self.assertEqual(anna.get("/metrics", {"X-Request-ID": f"n-{number}"}).status, 403)
        self.line("denial", request_id="n-0", agent="anna")
        self.line("suppressed", agent="anna", address="127.0.0.1", count=5)

    def test_who_names_another_agent_is_written_down_wherever_it_is(self):
        with self.server.of("anna") as anna:
            lock = anna.post({"resource_path": "a/b"}, path="/locks").json()["lock"]
            attempts = [
                ("POST", "/locks", {"resource_path": "c", "agent_id": "boss"}, "lock:acquire", "lock/c"),
                ("PUT", "/locks/a/b", {"lock_id": lock["lock_id"], "agent_id": "boss"}, "lock:acquire", "lock/a/b"),
                ("DELETE", "/locks/a/b?agent_id=boss", None, "lock:acquire", "lock/a/b"),
                ("PATCH", "/contexts/own", {"agent_id": "boss", "display_name": "x"}, "context:write", "context/own"),
                ("POST", "/workunit", unit("own", agent="boss"), "context:write", "context/own")]
            for number, (method, path, body, _, _) in enumerate(attempts):
                headers = {"X-Request-ID": f"i-{number}"}
                self.assertEqual(anna.request(method, path, body, headers).status, 403, path)
        for number, (_, path, _, verb, resource) in enumerate(attempts):
            line = self.line("denial", request_id=f"i-{number}")
            self.assertEqual(
                (line["agent"], line["reason"], line["verb"], line["resource"], line["address"]),
                ("anna", "agent", verb, resource, "127.0.0.1"), path)

    def test_a_websocket_has_an_address(self):
        fields = {"Authorization": f"Bearer {token_of('anna')}"}
        with WebSocket(self.server.port, fields=fields, context="own") as socket:
            socket.subscribed()
            socket.text({"type": "publish", "ref": "1", "work_unit": unit("other", agent="anna")})
            self.assertEqual(socket.expect("error")["ref"], "1")
        line = self.line("denial", resource="context/other")
        self.assertEqual((line["agent"], line["address"], line["reason"]), ("anna", "127.0.0.1", "policy"))

    def test_a_file_that_others_may_write_is_refused(self):
        self.assertEqual(self.server.terminate(), 0)
        for mode in (0o666, 0o660):
            self.path.chmod(mode)
            with self.assertRaisesRegex(NotReady, "exit 78"):
                self.server.start()
            said = "".join(self.server.stderr)
            self.assertIn(f"{self.place()}: audit.file: {self.path}: mode 0{mode:o} lets others change it; "
                          f"chmod go-w {self.path}", said)
        self.path.chmod(0o644)
        self.server.start()
        self.assertTrue(any("lets everybody read it" in line for line in self.server.stderr))

    def place(self):
        """Where the configuration names the file."""
        lines = self.server.file.read_text().splitlines()
        return f"{self.server.file}:{lines.index('[audit]') + 2}"

    def unusable(self):
        """Files that are none for an audit, each with what is said of it."""
        other, pipe, foreign = (self.server.home / name for name in ("other.log", "pipe", "foreign"))
        other.touch()
        other.chmod(0o666)
        os.mkfifo(pipe, 0o600)
        found = [(other, "lets others change it"), (pipe, "no regular file"), (self.server.home, "Is a directory"),
                 ("/dev/full", "no regular file"), (self.server.home / "none" / "audit", "No such file or directory")]
        if os.geteuid() == 0:
            foreign.touch(0o600)
            os.chown(foreign, 4242, -1)
            found.append((foreign, "belongs to the user 4242"))
        return found

    def test_a_reload_with_an_unusable_file_takes_nothing(self):
        for path, cause in self.unusable():
            with self.subTest(path=path):
                before = len(self.server.stderr), len(self.lines("reload"))
                # A limit that would be seen at once.
                self.server.reload(audit={"file": str(path)}, limits={"agent_requests_per_second": 1})
                said = "".join(self.server.stderr[before[0]:])
                self.assertRegex(said, re.escape(f"reload refused, everything stays as it was: {self.place()}: audit.file: ")
                                 + ".*" + re.escape(cause))
                self.assertNotIn("reloaded", said)
                until(lambda: len(self.lines("reload")) > before[1], what="the line of the reload")
                self.assertEqual(self.lines("reload")[-1]["result"], "failure")
                with self.server.of("anna") as anna:
                    self.assertEqual({anna.get("/contexts").status for _ in range(10)}, {200})
        other = self.server.home / "other.log"
        self.assertEqual(other.read_text(), "")
        self.server.configure(audit={"file": str(other)}, limits={})
        # Once it is good, it is taken.
        other.chmod(0o600)
        self.server.reload()
        with self.server.client() as client:
            client.get("/contexts", {"X-Request-ID": "later"})
        until(lambda: self.lines("authentication_failure", other), what="the line in the other file")

    def test_no_secret_is_in_any_line(self):
        secret = token_of("anna")
        with self.server.client() as client:
            client.get(f"/contexts?access_token={secret}")
            client.get(f"/stream?ticket={secret}")
            client.get("/contexts", {"Authorization": f"Basic {secret}"})
            client.get("/contexts", {"Authorization": f"Bearer {secret}!"})
        with self.server.of("anna") as anna:
            anna.post(unit("other", "the payload", agent="anna"))
        self.line("denial", agent="anna")
        text = self.path.read_text()
        self.assertNotIn(secret, text)
        self.assertNotIn("the payload", text)

    def test_a_line_cut_by_a_full_disk_stays_apart_from_the_next(self):
        self.assertEqual(self.server.terminate(), 0)
        disk = FileSystem(8)
        self.addCleanup(disk.__exit__)
        self.addCleanup(self.server.kill)
        path = disk.path / "audit.log"
        # The last page has room for the line of the start, and for some of the next one.
        filling = json.dumps({"event": "filling", "text": ""})
        path.write_text(filling[:-2] + "x" * (4096 - len(filling) - 1 - 100) + filling[-2:] + "\n")
        path.chmod(0o600)
        self.server.configure(audit={"file": str(path)})
        self.server.start()
        until(lambda: self.lines("start", path), what="the start")
        disk.fill()

        def ask(name):
            with self.server.client() as client:
                client.get("/contexts", {"X-Request-ID": name})

        ask("cut")
        until(lambda: not path.read_text().endswith("\n"), what="half a line")
        self.server.reload()
        (disk.path / "filler").unlink()
        ask("whole")
        until(lambda: '"request_id":"whole"' in path.read_text(), what="the line of another request")
        until(lambda: '"event":"dropped"' in path.read_text(), what="the count of what was lost")
        self.assertEqual(self.server.terminate(), 0)
        texts = path.read_text().splitlines()
        cut = [text for text in texts if not text.endswith("}")]
        self.assertEqual(len(cut), 1, texts)
        lines = [json.loads(text) for text in texts if text not in cut]
        self.assertEqual(lines[-1]["event"], "stop")
        written = [line for line in lines if line["event"] in ("start", "authentication_failure", "reload", "stop")]
        lost = sum(line["count"] for line in lines if line["event"] == "dropped")
        # Of the start, two requests, the reload and the stop.
        self.assertEqual(len(written) + lost, 5, lines)

    def test_an_unusable_file_is_refused_at_start_and_by_the_check(self):
        self.assertEqual(self.server.terminate(), 0)
        for path, cause in self.unusable():
            with self.subTest(path=path):
                self.server.configure(audit={"file": str(path)})
                with self.assertRaisesRegex(NotReady, "exit 78"):
                    self.server.start()
                done = self.check()
                self.assertEqual(done.returncode, 78)
                for said in ("".join(self.server.stderr), done.stderr):
                    self.assertRegex(said, re.escape(f"{self.place()}: audit.file: ") + ".*" + re.escape(cause))

    def test_the_check_makes_no_file(self):
        fresh = self.server.home / "fresh.log"
        self.server.configure(audit={"file": str(fresh)})
        self.assertEqual(self.check().returncode, 0)
        self.assertFalse(fresh.exists())
        before = self.path.read_text(), self.path.stat().st_mtime_ns
        self.server.configure(audit={"file": str(self.path)})
        self.assertEqual(self.check().returncode, 0)
        self.assertEqual((self.path.read_text(), self.path.stat().st_mtime_ns), before)

    def check(self):
        return subprocess.run(
            [BINARY, "config", "check", "--config", str(self.server.file)], capture_output=True, text=True, timeout=60)


class WithoutAFile(unittest.TestCase):
    def test_lines_go_into_the_log_or_to_standard_error(self):
        for audit in ({}, {"audit": {"file": "-"}}):
            with GuardedServer(audit, agents=["anna"]) as server, server.client() as client:
                client.get("/contexts", {"X-Request-ID": "r-1"})
                said = until(lambda: [line for line in server.stderr if '"request_id":"r-1"' in line])
                self.assertIn('"event":"authentication_failure"', said[0])
                if audit:
                    self.assertEqual(json.loads(said[0])["request_id"], "r-1")


if __name__ == "__main__":
    unittest.main()
