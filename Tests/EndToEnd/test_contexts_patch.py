"""PATCH /contexts/{id}: names, agents, pins and metadata; once answered it is so for everybody, also after a crash."""

import random
import threading
import unittest

from harness import Names, Options, Server, quoted, unit, uuid7
from test_contexts import walk
from test_stream import Follower
from websocket import WebSocket


class PatchSuite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(lambda: self.client.close())
        self.name = Names.fresh('patch "é/')

    def patch(self, change, name=None, headers=None, agent="ann", client=None):
        more = {"agent_id": agent} if agent else {}
        return (client or self.client).request("PATCH", f"/contexts/{quoted(name or self.name)}", change | more, headers)

    def changed(self, change, status=200, **more):
        """A change that must be made; returns the context, which a reader sees too."""
        answer = self.patch(change, **more)
        self.assertEqual((answer.status, list(answer.json())), (status, ["context"]), answer)
        context = answer.json()["context"]
        self.assertEqual(answer.headers["etag"], f'"{context["revision"]}.{context["last_sequence"]}"')
        self.assertEqual(self.read(more.get("name")), context)
        return context

    def read(self, name=None, client=None):
        answer = (client or self.client).get(f"/contexts/{quoted(name or self.name)}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["context"]

    def refused(self, change, pointer=None, **more):
        answer = self.patch(change, **more)
        self.assertEqual((answer.status, answer.json().get("code")), (400, "invalid_request"), answer)
        if pointer:
            self.assertEqual(answer.pointers(), [pointer], answer)
        return answer


class Patching(PatchSuite):
    def test_a_new_one(self):
        context = self.changed({"display_name": "A name é", "add_agents": ["bob", "eve"], "metadata": {"k": "v"}}, 201)
        self.assertEqual(
            {**context, "created_at": "", "updated_at": ""},
            {"id": self.name, "display_name": "A name é", "agent_ids": ["bob", "eve"], "pinned_units": [],
             "metadata": {"k": "v"}, "created_at": "", "updated_at": "", "revision": 1, "last_sequence": 0})
        self.assertEqual(context["created_at"], context["updated_at"])
        made = self.client.create(unit(self.name, agent="bob"))
        self.assertEqual(made["sequence"], 1)
        self.assertEqual(self.read(), context | {"last_sequence": 1, "updated_at": self.read()["updated_at"]})

    def test_an_old_one(self):
        self.client.create(unit(self.name, agent="bob"))
        context = self.changed({"display_name": "x"})
        self.assertEqual((context["revision"], context["last_sequence"], context["agent_ids"]), (2, 1, ["bob"]))
        self.assertGreaterEqual(context["updated_at"], context["created_at"])
        self.assertEqual(self.changed({"display_name": ""})["display_name"], "")

    def test_every_patch_raises_the_revision(self):
        self.changed({}, 201)
        for revision in (2, 3, 4):
            self.assertEqual(self.changed({"display_name": "same"})["revision"], revision)
        self.client.create(unit(self.name, agent="new"))
        self.assertEqual(self.read()["revision"], 5)
        self.client.create(unit(self.name, agent="new"))
        self.assertEqual(self.read()["revision"], 5)
        self.assertEqual(self.changed({})["revision"], 6)

    def test_metadata_is_merged_and_null_deletes(self):
        steps = [
            ({"a": "1", "b": "2", "é \"": "\\"}, {"a": "1", "b": "2", "é \"": "\\"}), ({"b": "3", "c": ""}, {"a": "1", "b": "3", "é \"": "\\", "c": ""}),
            ({"a": None, "missing": None}, {"b": "3", "é \"": "\\", "c": ""}), ({}, {"b": "3", "é \"": "\\", "c": ""}),
            ({"b": None, "é \"": None, "c": None, "d": "4"}, {"d": "4"}), ({"d": None}, {})]
        for turn, (change, expected) in enumerate(steps):
            self.assertEqual(self.changed({"metadata": change}, 200 if turn else 201)["metadata"], expected)

    def test_agents(self):
        self.assertEqual(self.changed({"add_agents": ["b", "a", "b"]}, 201)["agent_ids"], ["b", "a"])
        self.assertEqual(self.changed({"add_agents": ["a", "c"]})["agent_ids"], ["b", "a", "c"])
        self.assertEqual(self.changed({"remove_agents": ["a", "nobody"]})["agent_ids"], ["b", "c"])
        agents = {f"{self.name}-{n}" for n in range(4)}
        self.changed({"add_agents": sorted(agents)})
        for agent in agents:
            self.assertEqual([one["id"] for one in walk(self.client, agent_id=agent)], [self.name])
        gone = sorted(agents)[0]
        self.changed({"remove_agents": [gone]})
        self.assertEqual(walk(self.client, agent_id=gone), [])
        self.client.create(unit(self.name, agent=gone))
        self.assertEqual([one["id"] for one in walk(self.client, agent_id=gone)], [self.name], "who posts joins again")
        self.assertIn(gone, self.read()["agent_ids"])

    def test_pins(self):
        made = [self.client.create(unit(self.name, f"{n}")) for n in range(6)]
        ids = [one["id"] for one in made]
        self.assertEqual(self.changed({"pin_units": [ids[3], ids[1], ids[3]]})["pinned_units"], [ids[3], ids[1]])
        self.assertEqual(self.changed({"pin_units": [ids[5], ids[1]]})["pinned_units"], [ids[3], ids[1], ids[5]])
        answer = self.client.get(f"/contexts/{quoted(self.name)}?include=pinned,recent")
        self.assertEqual(answer.json()["pinned"], [made[3], made[1], made[5]])
        self.assertEqual(answer.json()["recent"], made[::-1])
        self.assertEqual(self.changed({"unpin_units": [ids[1], ids[0], uuid7()]})["pinned_units"], [ids[3], ids[5]])
        self.assertEqual(self.changed({"unpin_units": [ids[3]], "pin_units": [ids[0]]})["pinned_units"], [ids[5], ids[0]])
        other = Names.fresh("other")
        foreign = self.client.create(unit(other))
        before = self.read()
        self.refused({"pin_units": [ids[2], uuid7()], "display_name": "never"}, "/pin_units/1")
        self.refused({"pin_units": [foreign["id"]]}, "/pin_units/0")
        self.refused({"pin_units": [ids[0]]}, "/pin_units/0", name=Names.fresh("new"))
        self.refused({"pin_units": ["x"]}, "/pin_units/0")
        self.assertEqual(self.read(), before, "a refused change changes nothing")

    def test_pins_of_units_long_ago(self):
        """Units that only the store still has, after a restart, are found too."""
        made = [self.client.create(unit(self.name, f"{n}")) for n in range(20)]
        self.server.terminate()
        self.server.start()
        self.client = self.server.client()
        wanted = [made[n]["id"] for n in (0, 19, 7)]
        self.assertEqual(self.changed({"pin_units": wanted})["pinned_units"], wanted)
        answer = self.client.get(f"/contexts/{quoted(self.name)}?include=pinned")
        self.assertEqual([one["payload"] for one in answer.json()["pinned"]], ["0", "19", "7"])

    def test_if_match(self):
        path = f"/contexts/{quoted(self.name)}"
        for field in ("*", '"1.0"', '"0.0"'):
            answer = self.patch({}, headers={"If-Match": field})
            self.assertEqual((answer.status, answer.json()["code"]), (412, "precondition_failed"), field)
        self.assertEqual(self.client.get(path).status, 404)
        tag = self.patch({}).headers["etag"]
        self.client.create(unit(self.name))
        self.client.create(unit(self.name))
        now = self.client.get(path).headers["etag"]
        self.assertNotEqual(tag, now)
        revision = self.read()["revision"]
        answer = self.patch({}, headers={"If-Match": now})
        self.assertEqual((answer.status, answer.json()["context"]["revision"]), (200, revision + 1), answer)
        revision += 1
        for sequence in (0, 2, 99):
            field = f'"{revision}.{sequence}"'
            answer = self.patch({}, headers={"If-Match": field})
            self.assertEqual(answer.status, 200, answer)
            for stale in (field, tag, f'W/"{revision + 1}.2"', f'"{revision + 100}.2"', '"x"'):
                before = self.read()
                self.assertEqual(self.patch({"display_name": "no"}, headers={"If-Match": stale}).status, 412, stale)
                self.assertEqual(self.read(), before)
            revision += 1
        self.assertEqual(self.patch({}, headers={"If-Match": f'"900.1", "{revision}.1"'}).status, 200)
        self.assertEqual(self.patch({}, headers={"If-Match": "*"}).status, 200)

    def test_only_one_of_many_wins_with_if_match(self):
        self.changed({}, 201)
        for turn in range(1, (50 if Options.full else 8)):
            barrier, statuses = threading.Barrier(8), []

            def attempt(n):
                with self.server.client() as client:
                    barrier.wait(20)
                    answer = self.patch({"display_name": f"{n}"}, headers={"If-Match": f'"{turn}.0"'}, client=client)
                    statuses.append((answer.status, n))

            threads = [threading.Thread(target=attempt, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            winners = [n for status, n in statuses if status == 200]
            self.assertEqual((len(winners), sorted({status for status, _ in statuses})), (1, [200, 412]))
            self.assertEqual(self.read()["display_name"], f"{winners[0]}")
            self.assertEqual(self.read()["revision"], turn + 1)

    def test_limits(self):
        made = self.client.post([unit(self.name, f"{n}") for n in range(300)], path="/workunits").json()["work_units"]
        ids = [one["id"] for one in made]
        self.assertEqual(self.changed({"pin_units": ids[:256]})["pinned_units"], ids[:256])
        self.refused({"pin_units": [ids[256]]})
        self.assertEqual(len(self.changed({"pin_units": [ids[256]], "unpin_units": [ids[0]]})["pinned_units"]), 256)
        self.refused({"pin_units": ids}, name=self.name)
        agents = [f"agent-{n}" for n in range(4095)]
        self.assertEqual(len(self.changed({"add_agents": agents})["agent_ids"]), 4096)
        self.refused({"add_agents": ["one more"]})
        self.assertEqual(self.changed({"add_agents": ["agent-5"]})["agent_ids"][-1], "agent-4094")
        self.assertEqual(self.client.post(unit(self.name, agent="unlisted")).status, 201)
        self.assertNotIn("unlisted", self.read()["agent_ids"])
        self.changed({"remove_agents": agents})
        self.client.create(unit(self.name, agent="unlisted"))
        self.assertEqual(self.read()["agent_ids"], ["tester", "unlisted"])
        self.changed({"metadata": {f"{n}": "" for n in range(64)}})
        self.refused({"metadata": {"one more": ""}})
        self.changed({"metadata": {"one more": "", "0": None}})
        self.assertEqual(self.changed({"display_name": "é" * 512})["display_name"], "é" * 512)
        self.refused({"display_name": "é" * 512 + "x"}, "/display_name")

    def test_wrong_values(self):
        for change, pointer in (
                ({"colour": "red"}, "/colour"), ({"display_name": 1}, "/display_name"), ({"add_agents": "a"}, "/add_agents"),
                ({"add_agents": [""]}, "/add_agents/0"), ({"add_agents": ["ok", "a" * 257]}, "/add_agents/1"),
                ({"remove_agents": [1]}, "/remove_agents/0"), ({"pin_units": {}}, "/pin_units"),
                ({"unpin_units": ["x"]}, "/unpin_units/0"), ({"metadata": []}, "/metadata"), ({"metadata": {"k": 1}}, "/metadata/k"),
                ({"metadata": {"k" * 129: ""}}, None), ({"metadata": {"k": "v" * 4097}}, "/metadata/k"), ({"revision": 5}, "/revision"),
                ({"id": "x"}, "/id"), ({"agent_ids": []}, "/agent_ids")):
            with self.subTest(str(change)[:60]):
                self.refused(change, pointer)
        self.assertEqual(self.client.get(f"/contexts/{quoted(self.name)}").status, 404, "a refused change makes no context")
        self.refused({}, agent=None)
        self.refused({}, headers={"X-Agent-ID": "bob"})
        self.assertEqual(self.patch({}, agent=None, headers={"X-Agent-ID": "bob"}).status, 201)
        path = f"/contexts/{quoted(self.name)}"
        for sent in ("[]", "{", "null", '{"display_name":"a","display_name":"b","agent_id":"a"}', ""):
            self.assertEqual(self.client.request("PATCH", path, sent).status, 400, sent)
        answer = self.client.request("PATCH", path, "{}", {"Content-Type": "text/plain", "X-Agent-ID": "a"})
        self.assertEqual(answer.status, 415)
        self.assertEqual(self.client.request("PATCH", "/contexts/%01", {"agent_id": "a"}).status, 400)
        self.assertEqual(self.client.request("PATCH", path + "?colour=red", {"agent_id": "a"}).status, 400)
        self.assertEqual(self.client.request("PATCH", "/contexts", {"agent_id": "a"}).status, 405)


class Seen(PatchSuite):
    def test_context_events(self):
        with Follower(self.server, context=self.name, events="context") as events, \
                Follower(self.server, context=self.name, events="context,workunit") as mixed, \
                Follower(self.server, context=self.name) as plain, \
                Follower(self.server, context="other", events="context") as other, \
                WebSocket(self.server.port, context=self.name, events="context") as wire:
            for follower in (events, mixed, plain, other, wire):
                follower.subscribed()
            states = [self.changed({"add_agents": ["tester"]}, 201), self.changed({"metadata": {"é": "\n"}})]
            made = self.client.create(unit(self.name))
            states.append(self.changed({"pin_units": [made["id"]], "display_name": "last"}))
            for n, state in enumerate(states):
                event = events.next()
                self.assertEqual((event.name, event.json()), ("context", state))
                self.assertEqual(wire.expect("context"), {"type": "context", "cursor": event.id, "context": state})
                if n == 2:
                    self.assertEqual(mixed.units(1), [made])
                self.assertEqual(mixed.next().json(), state)
                self.assertEqual(mixed.last_id, event.id)
            self.assertEqual(plain.units(1), [made])
            self.assertTrue(other.quiet())
            last = event.id
        with Follower(self.server, context=self.name, events="context", after=0) as late:
            late.subscribed()
            self.assertEqual([late.next().json() for _ in states], states)
            self.assertEqual(late.last_id, last)

    def test_the_type_and_agent_filters_are_of_units(self):
        """Contexts have neither: who asks for both kinds sees every change of the context."""
        with Follower(self.server, context=self.name, events="context,workunit", type="ERROR") as follower:
            follower.subscribed()
            state = self.changed({"display_name": "x"}, 201)
            self.assertEqual(follower.next().json(), state)

    def test_on_every_connection_at_once(self):
        clients = [self.server.client() for _ in range(6)]
        try:
            for n in range(120 if Options.full else 40):
                changed = self.patch({"display_name": f"{n}", "add_agents": [f"{self.name}-{n}"]}, client=clients[n % 6])
                reader = clients[(n + 1 + n // 6 % 5) % 6]
                self.assertEqual(self.read(client=reader), changed.json()["context"])
                [listed] = walk(reader, agent_id=f"{self.name}-{n}")
                self.assertEqual(listed, changed.json()["context"])
        finally:
            for client in clients:
                client.close()

    def test_after_a_crash(self):
        """Random changes and units against a model of them, over kills."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        with self.subTest(seed=seed), Server(loops=2) as server:
            models = {f"context {n}": None for n in range(4)}
            for turn in range(10 if Options.full else 3):
                with server.client() as client:
                    for _ in range(60):
                        name = chance.choice(list(models))
                        models[name] = self.step(client, chance, name, models[name])
                server.kill()
                server.start()
                with server.client() as client:
                    for name, model in models.items():
                        if model is not None:
                            self.assertEqual(self.read(name, client), model)
                            pinned = client.get(f"/contexts/{quoted(name)}?include=pinned").json()["pinned"]
                            self.assertEqual([one["id"] for one in pinned], model["pinned_units"])
                    for n in range(8):
                        expected = sorted(
                            name for name, model in models.items() if model and f"agent {n}" in model["agent_ids"])
                        self.assertEqual([one["id"] for one in walk(client, agent_id=f"agent {n}")], expected)

    def step(self, client, chance, name, model):
        """One random change; returns the context as it then must be."""
        agent, kind = f"agent {chance.randrange(8)}", chance.randrange(6)
        if kind == 0 or model is None:
            made = client.create(unit(name, "x", agent=agent))
            now = self.read(name, client)
            expected = model or {"agent_ids": [], "revision": 0, "last_sequence": 0, "pinned_units": [], "metadata": {}}
            joins = agent not in expected["agent_ids"]
            self.assertEqual(now["agent_ids"], expected["agent_ids"] + [agent] * joins)
            self.assertEqual(now["revision"], expected["revision"] + joins)
            self.assertEqual(now["last_sequence"], made["sequence"])
            self.assertEqual(now["pinned_units"], expected["pinned_units"])
            return now
        change, expected = {}, dict(model)
        if kind == 1:
            change["display_name"] = expected["display_name"] = f"name {chance.random()}"
        elif kind == 2:
            change["add_agents"] = [agent]
            expected["agent_ids"] = model["agent_ids"] + [agent] * (agent not in model["agent_ids"])
        elif kind == 3:
            change["remove_agents"] = [agent]
            expected["agent_ids"] = [one for one in model["agent_ids"] if one != agent]
        elif kind == 4:
            units = client.listing(name, limit=1000)["work_units"]
            one = chance.choice(units)["id"]
            change["unpin_units" if one in model["pinned_units"] else "pin_units"] = [one]
            expected["pinned_units"] = (
                [pin for pin in model["pinned_units"] if pin != one] if "unpin_units" in change else model["pinned_units"] + [one])
        else:
            key = f"key {chance.randrange(5)}"
            value = None if key in model["metadata"] and chance.random() < 0.5 else f"value {chance.random()}"
            change["metadata"] = {key: value}
            expected["metadata"] = {k: v for k, v in (model["metadata"] | {key: value}).items() if v is not None}
        now = client.request("PATCH", f"/contexts/{quoted(name)}", change | {"agent_id": "ann"}).json()["context"]
        expected |= {"revision": model["revision"] + 1, "updated_at": now["updated_at"]}
        self.assertEqual(now, expected)
        return now
