"""What is said over a WebSocket: subscriptions, live events, and publishing as a way to write like POST."""

import json
import threading

from harness import Names, Options, Server, quoted, unit, until, uuid7
from test_websocket import WebSocketSuite
from websocket import TEXT, WebSocket, frame


def publish(ref, work_unit):
    return {"type": "publish", "ref": ref, "work_unit": work_unit}


class MessageSuite(WebSocketSuite):
    def setUp(self):
        super().setUp()
        self.mine = Names.fresh("messages")

    def post(self, count, context=None, **more):
        return [self.client.create(unit(context or self.mine, f"{n}", **more)) for n in range(count)]

    def follow(self, **query):
        return self.open(**({"context": self.mine} | query))

    def assertError(self, message, code, ref=None):
        self.assertEqual((message["type"], message["code"]), ("error", code), message)
        self.assertTrue(message["detail"])
        if ref is not None:
            self.assertEqual(message["ref"], ref)
        self.assertLessEqual(set(message), {"type", "ref", "code", "detail", "errors"})


class Subscriptions(MessageSuite):
    def test_subscribed_says_where_it_starts(self):
        [made] = self.post(1)
        wire = self.connect(context=self.mine)
        first = wire.json()
        self.assertEqual(set(first), {"type", "contexts", "position"})
        self.assertEqual((first["type"], first["contexts"]), ("subscribed", [self.mine]))
        self.assertGreaterEqual(first["position"], made["position"])
        more = self.post(3)
        self.assertEqual(wire.units(3), more)

    def test_the_frame_of_a_unit(self):
        wire = self.follow()
        [made] = self.post(1, metadata={"é": "\u2028"})
        self.assertEqual(wire.json(), {"type": "workunit", "cursor": str(made["position"]), "work_unit": made})

    def test_no_query_follows_everything(self):
        wire, other = self.connect(), Names.fresh("other")
        self.assertEqual(wire.subscribed()["contexts"], [])
        made = self.post(2) + self.post(2, other)
        self.assertEqual(wire.units(4), made)

    def test_units_of_every_size(self):
        """The server's own frames take all three forms of a length; the driver holds them to the shortest."""
        wire = self.follow()
        for size in (0, 1, 100, 1000, 65_000, 65_536, 70_000, 1_000_000, 4_000_000):
            made = self.client.create(unit(self.mine, "w" * size))
            self.assertEqual(wire.units(1), [made])

    def test_filters(self):
        other = Names.fresh("other")
        kinds = self.follow(type=["ERROR", "SYSTEM"])
        agents = self.follow(agent="bob")
        two = self.follow(context=[self.mine, other])
        made = self.post(1) + self.post(1, kind="ERROR", agent="bob") + self.post(1, other) + self.post(1, kind="SYSTEM")
        self.assertEqual(kinds.units(2), [made[1], made[3]])
        self.assertEqual(agents.units(1), [made[1]])
        self.assertEqual(two.units(4), made)
        for wire in (kinds, agents, two):
            self.assertEqual(wire.ping(), [])

    def test_after(self):
        made = self.post(30)
        for after, expected in ((0, made), (made[9]["position"], made[10:]), (made[-1]["position"], [])):
            wire = self.follow(after=after)
            self.assertEqual(wire.units(len(expected)), expected)
        more = self.post(2)
        self.assertEqual(wire.units(2), more)

    def test_subscribe_replaces_the_set(self):
        other, third = Names.fresh("other"), Names.fresh("third")
        wire = self.follow()
        self.post(1)
        wire.units(1)
        wire.text({"type": "subscribe", "contexts": [other, third]})
        said = wire.subscribed()
        self.assertEqual(sorted(said["contexts"]), sorted([other, third]))
        self.post(2)
        made = self.post(1, other) + self.post(1, third)
        self.assertEqual(wire.units(2), made)
        wire.text({"type": "subscribe", "contexts": [other], "types": ["ERROR"], "agents": ["bob", "eve"]})
        wire.subscribed()
        self.post(1, other, kind="ERROR") + self.post(1, other, agent="bob")
        made = self.post(1, other, kind="ERROR", agent="eve")
        self.assertEqual(wire.units(1), made)
        wire.text({"type": "subscribe"})
        self.assertEqual(wire.subscribed()["contexts"], [])
        made = self.post(1) + self.post(1, third)
        self.assertEqual(wire.units(2), made)

    def test_subscribe_with_after_catches_up(self):
        made, other = self.post(20), Names.fresh("other")
        wire = self.follow(context=other)
        for after in ("0", str(made[4]["position"])):
            wire.text({"type": "subscribe", "contexts": [self.mine], "after": after})
            self.assertEqual(wire.subscribed()["contexts"], [self.mine])
            expected = [one for one in made if one["position"] > int(after)]
            self.assertEqual(wire.units(len(expected)), expected)
        made = self.post(2)
        self.assertEqual(wire.units(2), made)

    def test_subscribe_again_and_again_while_units_come(self):
        """After each `subscribed` come only units of the new set, in order, each once."""
        contexts = [self.mine, Names.fresh("other")]
        over = threading.Event()

        def write():
            with self.server.client() as client:
                n = 0
                while not over.is_set():
                    client.create(unit(contexts[n % 2], f"{n}"))
                    n += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            wire = self.follow()
            seen = {name: [] for name in contexts}
            for turn in range(60):
                name = contexts[turn % 2]
                cursor = seen[name][-1] if seen[name] else 0
                wire.text({"type": "subscribe", "contexts": [name], "after": str(cursor)})
                while (message := wire.json())["type"] != "subscribed":
                    self.assertEqual(message["work_unit"]["context_id"], contexts[1 - turn % 2] if turn else self.mine)
                for one in wire.units(3):
                    self.assertEqual(one["context_id"], name)
                    seen[name].append(one["position"])
        finally:
            over.set()
            writer.join()
        for name, positions in seen.items():
            expected = [one["position"] for one in self.client.all_units(name)][:len(positions)]
            self.assertEqual(positions, expected)

    def test_unsubscribe(self):
        wire = self.follow()
        wire.text({"type": "unsubscribe"})
        self.assertEqual(wire.ping(), [])
        self.post(3)
        self.assertEqual(wire.ping(), [])
        wire.text(publish("still", unit(self.mine, "published")))
        self.assertEqual(wire.expect("ack")["sequence"], 4)
        wire.text({"type": "unsubscribe"})
        self.assertEqual(wire.ping(), [])
        wire.text({"type": "subscribe", "contexts": [self.mine]})
        wire.subscribed()
        made = self.post(1)
        self.assertEqual(wire.units(1), made)

    def test_a_cursor_above_the_head_is_gone(self):
        wire = self.follow()
        wire.text({"type": "subscribe", "contexts": [self.mine], "after": str(1 << 50)})
        self.assertError(wire.expect("error"), "gone")
        wire.ping()
        wire.text({"type": "subscribe", "contexts": [self.mine]})
        wire.subscribed()
        made = self.post(1)
        self.assertEqual(wire.units(1), made)

    def test_wrong_subscriptions(self):
        wire = self.follow()
        for wrong in (
                {"contexts": "a"}, {"contexts": [1]}, {"contexts": [""]}, {"contexts": ["c" * 257]}, {"contexts": ["\u0001"]},
                {"types": ["NOTHING"]}, {"types": "ERROR"}, {"agents": [""]}, {"agents": {}}, {"events": ["everything"]},
                {"events": [1]}, {"after": "x"}, {"after": "-1"}, {"after": []}, {"lock": 1}, {"colour": "red"},
                {"contexts": [f"c{n}" for n in range(1000)]}):
            with self.subTest(str(wrong)[:60]):
                wire.text({"type": "subscribe"} | wrong)
                message = wire.expect("error")
                self.assertError(message, "invalid_request")
                self.assertIn(next(iter(wrong)), json.dumps(message), "the error doesn't name what is wrong")
        wire.ping()
        self.undisturbed()

    def test_a_million_contexts(self):
        wire = self.follow()
        text = json.dumps({"type": "subscribe", "contexts": [f"c{n}" for n in range(1_000_000)]})
        wire.text(text)
        message = wire.json()
        if message is None:
            self.assertIn(wire.closing.code, (1008, 1009))
        else:
            self.assertError(message, "invalid_request")
            wire.ping()
        self.undisturbed()

    def test_duplicate_keys_and_deep_texts(self):
        wire = self.follow()
        for text in ('{"type":"ping","type":"ping"}', '{"type":"subscribe","after":' + "[" * 40 + "]" * 40 + "}",
                     '{"type":"publish","ref":"x","work_unit":' + "[" * 500_000, '{"type":"subscribe","after":1e400}'):
            wire.text(text)
            self.assertError(wire.expect("error"), "invalid_request")
        wire.ping()

    def test_context_events(self):
        wire = self.follow(events=["workunit", "context"])
        plain = self.follow()
        only = self.follow(events="context")
        [first] = self.post(1, agent="ann")
        [second] = self.post(1, agent="bob")
        revisions = []
        for made, agents in ((first, ["ann"]), (second, ["ann", "bob"])):
            message = wire.expect("context")
            self.assertEqual(set(message), {"type", "cursor", "context"})
            self.assertEqual((message["context"]["id"], message["context"]["agent_ids"]), (self.mine, agents))
            self.assertLess(int(message["cursor"]), made["position"])
            self.assertEqual(only.expect("context"), message)
            self.assertEqual(wire.units(1), [made])
            revisions.append(message["context"]["revision"])
        self.assertEqual(revisions, [1, 2])
        self.assertEqual(plain.units(2), [first, second])
        for quiet in (wire, plain, only):
            self.assertEqual(quiet.ping(), [])


class Publishing(MessageSuite):
    def test_an_ack_once_it_is_there(self):
        wire = self.follow()
        for n, payload in enumerate(("", "text", "é🦊\u0000", b"\x00\xff\xfe", "p" * 200_000, "q" * (8 << 20))):
            given = unit(self.mine, payload, metadata={"n": str(n)})
            wire.text(publish(f"ref {n}", given))
            messages = [wire.json(), wire.json()]
            ack = next(one for one in messages if one["type"] == "ack")
            seen = next(one for one in messages if one["type"] == "workunit")["work_unit"]
            self.assertEqual(
                ack, {"type": "ack", "ref": f"ref {n}", "id": seen["id"], "sequence": n + 1, "position": seen["position"]})
            answer = self.client.get(f"/workunit/{seen['id']}")
            self.assertEqual((answer.status, answer.json()["work_unit"]), (200, seen))
            self.assertEqual(
                (seen["payload"], seen["metadata"], seen["agent_id"]), (given["payload"], {"n": str(n)}, "tester"))

    def test_many_in_flight(self):
        """Acks and sequences come in the order of sending, however many are under way, and whatever else is written."""
        over = threading.Event()

        def noise():
            with self.server.client() as client:
                while not over.is_set():
                    client.create(unit(Names.fresh("noise"), "n"))

        writer = threading.Thread(target=noise)
        writer.start()
        try:
            for count in (64, 64, 5000 if Options.full else 500):
                context = Names.fresh("flight")
                with self.open() as wire:
                    wire.send(b"".join(
                        frame(TEXT, json.dumps(publish(f"{n}", unit(context, f"{n}" + "f" * 900))).encode())
                        for n in range(count)))
                    acks = [wire.expect("ack") for _ in range(count)]
                self.assertEqual([ack["ref"] for ack in acks], [f"{n}" for n in range(count)])
                self.assertEqual([ack["sequence"] for ack in acks], list(range(1, count + 1)))
                positions = [ack["position"] for ack in acks]
                self.assertEqual(positions, sorted(set(positions)))
                units = self.client.all_units(context)
                self.assertEqual([one["id"] for one in units], [ack["id"] for ack in acks])
                self.assertEqual([one["payload"][:-900] for one in units], [f"{n}" for n in range(count)])
        finally:
            over.set()
            writer.join()

    def test_errors_leave_the_connection_and_what_follows_alone(self):
        wire = self.open()
        good = unit(self.mine, "good")
        cases = [
            (good | {"type": "NOTHING"}, "invalid_request"), (good | {"colour": "red"}, "invalid_request"),
            ({key: value for key, value in good.items() if key != "context_id"}, "invalid_request"),
            ({key: value for key, value in good.items() if key != "agent_id"}, "invalid_request"),
            (good | {"expected_sequence": 99}, "precondition_failed"), (good | {"context_id": "\u0001"}, "invalid_request"),
            (good | {"fence": {"resource_path": "nobody/holds/this", "token": 1}}, "fence_rejected"),
            (good | {"id": "not-an-id"}, "invalid_request"), (good | {"payload": "%", "payload_encoding": "base64"}, "invalid_request"),
            (good | {"payload": "x" * ((8 << 20) + 1)}, "payload_too_large"), ("text", "invalid_request"), (None, "invalid_request")]
        for n, (wrong, code) in enumerate(cases):
            with self.subTest(str(wrong)[:80]):
                wire.text(publish(f"bad {n}", wrong))
                wire.text(publish(f"good {n}", good))
                messages = {message["ref"]: message for message in (wire.json(), wire.json())}
                self.assertError(messages[f"bad {n}"], code, ref=f"bad {n}")
                self.assertEqual(messages[f"good {n}"]["sequence"], n + 1, "a refused unit left a gap")
        wire.text({"type": "publish", "ref": "nothing"})
        self.assertError(wire.expect("error"), "invalid_request", ref="nothing")
        wire.text({"type": "publish", "ref": "more", "work_unit": good, "colour": "red"})
        self.assertError(wire.expect("error"), "invalid_request", ref="more")
        self.undisturbed()

    def test_a_refused_one_in_a_burst(self):
        wire, good = self.open(), unit(self.mine, "good")
        count = 100
        for n in range(count):
            wire.text(publish(f"{n}", good | ({"type": "NOTHING"} if n % 10 == 3 else {})))
        messages = [wire.json() for _ in range(count)]
        acks = [message for message in messages if message["type"] == "ack"]
        self.assertEqual([int(ack["ref"]) for ack in acks], [n for n in range(count) if n % 10 != 3])
        self.assertEqual([ack["sequence"] for ack in acks], list(range(1, len(acks) + 1)))
        self.assertEqual(
            {int(message["ref"]) for message in messages if message["type"] == "error"}, set(range(3, count, 10)))

    def test_who_is_asking(self):
        wire = self.open(fields={"X-Agent-ID": "ann"})
        nameless = {key: value for key, value in unit(self.mine, "x").items() if key != "agent_id"}
        wire.text(publish("1", nameless))
        ack = wire.expect("ack")
        self.assertEqual(self.client.get(f"/workunit/{ack['id']}").json()["work_unit"]["agent_id"], "ann")
        wire.text(publish("2", unit(self.mine, "x", agent="bob")))
        self.assertError(wire.expect("error"), "invalid_request", ref="2")
        wire.text(publish("3", unit(self.mine, "x", agent="ann")))
        self.assertEqual(wire.expect("ack")["sequence"], 2)

    def test_a_retry_appends_once(self):
        wire, given = self.open(), unit(self.mine, "once", id=uuid7())
        acks = []
        for n in range(3):
            wire.text(publish(f"{n}", given))
            acks.append(wire.expect("ack"))
        self.assertEqual([{**ack, "ref": ""} for ack in acks], [{**acks[0], "ref": ""}] * 3)
        for ref, again in (("same burst a", given | {"id": uuid7()}), ("same burst b", None)):
            given = again or given
            wire.text(publish(ref, given))
        first, second = wire.expect("ack"), wire.expect("ack")
        self.assertEqual((first["id"], first["sequence"]), (second["id"], second["sequence"]))
        wire.text(publish("other", given | {"payload": "changed"}))
        self.assertError(wire.expect("error"), "conflict", ref="other")
        answer = self.client.post(given)
        self.assertEqual((answer.status, answer.json()["work_unit"]["sequence"]), (200, first["sequence"]))
        self.assertEqual(len(self.client.all_units(self.mine)), 2)

    def test_expected_sequence(self):
        wire = self.open()
        for n in range(1, 20):
            wire.text(publish(f"{n}", unit(self.mine, "x", expected_sequence=n)))
        self.assertEqual([wire.expect("ack")["sequence"] for _ in range(1, 20)], list(range(1, 20)))

    def test_several_connections_share_a_context(self):
        wires, each = [self.open() for _ in range(8)], 50
        follower = self.follow()
        for n in range(each):
            for wire in wires:
                wire.text(publish(f"{n}", unit(self.mine, f"{n}")))
        acks = [[wire.expect("ack") for _ in range(each)] for wire in wires]
        for mine in acks:
            self.assertEqual([ack["ref"] for ack in mine], [f"{n}" for n in range(each)])
        every = sorted(ack["sequence"] for mine in acks for ack in mine)
        self.assertEqual(every, list(range(1, 8 * each + 1)))
        self.assertEqual(follower.units(8 * each), self.client.all_units(self.mine))

    def test_a_message_in_fragments_is_published_whole(self):
        wire = self.open()
        text = json.dumps(publish("f", unit(self.mine, "🦊" * 3000)), ensure_ascii=False).encode()
        pieces = [text[n:n + 7] for n in range(0, len(text), 7)]
        wire.send(b"".join(
            frame(0 if n else TEXT, piece, fin=n == len(pieces) - 1) for n, piece in enumerate(pieces)))
        ack = wire.expect("ack")
        self.assertEqual(self.client.get(f"/workunit/{ack['id']}").json()["work_unit"]["payload"], "🦊" * 3000)

    def test_who_leaves_before_the_ack(self):
        """What was sent in full before the end may be kept or not, but nothing of it twice, half, or out of order."""
        for turn in range(10):
            with self.open() as wire:
                wire.send(b"".join(
                    frame(TEXT, json.dumps(publish(f"{n}", unit(self.mine, f"{turn}/{n}"))).encode()) for n in range(50)))
                if turn % 2:
                    wire.leave()
        self.undisturbed()
        for turn in range(10):
            found = [one["payload"] for one in self.client.all_units(self.mine) if one["payload"].startswith(f"{turn}/")]
            self.assertEqual(found, [f"{turn}/{n}" for n in range(len(found))])
            if turn % 2:
                self.assertEqual(len(found), 50, "a close behind publishes in flight lost some")

    def test_ack_means_durable(self):
        acked = []
        with Server(loops=2) as server:
            for turn in range(5 if Options.full else 2):
                with WebSocket(server.port, context="c") as wire:
                    wire.subscribed()
                    for n in range(200):
                        wire.text(publish(f"{n}", unit("acked", f"{turn}/{n}")))
                    acked += [wire.expect("ack") for _ in range(100)]
                    server.kill()
                server.start()
                with server.client() as client:
                    there = {one["sequence"]: one["id"] for one in client.all_units("acked")}
                self.assertEqual(sorted(there), list(range(1, len(there) + 1)))
                for ack in acked:
                    self.assertEqual(there.get(ack["sequence"]), ack["id"])


class Joining(MessageSuite):
    def test_catching_up_joins_live_without_a_seam(self):
        total, broken = (8000 if Options.full else 2000), []

        def write():
            try:
                with self.open() as wire:
                    for n in range(total):
                        wire.text(publish(f"{n}", unit(self.mine, f"{n}")))
                        if n >= 64:
                            wire.expect("ack")
                    for _ in range(64):
                        wire.expect("ack")
            except Exception as error:
                broken.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        followers = []
        for n in range(12):
            until(lambda: broken or self.client.get(f"/contexts/{quoted(self.mine)}").status == 200, what="a first unit")
            followers.append(self.follow(after=0))
            if n % 3 == 2:
                followers[-1].text({"type": "subscribe", "contexts": [self.mine], "after": "0"})
                while followers[-1].json()["type"] != "subscribed":
                    pass
        writer.join()
        self.assertEqual(broken, [])
        made = self.client.all_units(self.mine)
        self.assertEqual(len(made), total)
        for follower in followers:
            self.assertEqual(follower.units(total), made)
            self.assertEqual(follower.ping(), [])

    def test_progress_and_pings_when_quiet(self):
        """Every 15 s: `progress` with a cursor that moves on, and a ping; only in the full run, for it takes that long."""
        if not Options.full:
            return
        wire, other = self.follow(), self.post(1, Names.fresh("elsewhere"))
        message = wire.json(timeout=25)
        self.assertEqual(message["type"], "progress", message)
        self.assertGreaterEqual(int(message["cursor"]), other[0]["position"])
        pings = 0
        while pings == 0:
            one = wire.next_frame(timeout=25)
            pings += one.opcode == 0x9
        made = self.post(1)
        self.assertEqual(self.follow(after=message["cursor"]).units(1), made)
