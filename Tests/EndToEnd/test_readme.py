"""The first five minutes of the README, as printed: its commands are read from the page and run against a server."""

import json
import re
import subprocess
import unittest

from harness import BINARY, ROOT, Server, free_port, scratch_directory, until

PORT = "127.0.0.1:8080"


def blocks():
    """The `sh` blocks of the page, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)


def shell(block, server):
    """Runs one block against this server; a stream is listened to for two seconds (curl then ends with 28)."""
    script = block.replace(PORT, server.address).replace("curl -sN", "curl -sN --max-time 2").replace("curl -s ", "curl -sf ")
    return subprocess.run(
        ["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)


class FirstFiveMinutes(unittest.TestCase):
    def test_as_printed(self):
        start, post, read, follow, kill, resume, batch, *together = blocks()
        self.assertEqual(start.strip(), "make run")
        self.assertIn("kill -9", kill)
        with Server() as server:
            done = shell(post, server)
            self.assertEqual((done.returncode, done.stdout.count('"work_unit"')), (0, 2), done)
            done = shell(read, server)
            self.assertEqual(done.returncode, 0, done)
            every, newest = (value["work_units"] for value in values(done.stdout))
            self.assertEqual([one["payload"] for one in every], ["hello", "and hello back"])
            self.assertEqual([one["agent_id"] for one in newest], ["bob"])
            done = shell(follow, server)
            self.assertEqual((done.returncode, done.stdout.count("event: workunit")), (28, 2), done)
            last = re.findall(r"^id: ?(\d+)", done.stdout, re.M)[-1]
            self.assertIn(f"'Last-Event-ID: {last}'", resume, "the page names another id than a reader sees")
            server.kill()
            server.start()
            done = shell(resume, server)
            self.assertEqual(done.returncode, 28, done)
            stream = done.stdout[done.stdout.index("event: subscribed"):]
            self.assertEqual(stream.count("event: workunit"), 1, stream)
            self.assertIn("still here", stream)
            done = shell(batch, server)
            first, again = done.stdout.splitlines()
            self.assertEqual(first, again)
            self.assertEqual(len(json.loads(first)["work_units"]), 2)
            lock, fence, patch, listen, search, walk, *network = together
            self.work_together(server, lock, fence, patch, listen)
            self.find_again(server, search, walk)
        self.on_a_network(*network)

    def on_a_network(self, prepare, serve, ask, renew):
        """In a directory of its own, with the real binary and a free port."""
        folder, port = scratch_directory(), free_port()

        def run(block, server=None):
            script = block.replace(".build/release/engram", BINARY).replace("8443", str(port))
            script = script.replace("$(pgrep -x engram)", str(server.process.pid if server else 0))
            return subprocess.run(
                ["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                timeout=30, cwd=folder)

        done = run(prepare)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        self.assertIn('providers = ["token"]  # file engram.toml:9', done.stdout)
        self.assertEqual(serve.strip(), ".build/release/engram serve --config engram.toml")
        with Server("--config", f"{folder}/engram.toml", start=False, port=port) as server:
            server.command = lambda: [BINARY, "serve", *server.flags, "--data-dir", server.directory]
            server.start()
            done = run(ask)
            posted, listed, denied, stranger = values(done.stdout)
            self.assertEqual((posted["work_unit"]["agent_id"], posted["work_unit"]["payload"]), ("anna", "over TLS"))
            self.assertEqual([one["id"] for one in listed["work_units"]], [posted["work_unit"]["id"]])
            self.assertEqual((denied["code"], stranger["code"]), ("permission_denied", "unauthenticated"))
            done = run(renew, server)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done)
            until(lambda: any("reloaded" in line for line in server.stderr), what="the reload")
            bob = run(ask.replace("anna.token", "bob.token"))
            self.assertEqual(values(bob.stdout)[0]["work_unit"]["agent_id"], "bob", bob)

    def find_again(self, server, search, walk):
        done = shell(search, server)
        posted, found = values(done.stdout)
        (hit,) = found["results"]
        self.assertEqual(hit["work_unit"]["id"], posted["work_unit"]["id"], done)
        self.assertIn("<mark>E1234</mark>", hit["highlight"])
        done = shell(walk, server)
        posted, walked = values(done.stdout)
        (result,) = walked["results"]
        self.assertEqual(result["work_unit"]["id"], posted["work_unit"]["id"], done)
        self.assertEqual((result["distance"], result["relationship"]["type"]), (1, "RESPONDS_TO"))

    def work_together(self, server, lock, fence, patch, follow):
        done = shell(lock, server)
        held, refused = values(done.stdout)
        self.assertEqual((held["lock"]["holder_agent"], refused["code"]), ("anna", "lock_held"), done)
        self.assertEqual((refused["holder_agent"], refused["expires_at"]), ("anna", held["lock"]["expires_at"]))
        done = shell(fence, server)
        fixed, released, refused = values(done.stdout)
        self.assertEqual(fixed["work_unit"]["payload"], "fixed", done)
        self.assertEqual((released, refused["code"]), ({"released": True}, "fence_rejected"), done)
        done = shell(patch, server)
        context = json.loads(done.stdout)["context"]
        self.assertEqual((context["display_name"], context["metadata"]), ("A demonstration", {"goal": "ship it"}), done)
        done = shell(follow, server)
        self.assertEqual(done.returncode, 28, done)
        events = re.findall(r"^event: (\w+)", done.stdout, re.M)
        self.assertEqual(
            (events[0], events.count("workunit"), events.count("lock"), events[-1]), ("subscribed", 4, 2, "context"), done)

    def test_its_links_lead_somewhere(self):
        page = (ROOT / "README.md").read_text()
        for target in re.findall(r"\]\(([^)#:]+)\)", page):
            self.assertTrue((ROOT / target).exists(), f"{target} is not there")
        for target in re.findall(r"`make ([a-z]+)`", page):
            self.assertRegex((ROOT / "Makefile").read_text(), rf"(?m)^{target}:", f"there is no `make {target}`")


def values(text):
    """The JSON values of a text, one behind the other."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found
