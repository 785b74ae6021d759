"""The graph around a unit: `GET /workunit/{id}/relationships` and `POST /search/relationships`, against a walk through all
units that were posted."""

import json
import random
import socket
import unittest

from harness import Names, Server, unit, uuid7

TYPES = ["SEQUENTIAL", "CAUSES", "DEPENDS_ON", "REFERENCES", "RESPONDS_TO", "MODIFIES", "REPLACES"]
EDGES_MAX = 100_000


def to(target, kind="CAUSES", **metadata):
    """A relationship as it is posted, and as it comes back."""
    return {"target_id": target["id"] if isinstance(target, dict) else target, "type": kind, "metadata": metadata}


def edges(units, near, direction):
    """What one unit names, then what names it, oldest first."""
    found = []
    if direction != "incoming" and near in units:
        found += [(one["target_id"], one, "outgoing") for one in units[near]["relationships"]]
    if direction != "outgoing":
        found += [
            (other["id"], one, "incoming") for other in units.values() for one in other["relationships"]
            if one["target_id"] == near]
    return found


def walk(units, root, direction="both", types=(), depth=1, limit=100, wanted=None):
    """The answer, worked out from all units by id, in the order of the log."""
    results, seen, frontier = [], {root}, [root]
    for distance in range(1, depth + 1):
        reached = []
        for near in frontier:
            for other, one, way in edges(units, near, direction):
                if (types and one["type"] not in types) or other in seen:
                    continue
                seen.add(other)
                if other not in units:
                    continue
                reached.append(other)
                if all(units[other]["metadata"].get(name) == value for name, value in (wanted or {}).items()):
                    results.append({
                        "work_unit": units[other], "distance": distance,
                        "relationship": {"type": one["type"], "metadata": one["metadata"], "direction": way}})
        frontier = reached
    return results[:limit]


class Graph(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(lambda: self.client.close())
        self.context = Names.fresh("graph")

    def post(self, *relationships, client=None, context=None, **more):
        return (client or self.client).create(unit(context or self.context, relationships=list(relationships), **more))

    def around(self, root, query="", client=None):
        answer = (client or self.client).get(f"/workunit/{root['id']}/relationships{query}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def search(self, root, **body):
        answer = self.client.request("POST", "/search/relationships", {"target_id": root["id"]} | body)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def seen(self, answer):
        return [(one["work_unit"]["id"], one["distance"]) for one in answer["results"]]

    # -- what is answered ----------------------------------------------------------------------------------------------

    def test_every_type_comes_back_with_its_metadata_from_both_ends(self):
        root = self.post()
        metadata = [{}, {"why": "é \"quoted\" \\ \n"}, {"a": "1", "b": "2"}, {"{\"x\":[": "]}"}, {"日本": "語 🦊"}, {"": ""}, {"k": "v" * 4096}]
        sources = [self.post(to(root, kind, **pairs), payload=f"{kind} ],\"relationships\":[{{") for kind, pairs in zip(TYPES, metadata)]
        answer = self.around(root)
        self.assertEqual(answer, {"partial": False, "results": [
            {"work_unit": one, "relationship": {"type": kind, "metadata": pairs, "direction": "incoming"}, "distance": 1}
            for one, kind, pairs in zip(sources, TYPES, metadata)]})
        for one, kind, pairs in zip(sources, TYPES, metadata):
            self.assertEqual(self.around(one)["results"], [
                {"work_unit": root, "relationship": {"type": kind, "metadata": pairs, "direction": "outgoing"}, "distance": 1}])
        for number, (kind, one) in enumerate(zip(TYPES, sources), 1):
            for spelled in (kind, number):
                self.assertEqual(self.seen(self.around(root, f"?type={spelled}")), [(one["id"], 1)])
                self.assertEqual(self.seen(self.search(root, relationship_types=[spelled])), [(one["id"], 1)])
        self.assertEqual(
            self.seen(self.around(root, "?type=CAUSES&type=7&type=CAUSES")), [(sources[1]["id"], 1), (sources[6]["id"], 1)])

    def test_direction_depth_and_limit(self):
        chain = [self.post()]
        for _ in range(12):
            chain.append(self.post(to(chain[-1], "RESPONDS_TO"), context=Names.fresh("graph")))
        middle = chain[6]
        ids = [one["id"] for one in chain]
        self.assertEqual(self.seen(self.around(middle, "?direction=outgoing&depth=3")), [(ids[5], 1), (ids[4], 2), (ids[3], 3)])
        self.assertEqual(self.seen(self.around(middle, "?direction=incoming&depth=2")), [(ids[7], 1), (ids[8], 2)])
        self.assertEqual(self.seen(self.around(middle)), [(ids[5], 1), (ids[7], 1)])
        self.assertEqual(self.seen(self.around(middle, "?direction=both&depth=2&limit=3")), [(ids[5], 1), (ids[7], 1), (ids[4], 2)])
        self.assertEqual(self.seen(self.around(chain[0], "?depth=10")), [(one, n) for n, one in enumerate(ids) if 1 <= n <= 10])
        self.assertEqual(self.around(chain[0], "?direction=outgoing"), {"results": [], "partial": False})

    def test_cycles_and_edges_to_oneself_and_edges_twice(self):
        first, second, third = uuid7(), uuid7(), uuid7()
        self.post(to(second, "CAUSES", n="1"), to(first, "MODIFIES"), to(second, "REPLACES", n="2"), id=first)
        self.post(to(third), id=second)
        self.post(to(first), to(third), id=third)
        root = {"id": first}
        for depth in (3, 10):
            self.assertEqual(self.seen(self.around(root, f"?direction=outgoing&depth={depth}")), [(second, 1), (third, 2)])
        answer = self.around(root, "?depth=10")
        self.assertEqual(self.seen(answer), [(second, 1), (third, 1)])
        self.assertEqual(answer["results"][0]["relationship"], {"type": "CAUSES", "metadata": {"n": "1"}, "direction": "outgoing"})

    def test_a_target_that_comes_later_is_found_once_it_is_there(self):
        later, never = uuid7(), uuid7()
        root = self.post(to(later, "CAUSES", told="before"), to(never))
        beyond = self.post(to(later, "REFERENCES"))
        self.assertEqual(self.around(root, "?depth=3")["results"], [])
        made = self.post(id=later, context=Names.fresh("graph"))
        self.assertEqual(self.around(root, "?depth=3")["results"], [
            {"work_unit": made, "relationship": {"type": "CAUSES", "metadata": {"told": "before"}, "direction": "outgoing"}, "distance": 1},
            {"work_unit": beyond, "relationship": {"type": "REFERENCES", "metadata": {}, "direction": "incoming"}, "distance": 2}])
        self.assertEqual(self.seen(self.around(made)), [(root["id"], 1), (beyond["id"], 1)])

    def test_filters_on_units_let_the_walk_through(self):
        root = self.post()
        red = self.post(to(root), metadata={"colour": "red", "n": "1"})
        blue = self.post(to(root), metadata={"colour": "blue", "n": "1"})
        behind = self.post(to(blue), metadata={"colour": "red", "n": "1"})
        for name in ("meta_filters", "metadata"):
            self.assertEqual(self.seen(self.search(root, depth=3, **{name: {"colour": "red"}})), [(red["id"], 1), (behind["id"], 2)])
            self.assertEqual(self.seen(self.search(root, depth=3, **{name: {"colour": "blue", "n": "1"}})), [(blue["id"], 1)])
            self.assertEqual(self.seen(self.search(root, depth=3, **{name: {"colour": "blue", "n": "2"}})), [])
            self.assertEqual(self.seen(self.search(root, depth=3, limit=1, **{name: {"n": "1"}})), [(red["id"], 1)])

    def test_what_was_just_posted_is_there_on_any_connection(self):
        root = self.post()
        others = [self.server.client() for _ in range(4)]
        for other in others:
            self.addCleanup(other.close)
        for n in range(200):
            near = self.post(to(root), client=others[n % 4])
            found = self.around(root, "?limit=1000", client=others[(n + 1) % 4])
            self.assertEqual((len(found["results"]), found["results"][-1]["work_unit"]), (n + 1, near))

    def test_batches_name_each_other(self):
        ids = [uuid7() for _ in range(300)]
        batch = [unit(self.context, id=one, relationships=[to(ids[(n + 1) % 300], "SEQUENTIAL")]) for n, one in enumerate(ids)]
        self.assertEqual(self.client.request("POST", "/workunits", batch).status, 201)
        self.assertEqual(
            self.seen(self.around({"id": ids[0]}, "?direction=outgoing&depth=10")), [(ids[n], n) for n in range(1, 11)])
        self.assertEqual(
            self.seen(self.around({"id": ids[0]}, "?depth=2")), [(ids[1], 1), (ids[299], 1), (ids[2], 2), (ids[298], 2)])

    # -- forms -----------------------------------------------------------------------------------------------------------

    def test_head_is_get_without_the_body(self):
        root = self.post()
        self.post(to(root), payload="x" * 50_000)
        path = f"/workunit/{root['id']}/relationships?depth=2"
        whole, head = self.client.get(path), self.client.request("HEAD", path)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], str(len(whole.body)))
        self.assertEqual(self.client.get("/v1" + path).body, whole.body)

    def test_what_is_not_understood_is_refused_with_its_place(self):
        root = self.post()
        path = f"/workunit/{root['id']}/relationships"
        for query, pointer in [
                ("depth=0", "/depth"), ("depth=11", "/depth"), ("depth=x", "/depth"), ("depth=1&depth=1", "/depth"),
                ("depth=-1", "/depth"), ("depth=", "/depth"), ("depth=1.0", "/depth"), ("depth=99999999999999999999", "/depth"),
                ("limit=0", "/limit"), ("limit=1001", "/limit"), ("limit=%00", "/limit"),
                ("direction=up", "/direction"), ("direction=", "/direction"), ("direction=BOTH", "/direction"),
                ("direction=both&direction=both", "/direction"),
                ("type=0", "/type"), ("type=8", "/type"), ("type=causes", "/type"), ("type=MESSAGE", "/type"), ("type=", "/type"),
                ("type=CAUSES&type=nothing", "/type"), ("cursor=", "/cursor"), ("metadata.a=b", "/metadata.a"), ("x=1", "/x")]:
            with self.subTest(query=query):
                answer = self.client.get(f"{path}?{query}")
                self.assertEqual((answer.status, answer.pointers()), (400, [pointer]), answer)
        for bad in ("x", "%00", root["id"][:-1], root["id"] + "0", "00000000-0000-4000-8000-000000000000"):
            self.assertEqual(self.client.get(f"/workunit/{bad}/relationships").status, 400, bad)
        self.assertEqual(self.client.get(f"/workunit/{uuid7()}/relationships").status, 404)
        for body, pointer in [
                ({}, "/target_id"), ({"target_id": 1}, "/target_id"), ({"target_id": "x"}, "/target_id"),
                ({"depth": 0}, "/depth"), ({"depth": "1"}, "/depth"), ({"depth": 1.5}, "/depth"), ({"depth": None}, "/depth"),
                ({"limit": 1001}, "/limit"), ({"limit": []}, "/limit"), ({"direction": "in"}, "/direction"),
                ({"relationship_types": "CAUSES"}, "/relationship_types"), ({"relationship_types": ["X"]}, "/relationship_types/0"),
                ({"relationship_types": [1, 8]}, "/relationship_types/1"), ({"relationship_types": [1] * 65}, "/relationship_types"),
                ({"meta_filters": {"a": 1}}, "/meta_filters/a"), ({"meta_filters": "a"}, "/meta_filters"),
                ({"meta_filters": {}, "metadata": {}}, "/metadata"), ({"cursor": ""}, "/cursor"), ({"type": "CAUSES"}, "/type")]:
            with self.subTest(body=body):
                whole = {"target_id": root["id"]} | body if body else body
                answer = self.client.request("POST", "/search/relationships", whole)
                self.assertEqual((answer.status, answer.pointers()), (400, [pointer]), answer)
        for body in ("", "[]", "{", "null", '{"target_id":"\\ud800"}', "\x00"):
            self.assertEqual(self.client.request("POST", "/search/relationships", body).status, 400, body)
        good = json.dumps({"target_id": root["id"]})
        self.assertEqual(self.client.request("POST", "/search/relationships?x=1", good).status, 400)
        self.assertEqual(self.client.request("POST", "/search/relationships", good, {"Content-Type": "text/plain"}).status, 415)
        answer = self.client.request("POST", "/search/relationships", {"target_id": uuid7()})
        self.assertEqual((answer.status, answer.json()["code"]), (404, "not_found"))
        for method, path in (("POST", path), ("GET", "/search/relationships"), ("PUT", "/search/relationships")):
            answer = self.client.request(method, path)
            self.assertEqual((answer.status, "allow" in answer.headers), (405, True), f"{method} {path}")

    # -- limits --------------------------------------------------------------------------------------------------------------

    def test_a_hundred_thousand_edges_end_in_a_part(self):
        root, names = self.post(), []
        batch = []
        for n in range(400):
            names.append(uuid7())
            batch.append(unit(self.context, id=names[-1], relationships=[to(root, TYPES[n % 7])] * 256))
            if len(batch) == 50:
                self.assertEqual(self.client.request("POST", "/workunits", batch, {"Prefer": "return=minimal"}).status, 201)
                batch = []
        self.assertGreater(400 * 256, EDGES_MAX)
        answer = self.around(root, "?limit=1000&depth=10")
        self.assertTrue(answer["partial"])
        self.assertEqual(self.seen(answer), [(one, 1) for one in names[:-(-EDGES_MAX // 256)]])
        answer = self.around(root, "?limit=100")
        self.assertEqual((answer["partial"], self.seen(answer)), (False, [(one, 1) for one in names[:100]]))

    def test_large_units_end_in_a_part(self):
        root = self.post()
        large = [self.post(to(root), payload="x" * (5 << 20)) for _ in range(5)]
        answer = self.around(root)
        self.assertTrue(answer["partial"])
        self.assertEqual(self.seen(answer), [(one["id"], 1) for one in large[:4]])
        self.assertEqual(self.around(root, "?limit=2")["partial"], False)


class RandomGraphs(unittest.TestCase):
    COUNT = 400

    def post_some(self, client, count):
        chance = self.random
        for _ in range(count):
            own = self.ids.pop(0)
            # Near ones, so that walks meet; some of them come later.
            near = [one for one in [*list(self.units)[-25:], own, *self.ids[:6], *self.never]]
            given = [
                {"target_id": chance.choice(near), "type": chance.choice(TYPES)}
                | ({"metadata": {"n": str(chance.random())}} if chance.random() < 0.5 else {})
                for _ in range(chance.choice([0, 0, 1, 1, 2, 5]))]
            made = client.create(unit(
                chance.choice(self.contexts), id=own, relationships=given, metadata={"k": chance.choice("ab"), "m": chance.choice("xyz")}))
            self.units[own] = made

    def compare(self, client, count):
        chance = self.random
        for _ in range(count):
            root = chance.choice([*self.units, *self.never[:1]])
            query = {
                "direction": chance.choice(["incoming", "outgoing", "both"]), "depth": chance.randint(1, 10),
                "limit": chance.choice([1, 3, 20, 1000]), "types": chance.sample(TYPES, chance.choice([0, 0, 1, 3, 6]))}
            wanted = {name: chance.choice(values) for name, values in (("k", "ab"), ("m", "xyz")) if chance.random() < 0.2}
            parameters = f"?direction={query['direction']}&depth={query['depth']}&limit={query['limit']}" + "".join(
                f"&type={one}" for one in query["types"])
            with self.subTest(seed=self.seed, root=root, wanted=wanted, **query):
                asked = client.get(f"/workunit/{root}/relationships{parameters}")
                body = {"target_id": root, "relationship_types": query["types"]} | {
                    name: query[name] for name in ("direction", "depth", "limit")}
                same = client.request("POST", "/search/relationships", body)
                filtered = client.request("POST", "/search/relationships", body | {"meta_filters": wanted})
                if root not in self.units:
                    self.assertEqual((asked.status, same.status, filtered.status), (404, 404, 404))
                    continue
                self.assertEqual(asked.json(), {"results": walk(self.units, root, **query), "partial": False})
                self.assertEqual(same.body, asked.body)
                self.assertEqual(filtered.json()["results"], walk(self.units, root, wanted=wanted, **query))

    def test_walks_are_what_all_units_say_also_after_kills(self):
        self.seed = random.randrange(1 << 32)
        print(f"graph: seed {self.seed}")
        self.random = random.Random(self.seed)
        self.units, self.contexts = {}, [Names.fresh("graph") for _ in range(4)]
        self.ids, self.never = [uuid7() for _ in range(self.COUNT)], [uuid7() for _ in range(3)]
        with Server(loops=2) as server:
            with server.client() as client:
                self.post_some(client, self.COUNT // 2)
                self.compare(client, 120)
            for ends in (server.kill, server.terminate):
                ends()
                server.start()
                with server.client() as client:
                    self.compare(client, 60)
                    self.post_some(client, self.COUNT // 4)
                    self.compare(client, 60)


class Flood(unittest.TestCase):
    """More walks at once than there are threads for, each of many relationships."""

    HUB, FLOOD = 20_000, 600

    def test_other_requests_and_the_end_do_not_wait_for_walks(self):
        with Server() as server:
            with server.client() as client:
                root = client.create(unit(context=Names.fresh("hub")))
                spoke = unit(context=Names.fresh("spokes"), relationships=[to(root)])
                for _ in range(self.HUB // 1000):
                    self.assertEqual(client.request("POST", "/workunits", [spoke] * 1000).status, 201)
            body = json.dumps({"target_id": root["id"], "limit": 1000, "meta_filters": {"no": "such"}}).encode()
            head = f"POST /search/relationships HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            walkers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(self.FLOOD)]
            for walker in walkers:
                walker.sendall(head.encode() + body)
            # Those that find no room are refused at once, and nobody else is.
            walkers[-1].settimeout(30)
            self.assertIn(b" 503 ", walkers[-1].recv(4096))
            with server.client() as client:
                self.assertEqual(client.get(f"/workunit/{root['id']}").status, 200)
                client.create(unit(context=Names.fresh("other")))
            for walker in walkers:
                walker.close()
            # Fails if the server takes longer to end.
            server.terminate()
