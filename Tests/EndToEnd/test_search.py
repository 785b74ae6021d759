"""Search over HTTP: what was posted is found, by words and by what it is, whatever becomes of the index's files."""

import json
import os
import random
import re
import threading
import time
import unittest

from harness import Names, Options, Server, http_request, unit, until

WAIT = {"wait_seconds": 30}


def search(client, query=None, **more):
    """A search's answer, which must be a 200."""
    body = more if query is None else {"query": query, **more}
    answer = client.request("POST", "/search", body)
    assert answer.status == 200, (body, answer)
    return answer.json()


def payloads(page):
    return [result["work_unit"]["payload"] for result in page["results"]]


def ids(page):
    return [result["work_unit"]["id"] for result in page["results"]]


def last_position(units):
    return max(one["position"] for one in units)


def caught_up(client, position):
    """Everything up to a position can be found, and nothing is being built."""
    answer = client.request("POST", "/search", {"limit": 1, "min_position": position, **WAIT})
    if answer.status == 503:  # The index is being opened.
        return False
    page = answer.json()
    return answer.status == 200 and page["indexed_position"] >= position and not page["partial"]


def everything(client, query=None, limit=100, **more):
    """All pages of a query."""
    found, cursor = [], None
    while cursor != "":
        page = search(client, query, limit=limit, **more, **({"cursor": cursor} if cursor else {}))
        assert not page["partial"], page
        found += page["results"]
        cursor = page["next_cursor"]
    return found


class SearchSuite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=2)
        cls.addClassCleanup(cls.server.discard)

    def setUp(self):
        self.client = self.server.client(60)
        self.addCleanup(lambda: self.client.close())
        self.context = Names.fresh("search")

    def post(self, *payloads, **more):
        units = [self.client.create(unit(self.context, payload, **more)) for payload in payloads]
        self.position = last_position(units)
        return units

    def found(self, query=None, **more):
        """What is found in this test's context, read after write."""
        return search(self.client, query, **({"context_id": self.context, "min_position": self.position, **WAIT} | more))


class Words(SearchSuite):
    def test_a_word(self):
        units = self.post("The quick brown fox", "jumps over", "the lazy dog")
        page = self.found("fox")
        self.assertEqual(set(page), {"results", "total_count", "total_is_exact", "next_cursor", "indexed_position", "partial"})
        self.assertEqual(page["results"][0]["work_unit"], units[0])
        self.assertEqual((page["total_count"], page["total_is_exact"], page["next_cursor"], page["partial"]), (1, True, "", False))
        self.assertGreaterEqual(page["indexed_position"], self.position)
        self.assertIsNone(page["results"][0]["highlight"])
        self.assertGreater(page["results"][0]["score"], 0)
        self.assertEqual(payloads(self.found("THE")), ["the lazy dog", "The quick brown fox"])
        self.assertEqual(payloads(self.found("the fox")), ["The quick brown fox"])
        self.assertEqual(payloads(self.found("fox dog")), [])
        self.assertEqual(payloads(self.found('"quick brown"')), ["The quick brown fox"])
        self.assertEqual(payloads(self.found('"brown quick"')), [])
        self.assertEqual(payloads(self.found("jum*")), ["jumps over"])
        self.assertEqual(payloads(self.found("the -dog")), ["The quick brown fox"])
        self.assertEqual(payloads(self.found("-the")), ["jumps over"])
        self.assertEqual(payloads(self.found("unheard")), [])

    def test_the_ways_people_write(self):
        for text, queries in (
                ("我在北京工作", ["北京", "工作"]), ("東京タワーに行く", ["東京タワー", "タワー"]), ("go build ./...", ["go"]),
                ("written in C++", ["C++"]), ("def snake_case_name():", ["snake_case_name", "snake"]),
                ("cat /etc/hosts", ["/etc/hosts", "hosts"]), ("un café noir", ["café", "cafe", "CAFÉ"]),
                ("failed with E1234", ["E1234", "e1234"]), ("getUserName(a.b.c)", ["getUserName", "a.b.c"]),
                ("ภาษาไทยง่าย", ["ไทย"]), ("한국어 문서", ["한국어"]), ("Привет, мир", ["привет"])):
            self.context = Names.fresh("writing")
            self.post("something else entirely", text)
            for query in queries:
                with self.subTest(text=text, query=query):
                    self.assertEqual(payloads(self.found(query)), [text])

    def test_relevance_and_recency(self):
        self.post("apple pear", "apple apple apple", "apple", "pear")
        best = self.found("apple")
        self.assertEqual(best["results"][0]["work_unit"]["payload"], "apple apple apple")
        scores = [result["score"] for result in best["results"]]
        self.assertEqual(scores, sorted(scores, reverse=True))
        recent = self.found("apple", order="recent")
        self.assertEqual(payloads(recent), ["apple", "apple apple apple", "apple pear"])
        self.assertEqual({result["score"] for result in recent["results"]}, {0})
        self.assertEqual(payloads(self.found()), ["pear", "apple", "apple apple apple", "apple pear"], "no words: newest first")
        self.assertEqual(payloads(self.found(" \t", order="relevance")), payloads(self.found()))
        self.assertEqual(payloads(self.found("+++")), [])

    def test_equal_scores_the_newest_first(self):
        units = self.post(*["same words here"] * 10)
        self.assertEqual(ids(self.found("words")), [one["id"] for one in reversed(units)])

    def test_highlights(self):
        text = "filler " * 100 + "the <b>needle</b> in \"quotes\" & more " + "filler " * 100
        self.post(text)
        page = self.found("needle quotes", highlight=True)
        mark = page["results"][0]["highlight"]
        self.assertIn("<b><mark>needle</mark></b> in \"<mark>quotes</mark>\" & more", mark)
        plain = mark.replace("<mark>", "").replace("</mark>", "")
        self.assertIn(plain, text)
        self.assertLess(len(plain), 300)
        self.assertEqual(payloads(page), [text])
        self.assertIsNone(self.found(highlight=True)["results"][0]["highlight"])
        self.post("nothing", metadata={"note": "a needle of another kind"})
        page = self.found("kind", highlight=True)
        self.assertEqual(page["results"][0]["highlight"], "a needle of another <mark>kind</mark>")

    def test_payloads_that_are_no_text(self):
        self.post(b"secret words \xff", metadata={"title": "visible title"})
        self.assertEqual(self.found("secret")["total_count"], 0)
        self.assertEqual(self.found("c2VjcmV0")["total_count"], 0)
        self.assertEqual(self.found("visible", highlight=True)["results"][0]["highlight"], "<mark>visible</mark> title")
        self.assertEqual(self.found(metadata={"title": "visible title"})["total_count"], 1)


class Filters(SearchSuite):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contexts = [Names.fresh("filter") for _ in range(3)]
        cls.units = []
        chance = random.Random(5)
        words = ["alpha", "beta", "gamma", "delta"]
        with cls.server.client(60) as client:
            for _ in range(240):
                cls.units.append(client.create(unit(
                    chance.choice(cls.contexts), " ".join(chance.sample(words, 2)), agent=chance.choice(["ann", "bob", "eve"]),
                    kind=chance.choice(["MESSAGE", "TOOL_CALL", "ERROR"]),
                    metadata={"lang": chance.choice(["swift", "c"]), "stage": chance.choice(["1", "2", "3"])})))
            assert caught_up(client, last_position(cls.units))

    @staticmethod
    def matches(one, ask):
        return (
            all(word in one["payload"].split() for word in ask.get("query", "").split())
            and one["context_id"] in ask.get("context_ids", [ask.get("context_id", one["context_id"])])
            and one["agent_id"] in ask.get("agent_ids", [one["agent_id"]])
            and one["type"] in ask.get("types", [one["type"]])
            and all(one["metadata"].get(key) == value for key, value in ask.get("metadata", {}).items())
            and ask.get("since", "") <= one["timestamp"] < ask.get("until", "9"))

    def check(self, ask):
        expected = [one["id"] for one in reversed(self.units) if self.matches(one, ask)]
        # What other tests have posted is in other contexts.
        scope = {} if "context_id" in ask or "context_ids" in ask else {"context_ids": self.contexts}
        page = search(self.client, **ask, **scope, order="recent", limit=1000)
        self.assertEqual(ids(page), expected, ask)
        self.assertEqual((page["total_count"], page["total_is_exact"], page["next_cursor"]), (len(expected), True, ""), ask)
        for result in page["results"]:
            self.assertIn(result["work_unit"], self.units)
        if "query" in ask:
            self.assertEqual(sorted(ids(search(self.client, **ask, **scope, limit=1000))), sorted(expected))

    def parts(self):
        return {
            "query": ["alpha", "beta gamma"], "context_id": self.contexts[:1], "context_ids": [self.contexts[:2]],
            "agent_ids": [["ann"], ["ann", "eve", "nobody"]], "types": [["ERROR"], ["MESSAGE", "TOOL_CALL"]],
            "metadata": [{"lang": "c"}, {"lang": "swift", "stage": "2"}, {"lang": "s"}],
            "since": [self.units[60]["timestamp"]], "until": [self.units[180]["timestamp"]]}

    def test_alone(self):
        for name, values in self.parts().items():
            for value in values:
                with self.subTest(name=name, value=value):
                    self.check({name: value})

    def test_together(self):
        chance = random.Random(6)
        for _ in range(200 if Options.full else 60):
            ask = {name: chance.choice(values) for name, values in self.parts().items() if chance.random() < 0.5}
            if "context_id" in ask:
                ask.pop("context_ids", None)
            with self.subTest(ask=ask):
                self.check(ask)
        self.check({name: values[-1] for name, values in self.parts().items() if name != "context_id"})

    def test_spellings(self):
        every = {"context_ids": self.contexts, "order": "recent", "limit": 1000}
        self.assertEqual(search(self.client, types=["ERROR"], **every)["results"], search(self.client, types=[7], **every)["results"])
        self.assertEqual(
            search(self.client, metadata={"lang": "c"}, **every)["results"],
            search(self.client, meta_filters={"lang": "c"}, **every)["results"])
        self.assertEqual(search(self.client, since="2999-01-01T00:00:00Z", **every)["total_count"], 0)
        self.assertEqual(search(self.client, until="1999-01-01T00:00:00Z", **every)["total_count"], 0)
        self.assertEqual(search(self.client, until="2999-01-01T00:00:00Z", **every)["total_count"], len(self.units))
        moment = self.units[100]["timestamp"]
        self.assertEqual(search(self.client, since=moment, until=moment, **every)["total_count"], 0)


class Pages(SearchSuite):
    def test_by_cursor_while_units_arrive(self):
        for order in ("recent", "relevance"):
            with self.subTest(order):
                self.context = Names.fresh("pages")
                units = self.post(*[f"common {'common ' * (n % 5)}word {n}" for n in range(60)])
                whole = self.found("common", order=order, limit=1000)
                self.assertEqual(len(whole["results"]), 60)
                seen, cursor = [], None
                while cursor != "":
                    page = self.found("common", order=order, limit=7, **({"cursor": cursor} if cursor else {}))
                    self.assertLessEqual(len(page["results"]), 7)
                    seen += ids(page)
                    cursor = page["next_cursor"]
                    self.post("common newcomer", "common common common common common common newcomer")
                self.assertEqual(seen, ids(whole))
                self.assertEqual(set(seen), {one["id"] for one in units})

    def test_by_offset(self):
        self.post(*[f"offset {n}" for n in range(30)])
        whole = ids(self.found("offset", limit=1000))
        for offset in (0, 1, 13, 29, 30, 31, 9990):
            page = self.found("offset", limit=10, offset=offset)
            self.assertEqual(ids(page), whole[offset:offset + 10], offset)
            self.assertEqual(page["total_count"], 30)
        first = self.found("offset", limit=10, offset=5)
        self.assertEqual(ids(self.found("offset", limit=10, cursor=first["next_cursor"])), whole[15:25])

    def test_cursors_of_others(self):
        self.post(*["cursor"] * 5)
        cursor = self.found("cursor", limit=2)["next_cursor"]
        self.assertTrue(re.fullmatch(r"[A-Za-z0-9_-]+", cursor), cursor)
        for change in ({"query": "other"}, {"order": "recent"}, {"types": [1]}, {"context_id": "other"}, {"cursor": cursor[:-1]},
                       {"cursor": cursor[:9] + ("A" if cursor[9] != "A" else "B") + cursor[10:]}, {"cursor": "AAAA"}, {"cursor": "!"},
                       {"since": "2001-01-01T00:00:00Z"}, {"offset": 3}):
            ask = {"query": "cursor", "context_id": self.context, "limit": 2, "cursor": cursor} | change
            answer = self.client.request("POST", "/search", ask)
            self.assertEqual((answer.status, answer.json()["code"]), (400, "invalid_request"), change)
        # Any bytes behind the right beginning are another place, or none: never a fault.
        for place in range(12, len(cursor)):
            for letter in "A_x9":
                ask = {"query": "cursor", "context_id": self.context, "cursor": cursor[:place] + letter + cursor[place + 1:]}
                self.assertIn(self.client.request("POST", "/search", ask).status, (200, 400), ask)

    def test_large_units_make_short_pages(self):
        units = self.post(*[f"large {n} " + "x" * (6 << 20) for n in range(4)])
        first = self.found("large", limit=4)
        self.assertTrue(1 <= len(first["results"]) < 4)
        rest = self.found("large", limit=4, cursor=first["next_cursor"])
        self.assertEqual(set(ids(first) + ids(rest)), {one["id"] for one in units})
        self.assertEqual(len(ids(first) + ids(rest)), 4)


class Freshness(SearchSuite):
    def test_read_your_writes(self):
        with self.server.client(60) as other:
            times = []
            for n in range(200):
                one = self.client.create(unit(self.context, f"fresh number{n}"))
                begun = time.monotonic()
                page = search(other, f"number{n}", context_id=self.context, min_position=one["position"], **WAIT)
                times.append(time.monotonic() - begun)
                self.assertEqual((ids(page), page["partial"]), ([one["id"]], False))
                self.assertGreaterEqual(page["indexed_position"], one["position"])
        # Nobody waits until the indexer has gathered, for a fifth of a second.
        self.assertLess(sorted(times)[100], 0.2, times)

    def test_what_doesn_t_come_is_not_waited_for(self):
        self.post("present")
        page = search(self.client, "present", context_id=self.context, min_position=self.position, **WAIT)
        self.assertEqual(page["total_count"], 1)
        begun = time.monotonic()
        page = self.found("present", min_position=self.position + 10**9, wait_seconds=0.3)
        self.assertGreaterEqual(time.monotonic() - begun, 0.3)
        self.assertEqual((payloads(page), page["partial"]), (["present"], True))
        self.assertTrue(self.found("present", min_position=self.position + 10**9, wait_seconds=0)["partial"])

    def test_a_wait_ends_when_it_comes(self):
        self.post("first")
        answers = []

        def ask():
            with self.server.client(60) as other:
                answers.append(self.found_by(other))

        thread = threading.Thread(target=ask)
        self.target = self.position + 2
        thread.start()
        self.client.create(unit(self.context, "second"))
        self.client.create(unit(self.context, "third"))
        thread.join(40)
        self.assertFalse(answers[0]["partial"])
        self.assertEqual(answers[0]["total_count"], 3)

    def found_by(self, client):
        return search(client, context_id=self.context, min_position=self.target, **WAIT)

    def test_a_client_that_goes_is_forgotten(self):
        def metric(name):
            text = self.client.get("/metrics").body.decode()
            return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))

        self.post("cancelled")
        waiting = [self.server.raw() for _ in range(20)]
        for raw in waiting:
            body = json.dumps({"min_position": 10**12, "wait_seconds": 30}).encode()
            raw.send(http_request("POST", "/search", body, ["Content-Type: application/json"]))
        until(lambda: metric("engram_connections") >= 21, what="searches that wait")
        for raw in waiting:
            raw.close()
        begun = time.monotonic()
        until(lambda: metric("engram_connections") <= 1, 20, what="their end")
        self.assertLess(time.monotonic() - begun, 20)
        self.assertEqual(self.found("cancelled")["total_count"], 1)


HOSTILE = [
    '"', '""', '"""', "'", "'; DROP TABLE units; --", "*", "**", "-", "--", "- -", "-*", "AND", "OR", "NOT", "a AND", "AND OR NOT",
    "NEAR(", "NEAR(a b, 5)", "{col}:", "body:a", "{body}: a", "^a", "a^", "a + b", "(", ")", "((((", "a)", "\\", "\\\"", "%", "_",
    "\x00", "a\x00b", "\x01cfoo", "\x01\x02", "\x02", "\x7f", "\ufeff", "\ufffd", "\uffff", "\U0010ffff", "🙂", "👩‍👩‍👧‍👦", "🇩🇪",
    "שלום עולם", "\u202e\u202dabc", "e\u0301", "\u0301", "\u0301" * 500, "a" + "\u0300" * 1000, "क्षत्रिय", "\u200d\u200c", "\u3000",
    "a" * 4096, "\"" * 4096, "(" * 4096, "-" * 4096, "* " * 2048, "a " * 2048, "a* " * 1300, '"a b" ' * 680, "北" * 1365,
    " ".join(f"t{n}" for n in range(64)), " ".join(f"t{n}" for n in range(65)), " ".join(str(n) for n in range(900)),
    "a_" * 2000, "aB" * 2000, "/" * 4096, "/a" * 2000, "." * 4096, "a.b" * 1000, "\t\n\r\v\f", "null", "true", "{}", "[]", "rowid:1"]


class Hostile(SearchSuite):
    def test_any_string_is_a_query(self):
        self.post("something to find: a AND b NEAR(c) {col}: ^x")
        for text in HOSTILE:
            for more in ({}, {"highlight": True}, {"order": "recent"}, {"context_id": self.context, "highlight": True, "types": [1]}):
                with self.subTest(text=text[:40], **more):
                    begun = time.monotonic()
                    answer = self.client.request("POST", "/search", {"query": text} | more)
                    self.assertIn(answer.status, (200, 400), answer)
                    self.assertLess(time.monotonic() - begun, 10)
                    if answer.status == 400:
                        self.assertEqual(answer.pointers(), ["/query"])
        answer = self.client.request("POST", "/search", {"query": " ".join(f"t{n}" for n in range(10_000))})
        self.assertEqual(answer.status, 400)
        self.assertEqual(self.client.request("POST", "/search", b'{"query":"\xff"}', {"Content-Type": "application/json"}).status, 400)
        self.assertEqual(self.client.request("POST", "/search", '{"query":"\\ud800"}', {"Content-Type": "application/json"}).status, 400)

    def test_what_they_say_is_found(self):
        """A text that consists of such a string is a unit like any other, and forges no filter."""
        texts = [text for text in HOSTILE if "\ud800" not in text]
        self.post(*texts)
        page = self.found(limit=1000)
        self.assertEqual(sorted(payloads(page)), sorted(texts))
        self.assertEqual(self.found(agent_ids=["foo"])["total_count"], 0)
        for text in ("שלום", "NEAR", "drop table", "क्षत्रिय"):
            self.assertGreaterEqual(self.found(text)["total_count"], 1, text)

    def test_bad_requests(self):
        for change, pointer in (
                ({"limit": 0}, "/limit"), ({"limit": 1001}, "/limit"), ({"offset": 9981}, "/offset"), ({"order": "best"}, "/order"),
                ({"types": ["NOTE"]}, "/types/0"), ({"since": "now"}, "/since"), ({"wait_seconds": 31}, "/wait_seconds"),
                ({"min_position": -1}, "/min_position"), ({"cursor": "x"}, "/cursor"), ({"colour": 1}, "/colour"), ({"query": []}, "/query"),
                ({"context_id": "a", "context_ids": ["a"]}, "/context_ids"), ({"metadata": {"a": 1}}, "/metadata/a")):
            answer = self.client.request("POST", "/search", change)
            self.assertEqual((answer.status, answer.pointers()), (400, [pointer]), answer)
        self.assertEqual(self.client.get("/search").status, 405)
        self.assertEqual(self.client.request("POST", "/search?query=a", {}).status, 400)
        self.assertEqual(self.client.request("POST", "/search", "{}", {"Content-Type": "text/plain"}).status, 415)
        self.assertEqual(self.client.request("POST", "/v1/search", {}).status, 200)


class Files(unittest.TestCase):
    """What becomes of the index's files."""

    def setUp(self):
        self.server = Server(start=False)
        self.addCleanup(self.server.discard)
        self.count = 0

    @property
    def index(self):
        return os.path.join(self.server.directory, "search", "index.db")

    def fill(self, count=300):
        with self.server.client(60) as client:
            units = [unit("files", f"stored word{n % 7} number{self.count + n}") for n in range(count)]
            self.count += count
            made = client.request("POST", "/workunits", units).json()["work_units"]
            self.position = last_position(made)

    def complete(self):
        """Each unit is found, once."""
        with self.server.client(60) as client:
            until(lambda: caught_up(client, self.position), 60, "a complete index")
            found = everything(client, "stored", order="recent")
            self.assertEqual(len(found), self.count)
            self.assertEqual(len({result["work_unit"]["id"] for result in found}), self.count)
            self.assertEqual(search(client, "word3", limit=1)["total_count"], len([n for n in range(self.count) if n % 300 % 7 == 3]))

    def log(self):
        return "\n".join(self.server.stderr + self.server.stdout)

    def damage(self, how):
        size = os.path.getsize(self.index)
        if how == "deleted":
            for name in os.listdir(os.path.dirname(self.index)):
                os.remove(os.path.join(os.path.dirname(self.index), name))
        elif how == "truncated":
            os.truncate(self.index, size // 3)
        elif how == "emptied":
            os.truncate(self.index, 0)
        else:
            with open(self.index, "r+b") as file:
                file.seek(0 if how == "no database" else 4096)
                file.write(random.Random(1).randbytes(size if how == "garbled" else 100))

    def test_damaged_while_stopped(self):
        for how in ("deleted", "truncated", "emptied", "no database", "garbled"):
            with self.subTest(how):
                self.server.start()
                self.fill()
                self.complete()
                self.assertEqual(self.server.terminate(), 0)
                self.damage(how)
                self.server.start()
                self.complete()
                self.assertIn("search index", self.log())
                self.assertEqual(self.server.terminate(), 0)

    def test_damaged_while_running(self):
        # Not the file's first page: what the write-ahead log has of it is read instead, and put over it.
        for how in ("deleted", "truncated", "emptied", "garbled"):
            with self.subTest(how):
                self.server.start()
                self.fill()
                self.complete()
                self.damage(how)
                with self.server.client(60) as client:
                    def rebuilt():
                        client.request("POST", "/search", {"query": "stored", "limit": 1000})
                        return "is complete" in self.log()

                    self.fill()
                    until(rebuilt, 60, "an index that is made anew")
                    self.assertEqual(client.get("/readyz").status, 200)
                self.complete()
                self.assertEqual(self.server.terminate(), 0)

    def test_kill_and_restart(self):
        for round in range(20 if Options.full else 4):
            self.server.start()
            stop = threading.Event()
            posted = []

            def post():
                with self.server.client(60) as client:
                    while not stop.is_set():
                        batch = [unit("files", f"stored word{n % 7} kill{round}") for n in range(50)]
                        try:
                            answer = client.request("POST", "/workunits", batch)
                        except Exception:
                            return
                        posted.append(answer.json()["work_units"])

            thread = threading.Thread(target=post)
            thread.start()
            until(lambda: len(posted) >= 5 + round, what="posts")
            self.server.kill()
            stop.set()
            thread.join()
            acknowledged = {one["id"] for units in posted for one in units}
            self.server.start()
            with self.server.client(60) as client:
                last = max(last_position(units) for units in posted)
                until(lambda: caught_up(client, last), 60, "a complete index")
                found = {result["work_unit"]["id"] for result in everything(client, f"kill{round}", order="recent")}
                stored = {one["id"] for one in client.all_units("files") if f"kill{round}" in one["payload"]}
            self.assertLessEqual(acknowledged, found)
            self.assertEqual(found, stored)
            self.assertNotIn("anew", self.log())
            self.assertEqual(self.server.terminate(), 0)

    def test_found_at_once_after_a_crash(self):
        """The index has more on disk than the store then: what it finds is answered all the same."""
        self.server.start()
        for _ in range(6):
            self.fill(1000)
        with self.server.client(60) as client:
            until(lambda: caught_up(client, self.position), 60, "a complete index")
        self.server.kill()
        self.server.start()
        with self.server.client(60) as client:
            page = search(client, f"number{self.count - 1}", order="recent", min_position=self.position, wait_seconds=30)
            self.assertEqual([result["work_unit"]["position"] for result in page["results"]], [self.position])
            self.assertFalse(page["partial"])
        self.assertEqual(self.server.terminate(), 0)

    def test_without_search(self):
        self.server.start()
        self.fill()
        self.complete()
        self.server.terminate()
        self.server.flags = ["--no-search"]
        self.server.start()
        with self.server.client(60) as client:
            answer = client.request("POST", "/search", {"query": "stored"})
            self.assertEqual((answer.status, answer.json()["code"]), (503, "unavailable"))
            self.assertIn("search is off", answer.json()["detail"])
            self.assertIn("retry-after", answer.headers)
            checks = {check["name"]: check for check in client.get("/readyz?verbose").json()["checks"]}
            self.assertEqual((checks["search"]["ok"], checks["search"]["detail"]), (True, "off"))
            self.assertEqual(client.get("/readyz").status, 200)
        self.fill()
        self.server.terminate()
        # It goes on where it stopped.
        self.server.flags = []
        self.server.start()
        self.complete()
        self.assertNotIn("anew", self.log())


if __name__ == "__main__":
    unittest.main()
