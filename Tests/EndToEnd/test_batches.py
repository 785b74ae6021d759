"""Batches: many units in one request, all there or not at all."""

import json
import random
import threading
import time
import unittest

from harness import Names, Options, Server, unit, uuid7
from test_units import MEBIBYTE, UnitSuite

NDJSON = {"Content-Type": "application/x-ndjson"}
MINIMAL = {"Prefer": "return=minimal"}


def lines(units, end="\n"):
    return end.join(json.dumps(one) for one in units)


class BatchSuite(UnitSuite):
    def batch(self, body, headers=None):
        return self.client.post(body, headers, path="/workunits")

    def units(self, count, **members):
        return [unit(self.context, f"unit {n}", agent=f"agent-{n % 3}", **members) for n in range(count)]

    def assertUnchanged(self):
        self.assertEqual(self.client.all_units(self.context), [])


class Forms(BatchSuite):
    def test_each_form_appends_in_order(self):
        forms = {
            "array": (lambda units: units, {}),
            "object": (lambda units: {"work_units": units}, {}),
            "lines": (lines, NDJSON),
            "lines that end": (lambda units: lines(units) + "\n", NDJSON),
            "lines with CR, empty ones between": (lambda units: "\r\n\n" + lines(units, "\r\n \r\n"), NDJSON),
        }
        expected = []
        for name, (form, headers) in forms.items():
            with self.subTest(name):
                given = self.units(5)
                answer = self.batch(form(given), headers)
                self.assertStatus(answer, 201)
                made = answer.json()["work_units"]
                self.assertEqual([one["payload"] for one in made], [one["payload"] for one in given])
                self.assertEqual([one["agent_id"] for one in made], [one["agent_id"] for one in given])
                expected += made
                self.assertEqual(self.client.all_units(self.context), expected)
        self.assertEqual([one["sequence"] for one in expected], list(range(1, len(expected) + 1)))
        ids = [one["id"] for one in expected]
        self.assertEqual(ids, sorted(set(ids)), "ids of the server sort in log order")

    def test_minimal_answers(self):
        answer = self.batch(self.units(3), MINIMAL)
        self.assertStatus(answer, 201)
        self.assertEqual(answer.headers.get("preference-applied"), "return=minimal")
        stored = self.client.all_units(self.context)
        self.assertEqual(answer.json(), {
            "work_units": [{key: one[key] for key in ("id", "sequence", "position")} for one in stored]})

    def test_several_contexts_and_agents_in_one(self):
        contexts = [Names.fresh("mixed") for _ in range(3)]
        given = [unit(contexts[n % 3], str(n), agent=f"a{n % 5}") for n in range(30)]
        made = self.batch(given).json()["work_units"]
        for place, context in enumerate(contexts):
            stored = self.client.all_units(context)
            self.assertEqual(stored, made[place::3])
            self.assertEqual([one["sequence"] for one in stored], list(range(1, 11)))

    def test_the_header_names_the_agent_of_all(self):
        given = [{key: value for key, value in one.items() if key != "agent_id"} for one in self.units(3)]
        self.assertStatus(self.batch(given), 400)
        made = self.batch(given, {"X-Agent-ID": "anna"}).json()["work_units"]
        self.assertEqual({one["agent_id"] for one in made}, {"anna"})
        answer = self.batch(given[:1] + self.units(1), {"X-Agent-ID": "anna"})
        self.assertStatus(answer, 400)
        self.assertEqual(answer.pointers(), ["/1/agent_id"])

    def test_a_thousand_units_and_not_one_more(self):
        self.assertStatus(self.batch(self.units(1001)), 400)
        self.assertStatus(self.batch(lines(self.units(1001)), NDJSON), 400)
        self.assertUnchanged()
        answer = self.batch(self.units(1000), MINIMAL)
        self.assertStatus(answer, 201)
        self.assertEqual([one["sequence"] for one in answer.json()["work_units"]], list(range(1, 1001)))

    def test_a_body_of_sixteen_mebibytes(self):
        given = [unit(self.context, letter * (3 * MEBIBYTE), agent="a") for letter in "abcde"]
        body = json.dumps(given)
        body += " " * (16 * MEBIBYTE - len(body))
        for form, headers in ((body, {}), (lines(given), NDJSON)):
            answer = self.batch(form, {"Content-Type": "application/json", **headers})
            self.assertStatus(answer, 201)
            self.assertEqual([one["payload"] for one in answer.json()["work_units"]], [one["payload"] for one in given])
        self.assertStatus(self.batch(body + " ", {"Content-Type": "application/json"}), 413)


class Refusals(BatchSuite):
    def test_pointers(self):
        good = unit(self.context, "good", agent="a")
        bad = {**good, "type": "NOTHING"}
        cases = [
            ([good, good, good, bad], {}, "/3/type"),
            ({"work_units": [good, bad]}, {}, "/work_units/1/type"),
            (lines([good, bad]), NDJSON, "/1/type"),
            ("\n\n" + lines([good, bad]), NDJSON, "/3/type"),
            ([good, {**good, "metadata": {"a/b~c": 1}}], {}, "/1/metadata/a~1b~0c"),
            ([good, 7], {}, "/1"),
            (lines([good]) + "\n[]", NDJSON, "/1"),
            (lines([good]) + "\n{\"type\":", NDJSON, "/1"),
            (lines([good]) + "\n" + json.dumps(good) + " x", NDJSON, "/1"),
            ({"work_units": [good], "more": 1}, {}, "/more"),
            ({"work_units": {}}, {}, "/work_units"),
            ({}, {}, "/work_units"),
            ("{\"work_units\":[],\"work_units\":[]}", {"Content-Type": "application/json"}, "/work_units"),
            ([{**good, "id": (same := uuid7())}, {**good, "id": same}], {}, "/1/id"),
            ([{**good, "expected_sequence": 1}, {**good, "expected_sequence": 1}], {}, "/1/expected_sequence"),
            ([good, {**good, "fence": {"resource_path": "a", "token": 1}}], {}, "/1/fence"),
        ]
        statuses = {"/1/expected_sequence": 412, "/1/fence": 409}
        for body, headers, pointer in cases:
            with self.subTest(str(body)[:120]):
                answer = self.batch(body, headers)
                self.assertStatus(answer, statuses.get(pointer, 400))
                self.assertEqual(answer.pointers(), [pointer])
        self.assertUnchanged()

    def test_nothing_to_append(self):
        for body, headers in (([], {}), ({"work_units": []}, {}), ("", NDJSON), ("\n \n", NDJSON)):
            self.assertStatus(self.batch(body, headers), 400, "invalid_request")
        for body in ("", "7", "\"a\"", "null", "[", "[1", "{\"work_units\":[", "[]x"):
            self.assertStatus(self.batch(body, {"Content-Type": "application/json"}), 400)
        for kind in ("text/plain", "application/jsonl", "application/x-ndjsonx"):
            self.assertStatus(self.batch("[]", {"Content-Type": kind}), 415)

    def test_a_large_payload_is_named(self):
        given = self.units(1) + [unit(self.context, "x" * (8 * MEBIBYTE + 1), agent="a")]
        answer = self.batch(given)
        self.assertStatus(answer, 413, "payload_too_large")
        self.assertEqual(answer.pointers(), ["/1/payload"])
        self.assertUnchanged()

    def test_ids_that_exist(self):
        given = self.units(3)
        for one in given:
            one["id"] = uuid7()
        first, again = self.batch(given), self.batch(given)
        self.assertStatus(first, 201)
        self.assertStatus(again, 200)
        self.assertEqual(first.json(), again.json())
        self.assertStatus(self.batch(list(reversed(given))), 200)
        self.assertStatus(self.batch(given + self.units(1)), 409, "conflict")
        self.assertStatus(self.batch([{**given[0], "payload": "other"}]), 409, "conflict")
        answer = self.batch([*given[:2], {**given[2], "metadata": {"a": "b"}}])
        self.assertStatus(answer, 409, "conflict")
        self.assertEqual(answer.pointers(), ["/2/id"])
        self.assertEqual(self.client.all_units(self.context), first.json()["work_units"])

    def test_expected_sequences_count_within_the_batch(self):
        given = self.units(3)
        for place, one in enumerate(given):
            one["expected_sequence"] = place + 1
        self.assertStatus(self.batch(given), 201)
        answer = self.batch(given)
        self.assertStatus(answer, 412, "precondition_failed")
        self.assertEqual(answer.pointers(), ["/0/expected_sequence"])


class Arriving(BatchSuite):
    """Lines are read as they arrive."""

    def head(self, framing):
        return (f"POST /workunits HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n{framing}\r\n\r\n").encode()

    def test_a_bad_line_is_refused_before_the_rest_has_come(self):
        good = json.dumps(unit(self.context, "good", agent="a"))
        for name, framing, body in (
                ("fixed", "Content-Length: 10000000", f"{good}\nnonsense\n{good}\n"),
                ("chunked", "Transfer-Encoding: chunked", f"{len(good) + 10:x}\r\n{good}\nnonsense\n\r\n")):
            with self.subTest(name), self.server.raw(5) as raw:
                answer = raw.send(self.head(framing) + body.encode()).answer()
                self.assertIsNotNone(answer, "no answer while the rest is held back")
                self.assertStatus(answer, 400)
                self.assertEqual(answer.pointers(), ["/1"])
                self.assertEqual(answer.headers.get("connection"), "close")
        self.assertUnchanged()

    def test_the_thousand_and_first_line_is_refused_at_once(self):
        body = (json.dumps(unit(self.context, "", agent="a")) + "\n") * 1001
        with self.server.raw(5) as raw:
            answer = raw.send(self.head("Content-Length: 10000000") + body.encode()).answer()
            self.assertStatus(answer, 400)

    def test_any_cut_gives_the_same(self):
        rng = random.Random(9)
        given = [unit(self.context, "p\"\\ü🦊" * rng.randrange(1, 300), agent="a") for _ in range(40)]
        body = (lines(given) + "\n").encode()
        for name in ("fixed", "chunked"):
            with self.subTest(name), self.server.raw() as raw:
                framing = f"Content-Length: {len(body)}" if name == "fixed" else "Transfer-Encoding: chunked"
                raw.send(self.head(framing))
                at = 0
                while at < len(body):
                    piece = body[at:at + rng.choice([1, 2, 7, 100, 5_000, 20_000])]
                    raw.send(piece if name == "fixed" else f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    at += len(piece)
                    if rng.random() < 0.2:
                        time.sleep(0.001)
                if name == "chunked":
                    raw.send(b"0\r\n\r\n")
                answer = raw.answer()
                self.assertStatus(answer, 201)
                self.assertEqual([one["payload"] for one in answer.json()["work_units"]], [one["payload"] for one in given])
                # The connection is good for more, of either kind.
                raw.send(self.head(f"Content-Length: {len(body)}") + body)
                self.assertStatus(raw.answer(), 201)

    def test_a_body_that_never_ends_appends_nothing(self):
        with self.server.raw() as raw:
            raw.send(self.head("Content-Length: 1000000") + (json.dumps(unit(self.context, "x", agent="a")) + "\n").encode() * 10)
            time.sleep(0.05)
        self.assertUnchanged()


class Memory(BatchSuite):
    def test_a_refused_batch_leaves_nothing_behind(self):
        """Drafts of a body of 16 MiB take three times its room: idle connections must not hold them."""
        pairs = ",".join(f'"{n}":""' for n in range(64))
        relationship = f'{{"target_id":"{uuid7()}","type":1,"metadata":{{{pairs}}}}}'
        one = json.dumps(unit(self.context, "", agent="a"))[:-1] + ',"relationships":[' + ",".join([relationship] * 256) + "]}"
        count = 15 * MEBIBYTE // len(one)
        body = f"[{','.join([one] * count)},{{}}]".encode()
        # The first few go through receive buffers and heap that were never touched, on both loops.
        for _ in range(6):
            with self.server.client(60) as client:
                self.assertStatus(client.post(body, {"Content-Type": "application/json"}, path="/workunits"), 400)
        before = self.server.rss_bytes()
        clients = [self.server.client(60) for _ in range(5)]
        for client in clients:
            self.assertStatus(client.post(body, {"Content-Type": "application/json"}, path="/workunits"), 400)
        self.assertLess(self.server.rss_bytes() - before, 128 * MEBIBYTE)
        for client in clients:
            client.close()


class BatchWriter(threading.Thread):
    """Posts batches until the server goes; knows which were acknowledged."""

    def __init__(self, server, context, seed):
        super().__init__(daemon=True)
        self.server, self.context, self.random = server, context, random.Random(seed)
        self.acknowledged, self.sent, self.refused = [], [], None

    def run(self):
        try:
            with self.server.client(30) as client:
                while True:
                    count, name = self.random.choice([2, 10, 100, 300]), uuid7()
                    self.sent.append((name, count))
                    size = self.random.choice([10, 300, 1000, 5000])
                    answer = client.post(
                        [unit(self.context, f"{name} {n} {count} " + "x" * size, agent="a") for n in range(count)],
                        MINIMAL, path="/workunits")
                    if answer.status == 503:
                        return
                    if answer.status != 201:
                        self.refused = answer
                        return
                    self.acknowledged.append(name)
        except OSError:
            return
        except Exception as error:  # a half-read answer
            self.lost = error


class AllOrNothing(unittest.TestCase):
    def test_a_batch_is_all_there_or_not_at_all(self):
        kills = Options.kills or (100 if Options.full else 4)
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        acknowledged, contexts, checked, whole = set(), [Names.fresh("whole") for _ in range(4)], [0] * 4, {}
        with Server() as server:
            for turn in range(kills):
                writers = [BatchWriter(server, context, rng.random()) for context in contexts]
                for writer in writers:
                    writer.start()
                time.sleep(rng.choice([0.1, 0.3, 0.6]))
                server.kill()
                for writer in writers:
                    writer.join(60)
                    self.assertIsNone(writer.refused, f"seed {seed}: {writer.refused}")
                    acknowledged |= set(writer.acknowledged)
                server.start()
                with server.client(60) as client:
                    for place, context in enumerate(contexts):
                        units, after = [], checked[place]
                        while page := client.listing(context, after=after, limit=1000)["work_units"]:
                            units += page
                            after = page[-1]["sequence"]
                        checked[place] = after
                        for one in units:
                            name, n, count, _ = one["payload"].split(" ", 3)
                            found = whole.setdefault(name, (int(count), []))
                            found[1].append((int(n), one["sequence"]))
                for name, (count, parts) in whole.items():
                    label = f"kill {turn + 1}, seed {seed}: batch {name}: "
                    self.assertEqual([n for n, _ in parts], list(range(count)), label + "not whole, or not in order")
                    self.assertEqual(
                        [sequence for _, sequence in parts], list(range(parts[0][1], parts[0][1] + count)),
                        label + "its units are not neighbours")
                self.assertLessEqual(acknowledged, whole.keys(), f"kill {turn + 1}, seed {seed}: acknowledged batches are lost")
            total = sum(count for count, _ in whole.values())
            self.assertGreater(len(acknowledged), kills)
            self.assertEqual(server.terminate(), 0)
        print(f"     {kills} kills, {len(whole)} batches, {len(acknowledged)} acknowledged, {total} units: each whole", flush=True)
