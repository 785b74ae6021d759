"""The cases of RFC 6455, for any server that answers `ping` with `pong` and other types with `error`.

They run against Engram (`test_websocket.py`), and against Python's `websockets` (`test_websocket_peer.py`): a case that the
peer fails too would be a fault of the case.
"""

import json
import random
import struct

from websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

PING_TEXT = b'{"type":"ping"}'
LENGTHS = (0, 1, 15, 124, 125, 126, 127, 128, 1000, 65535, 65536, 65537, 200_000)
VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
INVALID_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
INVALID_UTF8 = {
    "a byte that never occurs": b"\xff", "a lone continuation": b"\x80", "overlong /": b"\xc0\xaf",
    "overlong, three bytes": b"\xe0\x80\xaf", "overlong, four bytes": b"\xf0\x80\x80\xaf", "overlong NUL": b"\xc0\x80",
    "the first surrogate": b"\xed\xa0\x80", "the last surrogate": b"\xed\xbf\xbf", "a pair of them": b"\xed\xa0\x80\xed\xb0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80", "five bytes": b"\xf8\x88\x80\x80\x80", "cut short by ASCII": b"\xe2\x82a"}


def padded(length):
    """A ping of exactly so many bytes; below 15 it can't be one, and is answered with `error`."""
    return PING_TEXT.ljust(length) if length >= len(PING_TEXT) else b" " * length


def close_body(code, reason=b""):
    return struct.pack(">H", code) + reason


class Cases:
    """`open` gives a live WebSocket, `undisturbed` holds that other connections don't notice."""

    minimal_lengths = True
    """Whether a length in a longer form than need be is refused (section 5.2: MUST)."""
    announced_max = 64 << 20
    """A message of so many bytes is too large for the server."""

    def answer(self, wire, expected):
        message = wire.json()
        self.assertIsNotNone(message, f"closed: {wire.closing}")
        self.assertEqual(message["type"], expected, message)

    def refused(self, code, *frames, wire=None):
        """These bytes end the connection with this code, nobody else's, and nothing is answered before."""
        wire = wire or self.open()
        with wire:
            wire.send(b"".join(frames))
            message = wire.json()
            self.assertIsNone(message, "answered where it had to be closed")
            self.assertIsNotNone(wire.closing, "ended without a close frame")
            self.assertEqual(wire.closing.code, code, wire.closing)
        self.undisturbed()

    # -- frames -----------------------------------------------------------------------------------------------

    def test_every_length(self):
        with self.open() as wire:
            for length in LENGTHS:
                wire.text(padded(length))
                self.answer(wire, "pong" if length >= len(PING_TEXT) else "error")

    def test_masks(self):
        with self.open() as wire:
            for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04", b"\x00\x00\x00\x80"):
                for length in (15, 16, 17, 18, 19, 126, 4099):
                    wire.text(padded(length), mask=mask)
                    self.answer(wire, "pong")

    def test_single_bytes(self):
        data = frame(TEXT, PING_TEXT) + frame(PING, b"abc") + frame(TEXT, padded(130))
        with self.open() as wire:
            for n in range(len(data)):
                wire.send(data[n:n + 1])
            # The one of the protocol may overtake those of the application.
            frames = [wire.next_frame() for _ in range(3)]
            self.assertEqual(sorted(one.opcode for one in frames), [TEXT, TEXT, PONG], frames)
            close = frame(CLOSE, close_body(1000))
            for n in range(len(close)):
                wire.send(close[n:n + 1])
            self.assertEqual(wire.end(), 1000)

    def test_many_frames_in_one_segment(self):
        with self.open() as wire:
            wire.send(frame(TEXT, PING_TEXT) * 500)
            for _ in range(500):
                self.answer(wire, "pong")

    def test_cut_anywhere(self):
        """The same frames, in segments that end anywhere, give the same answers."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        data = b"".join(frame(TEXT, padded(chance.choice((15, 125, 126, 127, 300, 70_000)))) for _ in range(60))
        with self.subTest(seed=seed), self.open() as wire:
            while data:
                size = chance.choice((1, 2, 3, 7, 64, 1000, 4096, 65_536, 100_000))
                wire.send(data[:size])
                data = data[size:]
            for _ in range(60):
                self.answer(wire, "pong")

    def test_not_masked(self):
        self.refused(1002, frame(TEXT, PING_TEXT, mask=None))
        self.refused(1002, frame(PING, b"", mask=None))
        self.refused(1002, frame(CLOSE, close_body(1000), mask=None))

    def test_reserved_bits(self):
        for bits in range(1, 8):
            for opcode in (TEXT, PING):
                with self.subTest(bits=bits, opcode=opcode):
                    self.refused(1002, frame(opcode, PING_TEXT, reserved=bits))

    def test_reserved_opcodes(self):
        for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF):
            for payload in (b"", PING_TEXT):
                with self.subTest(opcode=opcode, bytes=len(payload)):
                    self.refused(1002, frame(opcode, payload))

    def test_lengths_in_a_longer_form(self):
        if not self.minimal_lengths:
            return
        for length, form in ((15, 16), (125, 16), (15, 64), (125, 64), (126, 64), (65535, 64)):
            with self.subTest(length=length, form=form):
                self.refused(1002, frame(TEXT, padded(length), form=form))

    def test_binary(self):
        self.refused(1003, frame(BINARY, PING_TEXT))
        self.refused(1003, frame(BINARY, b"\xff\xfe\x00"))
        self.refused(1003, frame(BINARY, b""))

    def test_too_large(self):
        for length in (self.announced_max, 1 << 32, (1 << 63) - 1):
            with self.subTest(length=length):
                self.refused(1009, frame(TEXT, b"", announced=length, form=64))

    def test_a_length_of_64_bits(self):
        """The highest bit must be 0 (section 5.2): no length, whatever it is called."""
        with self.open() as wire:
            wire.frame(TEXT, b"", announced=(1 << 64) - 1, form=64)
            self.assertIn(wire.end(), (1002, 1009))
        self.undisturbed()

    def test_fragments_too_large_together(self):
        with self.open() as wire:
            piece = b"x" * (1 << 20)
            wire.frame(TEXT, piece, fin=False)
            for _ in range(self.announced_max >> 20):
                wire.frame(CONTINUATION, piece, fin=False)
            self.assertEqual(wire.end(), 1009)
        self.undisturbed()

    # -- fragments --------------------------------------------------------------------------------------------

    def test_fragments_of_every_size(self):
        text = padded(40)
        for size in (1, 2, 3, 7, 20, 39):
            pieces = [text[n:n + size] for n in range(0, len(text), size)]
            with self.open() as wire:
                for n, piece in enumerate(pieces):
                    wire.frame(CONTINUATION if n else TEXT, piece, fin=n == len(pieces) - 1)
                self.answer(wire, "pong")

    def test_empty_fragments(self):
        with self.open() as wire:
            wire.send(
                frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, PING_TEXT, fin=False)
                + frame(CONTINUATION, b""))
            self.answer(wire, "pong")
            wire.send(frame(TEXT, b"", fin=False) + frame(CONTINUATION, b""))
            self.answer(wire, "error")

    def test_control_frames_in_between(self):
        for at_once in (True, False):
            with self.open() as wire:
                frames = [
                    frame(TEXT, b'{"type"', fin=False), frame(PING, b"one"), frame(CONTINUATION, b':"pi', fin=False),
                    frame(PONG, b"unasked"), frame(PING, b"two"), frame(CONTINUATION, b'ng"}')]
                for part in [b"".join(frames)] if at_once else frames:
                    wire.send(part)
                for expected in (b"one", b"two"):
                    one = wire.next_frame()
                    self.assertEqual((one.opcode, one.payload), (PONG, expected))
                self.answer(wire, "pong")

    def test_a_close_in_between(self):
        with self.open() as wire:
            wire.send(frame(TEXT, b'{"type"', fin=False) + frame(CLOSE, close_body(1001)))
            self.assertEqual(wire.end(), 1001)

    def test_fragments_out_of_turn(self):
        self.refused(1002, frame(CONTINUATION, PING_TEXT))
        self.refused(1002, frame(CONTINUATION, PING_TEXT, fin=False))
        self.refused(1002, frame(TEXT, PING_TEXT, fin=False), frame(TEXT, PING_TEXT))
        self.refused(1002, frame(TEXT, PING_TEXT, fin=False), frame(TEXT, PING_TEXT, fin=False))
        with self.open() as wire:
            wire.send(frame(TEXT, PING_TEXT[:5], fin=False) + frame(CONTINUATION, PING_TEXT[5:]))
            self.answer(wire, "pong")
            self.refused(1002, frame(CONTINUATION, b"more"), wire=wire)

    # -- control frames ---------------------------------------------------------------------------------------

    def test_pings_come_back(self):
        bodies = [b"", b"a", bytes(range(125)), b"\xff\xfe\x00", b"x" * 124]
        with self.open() as wire:
            for body in bodies:
                wire.frame(PING, body)
                one = wire.next_frame()
                self.assertEqual((one.opcode, one.fin, one.payload), (PONG, True, body))
            for body in bodies:
                wire.frame(PING, body)
            # A server may answer only the last of several (section 5.5.3), but never another body.
            last = wire.next_frame()
            while last.payload != bodies[-1]:
                self.assertIn(last.payload, bodies)
                last = wire.next_frame()
            wire.text(PING_TEXT)
            self.answer(wire, "pong")

    def test_unasked_pongs_are_ignored(self):
        with self.open() as wire:
            wire.send(frame(PONG) + frame(PONG, b"x" * 125) + frame(PONG, b"\xff") + frame(TEXT, PING_TEXT))
            self.answer(wire, "pong")

    def test_control_frames_too_long_or_in_fragments(self):
        for opcode in (PING, PONG, CLOSE):
            with self.subTest(opcode=opcode):
                body = close_body(1000, b"x" * 124)
                self.refused(1002, frame(opcode, body))
                self.refused(1002, frame(opcode, body[:20], fin=False))
                with self.open() as wire:
                    wire.frame(opcode, b"", form=64, announced=1 << 40)
                    self.assertIn(wire.end(), (1002, 1009))

    # -- UTF-8 ------------------------------------------------------------------------------------------------

    def test_characters_of_every_length_cut_anywhere(self):
        text = '{"type":"\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff κόσμε"}'.encode()
        with self.open() as wire:
            for cut in range(len(text) + 1):
                wire.send(frame(TEXT, text[:cut], fin=False) + frame(CONTINUATION, text[cut:]))
                self.answer(wire, "error")
            for n in range(len(text)):
                wire.frame(CONTINUATION if n else TEXT, text[n:n + 1], fin=n == len(text) - 1)
            self.answer(wire, "error")

    def test_what_is_no_utf8(self):
        for what, wrong in INVALID_UTF8.items():
            text = b'{"type":"' + wrong + b'"}'
            with self.subTest(what):
                self.refused(1007, frame(TEXT, text))
                for cut in range(9, 9 + len(wrong) + 1):
                    self.refused(1007, frame(TEXT, text[:cut], fin=False) + frame(CONTINUATION, text[cut:]))

    def test_no_utf8_in_the_middle_of_a_message_ends_it_at_once(self):
        for wrong in (b"\xff", b"\xed\xa0\x80", b"\xf4\x90"):
            self.refused(1007, frame(TEXT, b"x" * 500 + wrong, fin=False))

    def test_a_message_that_ends_inside_a_character(self):
        for half in (b"\xc3", b"\xe2\x82", b"\xf0\x9f\xa6"):
            self.refused(1007, frame(TEXT, b"abc" + half))
            self.refused(1007, frame(TEXT, b"abc", fin=False) + frame(CONTINUATION, half))
            self.refused(1007, frame(TEXT, b"abc" + half, fin=False) + frame(CONTINUATION, b""))

    # -- the end ----------------------------------------------------------------------------------------------

    def test_close_codes_come_back(self):
        for code in VALID_CODES:
            for reason in (b"", b"done", "fertig \u2713".encode(), b"x" * 123):
                with self.subTest(code=code, reason=reason[:10]), self.open() as wire:
                    self.assertEqual(wire.leave(code, reason), code)
        self.undisturbed()

    def test_a_close_that_says_nothing(self):
        with self.open() as wire:
            wire.frame(CLOSE)
            self.assertIn(wire.end(), (None, 1000))

    def test_wrong_closes(self):
        for code in INVALID_CODES:
            with self.subTest(code=code):
                self.refused(1002, frame(CLOSE, close_body(code)))
        self.refused(1002, frame(CLOSE, b"\x03"))

    def test_a_reason_that_is_no_utf8(self):
        for wrong in INVALID_UTF8.values():
            self.refused(1007, frame(CLOSE, close_body(1000, b"why " + wrong)))

    def test_nothing_is_heard_after_a_close(self):
        with self.open() as wire:
            wire.send(frame(CLOSE, close_body(1000)) + frame(TEXT, PING_TEXT) + frame(PING, b"x") + b"\xff" * 40)
            self.assertIsNone(wire.json())
            self.assertEqual(wire.closing.code, 1000)

    def test_a_connection_that_is_cut(self):
        for data in (b"", b"\x81", frame(TEXT, PING_TEXT)[:7], frame(TEXT, PING_TEXT[:5], fin=False), frame(PING, b"abc")[:-1]):
            self.open().send(data).close()
        self.undisturbed()

    # -- messages ---------------------------------------------------------------------------------------------

    def test_what_is_no_json_is_answered_and_forgotten(self):
        with self.open() as wire:
            for text in ("{", "nonsense", "", "[]", "1", '"ping"', "null", '{"type":1}', '{"type":null}', "{}", '{"type":"ping"',
                         '{"type":"ping"}}', "[" * 2000, '{"type":"' + "x" * 5000 + '"}', json.dumps({"type": "Ping"})):
                wire.text(text)
                self.answer(wire, "error")
            wire.text(PING_TEXT)
            self.answer(wire, "pong")
