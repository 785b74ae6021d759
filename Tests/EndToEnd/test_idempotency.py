"""Safe retries: a request is appended once, however often and whenever it is sent."""

import http.client
import json
import random
import threading
import time
import unittest

from harness import Names, Options, Server, unit, uuid7
from test_units import UnitSuite

NDJSON = {"Content-Type": "application/x-ndjson"}


def key(name):
    return {"Idempotency-Key": name}


class Keys(UnitSuite):
    def test_the_stored_success_is_answered_again(self):
        given, name = unit(self.context, "once", agent="anna"), uuid7()
        first, again = self.client.post(given, key(name)), self.client.post(given, key(name))
        self.assertStatus(first, 201)
        self.assertStatus(again, 201)
        self.assertEqual(first.body, again.body)
        minimal = self.client.post(given, {**key(name), "Prefer": "return=minimal"})
        made = first.json()["work_unit"]
        self.assertEqual(minimal.json(), {member: made[member] for member in ("id", "sequence", "position")})
        self.assertEqual(self.client.all_units(self.context), [made])

    def test_batches_of_every_form(self):
        units = [unit(self.context, str(n), agent="anna") for n in range(5)]
        forms = [(units, {}), ({"work_units": units}, {}), ("\n".join(json.dumps(one) for one in units), NDJSON)]
        for place, (body, headers) in enumerate(forms):
            with self.subTest(place):
                headers = {**headers, **key(f"{self.context}-{place}")}
                first, again = (self.client.post(body, headers, path="/workunits") for _ in range(2))
                self.assertStatus(first, 201)
                self.assertEqual((first.status, first.body), (again.status, again.body))
        self.assertEqual(len(self.client.all_units(self.context)), 15)

    def test_another_body_or_path_is_a_mismatch(self):
        given, name = unit(self.context, "one", agent="anna"), uuid7()
        self.assertStatus(self.client.post(given, key(name)), 201)
        self.assertStatus(self.client.post({**given, "payload": "two"}, key(name)), 422, "idempotency_mismatch")
        self.assertStatus(self.client.post(given, key(name), path="/workunits"), 400)
        self.assertStatus(self.client.post([given], key(name), path="/workunits"), 422, "idempotency_mismatch")
        self.assertStatus(self.client.post(given, key(name), path="/v1/workunit"), 201)
        self.assertEqual(len(self.client.all_units(self.context)), 1)

    def test_keys_are_an_agents_own(self):
        name = uuid7()
        body = {"context_id": self.context, "type": 1, "payload": "x"}
        answers = [self.client.post(body, {**key(name), "X-Agent-ID": agent}) for agent in ("a", "b", "a")]
        ids = [answer.json()["work_unit"]["id"] for answer in answers]
        self.assertEqual(ids[0], ids[2])
        self.assertNotEqual(ids[0], ids[1])

    def test_what_a_key_may_be(self):
        given = unit(self.context, "x", agent="anna")
        for name in ("x", "a b", "\"quoted\"", "k" * 128):
            self.assertStatus(self.client.post(given, key(name)), 201)
        for name in ("", "k" * 129):
            self.assertStatus(self.client.post(given, key(name)), 400, "invalid_request")
        with self.server.raw() as raw:
            body = json.dumps(given)
            head = f"POST /workunit HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            twice = "Idempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n"
            self.assertStatus(raw.send((head + twice + body).encode()).answer(), 400)

    def test_a_refused_request_keeps_nothing(self):
        name = uuid7()
        self.assertStatus(self.client.post({**unit(self.context, "x"), "expected_sequence": 9}, key(name)), 412)
        self.assertStatus(self.client.post(unit(self.context, "y"), key(name)), 201)

    def test_the_order_of_checks(self):
        """Key, then id, then fence, then expected sequence."""
        given = {**unit(self.context, "x", id=uuid7()), "expected_sequence": 1}
        name = uuid7()
        made = self.client.post(given, key(name))
        self.assertStatus(made, 201)
        fenced = {**given, "fence": {"resource_path": "a", "token": 1}}
        self.assertStatus(self.client.post(given, key(name)), 201)
        self.assertStatus(self.client.post(fenced, key(name)), 422)
        self.assertStatus(self.client.post(fenced), 200)
        self.assertStatus(self.client.post({**fenced, "id": uuid7()}), 409, "fence_rejected")
        self.assertStatus(self.client.post({**fenced, "payload": "y"}), 409, "conflict")
        self.assertStatus(self.client.post({**given, "id": uuid7()}), 412, "precondition_failed")

    def test_duplicates_in_flight_wait_for_the_first(self):
        for turn in range(200 if Options.full else 30):
            given, name, answers = unit(self.context, f"turn {turn}", agent="a"), uuid7(), []
            barrier = threading.Barrier(8)

            def post():
                with self.server.client() as client:
                    barrier.wait(10)
                    answers.append(client.post(given, key(name)))

            threads = [threading.Thread(target=post) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            self.assertEqual({(answer.status, answer.body) for answer in answers}, {(201, answers[0].body)})
            self.assertEqual(len(answers), 8)
        units = self.client.all_units(self.context)
        self.assertEqual(len(units), len({one["payload"] for one in units}))

    def test_a_key_is_found_after_restart_and_kill(self):
        with Server() as server:
            given, name = unit("c", "once", agent="a"), uuid7()
            with server.client() as client:
                first = client.post(given, key(name))
            for end in (server.kill, server.terminate, server.kill):
                end()
                server.start()
                with server.client() as client:
                    self.assertEqual(client.post(given, key(name)).body, first.body)
                    self.assertStatus(client.post({**given, "payload": "y"}, key(name)), 422)
                    self.assertEqual(len(client.all_units("c")), 1)


class Unsure(threading.Thread):
    """A client that never knows whether its first try worked, and tries until it is told."""

    def __init__(self, box, number, count, seed):
        super().__init__(daemon=True)
        self.box, self.number, self.count, self.random = box, number, count, random.Random(seed)
        self.context = f"unsure-{number}"
        self.done, self.tries, self.wrong = {}, 0, None

    def requests(self, n):
        """Path, body, headers, payloads: with a key or with ids, one unit or some."""
        name = f"{self.number}-{n}"
        kind = self.random.randrange(3)
        if kind == 0:
            return "/workunit", unit(self.context, name, agent="a"), key(name), [name]
        if kind == 1:
            return "/workunit", unit(self.context, name, agent="a", id=uuid7()), {}, [name]
        names = [f"{name}.{part}" for part in range(self.random.randrange(2, 6))]
        return "/workunits", [unit(self.context, one, agent="a") for one in names], key(name), names

    def run(self):
        for n in range(self.count):
            path, body, headers, names = self.requests(n)
            tell = None
            while tell is None:
                if self.box["over"]:
                    return
                self.tries += 1
                tell = self.attempt(path, body, headers)
            units = tell.get("work_units") or [tell["work_unit"]]
            for name, one in zip(names, units, strict=True):
                self.done[name] = one["id"]

    def attempt(self, path, body, headers):
        try:
            with self.box["server"].client(5) as client:
                if self.random.random() < 0.3:
                    # Sends, and hangs up before it could learn anything.
                    client.connection.request(
                        "POST", path, json.dumps(body), {**headers, "Content-Type": "application/json"})
                    time.sleep(self.random.choice([0, 0.0005, 0.002]))
                    return None
                answer = client.post(body, headers, path=path)
        except (OSError, http.client.HTTPException):
            time.sleep(0.005)
            return None
        if answer.status in (200, 201):
            return answer.json()
        if answer.status not in (503, 507):
            self.wrong = answer
            self.box["over"] = True
        time.sleep(0.01)
        return None


class Retries(unittest.TestCase):
    def test_every_unit_once_across_kills(self):
        kills = Options.kills or (50 if Options.full else 4)
        each = 1250 if Options.full else 150
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        with Server() as server:
            box = {"server": server, "over": False}
            clients = [Unsure(box, number, each, rng.random()) for number in range(8)]
            for client in clients:
                client.start()
            for _ in range(kills):
                time.sleep(rng.uniform(0.05, 0.5))
                server.kill()
                server.start()
            for client in clients:
                client.join(600)
                self.assertIsNone(client.wrong, f"seed {seed}: {client.wrong}")
                self.assertFalse(client.is_alive(), f"seed {seed}: a client is never told")
            for _ in range(2):
                with server.client(60) as client:
                    for unsure in clients:
                        units = client.all_units(unsure.context)
                        found = [one["payload"] for one in units]
                        self.assertEqual(len(found), len(set(found)), f"seed {seed}: a unit is there twice")
                        self.assertEqual({one["payload"]: one["id"] for one in units}, unsure.done, f"seed {seed}")
                server.kill()
                server.start()
        tries = sum(client.tries for client in clients)
        asked = sum(client.count for client in clients)
        print(f"     {kills} kills, {asked} requests, {tries} tries: every unit once", flush=True)
