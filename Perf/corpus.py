"""Texts as agents post them, made up: the same for the same seed, on any machine, without a file.

Words come out of a vocabulary of made-up English-like ones by Zipf's law (exponent 1: word r in proportion to 1/r, so that
the first stands in nearly every unit and most are rare). Between them stand what agents write besides prose: paths,
identifiers of both kinds, error codes, numbers, lines of code. A unit has about 1 KB of text, an agent, a context, a type
and two or three metadata pairs. Ten `PLANTED` words, in nobody's vocabulary, stand in exactly one unit of a hundred each,
one to five times: terms with known numbers of hits.
"""

import hashlib
import itertools
import json
import random
import string

SYLLABLES = [
    "ba", "con", "de", "er", "fi", "gra", "ho", "in", "jo", "ka", "la", "men", "no", "or", "pre", "qui", "re", "sta", "ti",
    "un", "ver", "wal", "ex", "yo", "zen", "tion", "ing", "ly", "ment", "al", "ous", "ance", "est", "able", "ic", "ar"]
COMMON = (
    "the to of and a in is it that for on with as was be this by are from at have or an not we which can will has but "
    "test file error function build run code request value change").split()
PLANTED = (
    "zephyrine quillwort obsidianfly marzipanic larkspurred vexillology thurible gossamery palimpsestic wherefrom").split()
WORDS, CONTEXTS, AGENTS, TENANTS = 30_000, 200, 20, 500
KINDS = ["MESSAGE", "REASONING", "TOOL_CALL", "TOOL_RESULT", "FILE_CHANGE", "ERROR"]
TAG_CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase + "+-"


class Corpus:
    """Unit n of a seed is always the same, whichever were made before it."""

    def __init__(self, seed=1):
        self.seed = seed
        made = random.Random(seed)
        words, seen = list(COMMON), set(COMMON) | set(PLANTED)
        while len(words) < WORDS:
            word = "".join(made.choices(SYLLABLES, k=made.choice((2, 2, 3, 3, 4))))
            if word not in seen:
                seen.add(word)
                words.append(word)
        self.words = words
        self.weights = list(itertools.accumulate(1 / rank for rank in range(1, WORDS + 1)))
        self.files = [
            f"{made.choice(('src', 'Sources', 'tests', 'etc'))}/{made.choice(words)}/{made.choice(words)}"
            f".{made.choice(('swift', 'py', 'c', 'json'))}" for _ in range(2000)]
        self.identifiers = [
            made.choice(("{}_{}_{}", "{}{}{}", "{}.{}.{}")).format(
                made.choice(words), made.choice(words).capitalize(), made.choice(words).capitalize())
            for _ in range(4000)]

    def text(self, number, bytes_about=1024):
        chance = random.Random(self.seed << 40 | number)
        pieces, length = [], 0
        while length < bytes_about:
            words = chance.choices(self.words, cum_weights=self.weights, k=18)
            words[0] = words[0].capitalize()
            kind = chance.randrange(6)
            if kind == 0:
                words.append(f"in {chance.choice(self.files)}:{chance.randrange(900)}")
            elif kind == 1:
                words.append(f"E{chance.randrange(1000, 9999)}")
            elif kind == 2:
                name, other = chance.choice(self.identifiers), chance.choice(self.identifiers)
                words.append(f"\n  let {name} = {other}({chance.randrange(100)})\n")
            elif kind == 3:
                words.append(chance.choice(self.identifiers))
            piece = " ".join(words)
            pieces.append(piece)
            length += len(piece) + 2
        text = ". ".join(pieces)[:bytes_about]
        if number % 10 == 0:
            # One unit of ten has one of the ten, so that each stands in one of a hundred.
            text += f" {PLANTED[number // 10 % 10]}" * (1 + number // 100 % 5)
        return text

    def unit(self, number, context=None):
        """The body of `POST /workunit`, as a value."""
        chance = random.Random(self.seed << 41 | number)
        metadata = {"tenant": f"tenant-{chance.randrange(TENANTS)}", "model": f"model-{chance.randrange(5)}"}
        if number % 3 == 0:
            metadata["trace"] = f"t{number:x}"
        return {
            "context_id": context or f"corpus-{chance.randrange(CONTEXTS)}", "agent_id": f"agent-{chance.randrange(AGENTS)}",
            "type": chance.choice(KINDS), "payload": self.text(number), "metadata": metadata}

    def units(self, count, first=0):
        return (self.unit(number) for number in range(first, first + count))


def body(unit):
    """What Engram inserts into its index for a unit: tags, then texts. Fingerprints are another hash's, of the same size."""
    tags = [("c", unit["context_id"]), ("a", unit["agent_id"]), ("t", unit["type"])]
    tags += [("m", f"{key}\0{value}") for key, value in unit["metadata"].items()]
    return "".join(f"\x01{kind}{_tag(kind + value)}" for kind, value in tags) + "\x02" + unit["payload"] + "".join(
        "\x03" + value for value in unit["metadata"].values())


def _tag(text, _known={}):
    found = _known.get(text)
    if found is None:
        rest, characters = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"), []
        for _ in range(11):
            characters.append(TAG_CHARACTERS[rest & 63])
            rest >>= 6
        found = "".join(characters)
        if len(_known) < 100_000:
            _known[text] = found
    return found


def text_bytes(unit):
    """Bytes of what is indexed of a unit: its payload and its metadata's values."""
    return len(unit["payload"].encode()) + sum(len(value.encode()) for value in unit["metadata"].values())


def line(unit):
    return json.dumps(unit, separators=(",", ":"))
