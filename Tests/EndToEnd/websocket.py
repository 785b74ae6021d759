"""A WebSocket client that hides nothing (RFC 6455): every frame can be made wrong, and every answer is checked."""

import base64
import hashlib
import json
import os
import socket
import struct
import time
import urllib.parse

from harness import ANSWER_SECONDS, Raw

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
PROTOCOL = "engram.v1+json"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ABSENT = object()
"""As a value of `handshake`: leave this field away."""


def accept_value(key):
    """What the server must answer to this key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def handshake(path="/stream", key=None, fields=None, method="GET", version="HTTP/1.1", extra=(), **query):
    """The bytes of an upgrade request. `fields` replaces or adds fields, `ABSENT` takes one away."""
    every = {
        "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": key or base64.b64encode(os.urandom(16)).decode(), "Sec-WebSocket-Version": "13"}
    every |= fields or {}
    target = path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
    lines = [f"{method} {target} {version}"]
    lines += [f"{name}: {value}" for name, value in every.items() if value is not ABSENT]
    return "\r\n".join([*lines, *extra]).encode() + b"\r\n\r\n"


def masked(payload, key):
    """The payload under a mask (RFC 6455, section 5.3), as one large XOR."""
    if not payload:
        return payload
    repeated = (key * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def frame(opcode, payload=b"", fin=True, mask=b"\x37\xfa\x21\x3d", reserved=0, form=None, announced=None):
    """The bytes of one frame (RFC 6455, section 5.2).

    mask: four bytes, or None for an unmasked frame. reserved: the three bits, 0-7. form: 7, 16 or 64 bits for the
    length, also where a shorter one would do. announced: the length that is said, when it isn't the true one.
    """
    length = len(payload) if announced is None else announced
    form = form or (7 if length < 126 else 16 if length < 65536 else 64)
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    high = 0 if mask is None else 0x80
    if form == 7:
        head += bytes([high | length])
    elif form == 16:
        head += bytes([high | 126]) + struct.pack(">H", length)
    else:
        head += bytes([high | 127]) + struct.pack(">Q", length)
    return head + payload if mask is None else head + mask + masked(payload, mask)


class Frame:
    """One frame of the server."""

    def __init__(self, opcode, fin, payload):
        self.opcode, self.fin, self.payload = opcode, fin, payload

    @property
    def code(self):
        """Of a close frame; None if it says none."""
        return struct.unpack(">H", self.payload[:2])[0] if self.payload else None

    def __repr__(self):
        return f"frame {self.opcode:x} fin={self.fin} {len(self.payload)} bytes {self.payload[:200]!r}"


class WebSocket(Raw):
    """One connection. Reads only when asked; answers pings and a close while it reads, unless `pongs` is false."""

    def __init__(
            self, port, path="/stream", fields=None, timeout=ANSWER_SECONDS, receive_bytes=None, pongs=True, request=None,
            **query):
        self.socket, self.buffer, self.timeout, self.pongs = socket.socket(), b"", timeout, pongs
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parts, self.closing = [], None
        self._upgrade(request or handshake(path, fields=fields, **query))

    def _upgrade(self, request):
        """Sends a request; what the answer is stands in `status`, `headers` and, when refused, `refusal`."""
        key = next(
            (line.split(b":", 1)[1].strip() for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key:")), b"")
        self.send(request)
        deadline = time.monotonic() + self.timeout
        while b"\r\n\r\n" not in self.buffer:
            if not self._within(deadline):
                raise AssertionError(f"the connection ended in the handshake: {self.buffer!r}")
        head = self.buffer.split(b"\r\n\r\n", 1)[0]
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.refusal = None
        if self.status != 101:
            if "text/event-stream" not in self.headers.get("content-type", ""):
                self.refusal = self.answer()
            return
        self.buffer = self.buffer[len(head) + 4:]
        expected = {"upgrade": "websocket", "sec-websocket-accept": accept_value(key.decode())}
        for name, value in expected.items():
            got = self.headers.get(name, "")
            if got != value and not (name == "upgrade" and got.lower() == value):
                raise AssertionError(f"{name}: {got!r} in place of {value!r}")
        if "upgrade" not in self.headers.get("connection", "").lower():
            raise AssertionError(f"connection: {self.headers}")
        for forbidden in ("content-length", "transfer-encoding", "sec-websocket-extensions"):
            if forbidden in self.headers:
                raise AssertionError(f"a 101 with {forbidden}")

    # -- out -------------------------------------------------------------------------------------------------

    def frame(self, opcode, payload=b"", **how):
        return self.send(frame(opcode, payload, **how))

    def text(self, message, **how):
        """Sends one text frame: a string, bytes, or what becomes JSON."""
        if isinstance(message, (dict, list)):
            message = json.dumps(message, ensure_ascii=False)
        return self.frame(TEXT, message.encode() if isinstance(message, str) else message, **how)

    # -- in --------------------------------------------------------------------------------------------------

    def _within(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise AssertionError(f"nothing of what is awaited came within {self.timeout} s")
        self.socket.settimeout(left)
        try:
            return self._more()
        except TimeoutError:
            raise AssertionError(f"nothing to hear within {self.timeout} s") from None

    def _bytes(self, count, deadline):
        while len(self.buffer) < count:
            if not self._within(deadline):
                return False
        return True

    def next_frame(self, timeout=None):
        """The next frame as it is; None when the connection ends. Holds the server to section 5.1 and 5.2."""
        deadline = time.monotonic() + (timeout or self.timeout)
        if not self._bytes(2, deadline):
            if self.buffer:
                raise AssertionError(f"the connection ended inside a frame: {self.buffer!r}")
            return None
        first, second = self.buffer[:2]
        if first & 0x70 or second & 0x80:
            raise AssertionError(f"reserved bits or a mask from the server: {self.buffer[:8]!r}")
        opcode, length, start = first & 0xF, second & 0x7F, 2
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise AssertionError(f"opcode {opcode}")
        if length >= 126:
            size = 2 if length == 126 else 8
            if opcode >= CLOSE or not self._bytes(2 + size, deadline):
                raise AssertionError("a long control frame, or an end inside a frame's head")
            length, start = int.from_bytes(self.buffer[2:2 + size], "big"), 2 + size
            if length < (126 if size == 2 else 65536):
                raise AssertionError(f"{length} bytes said in a longer form than need be")
        if not self._bytes(start + length, deadline):
            raise AssertionError(f"the connection ended inside a frame of {length} bytes")
        payload, self.buffer = self.buffer[start:start + length], self.buffer[start + length:]
        if opcode >= CLOSE and not first & 0x80:
            raise AssertionError("a control frame in fragments")
        return Frame(opcode, bool(first & 0x80), payload)

    def receive(self, timeout=None):
        """The next message as text; None when the connection has ended, `closing` being its close frame, if any."""
        while (one := self.next_frame(timeout)) is not None:
            if one.opcode == PING:
                if self.pongs:
                    self.frame(PONG, one.payload)
            elif one.opcode == CLOSE:
                self.closing = one
                if self.pongs:
                    self.frame(CLOSE, one.payload[:2])
                one.payload[2:].decode("utf-8")
                if len(one.payload) == 1:
                    raise AssertionError("a close frame with one byte")
            elif one.opcode != PONG:
                if (one.opcode == CONTINUATION) != bool(self.parts) or self.closing:
                    raise AssertionError(f"not the frame's turn: {one}")
                self.parts.append(one)
                if one.fin:
                    whole, kind = b"".join(part.payload for part in self.parts), self.parts[0].opcode
                    self.parts = []
                    if kind != TEXT:
                        raise AssertionError("a binary message")
                    return whole.decode("utf-8")
        return None

    def json(self, timeout=None):
        """The next message, parsed; None at the end."""
        text = self.receive(timeout)
        return None if text is None else json.loads(text)

    def expect(self, kind, timeout=None):
        """The next message, `progress` left out, which must be of this type."""
        while (message := self.json(timeout)) is not None and message["type"] == "progress" != kind:
            pass
        if message is None or message["type"] != kind:
            raise AssertionError(f"expected {kind}, got {str(message)[:500]}, close {self.closing}")
        return message

    def subscribed(self):
        return self.expect("subscribed")

    def units(self, count):
        """The next `count` units; their cursors are held to their positions."""
        units = []
        while len(units) < count:
            message = self.expect("workunit")
            if message["cursor"] != str(message["work_unit"]["position"]):
                raise AssertionError(f"cursor {message['cursor']!r} with position {message['work_unit']['position']}")
            units.append(message["work_unit"])
        return units

    def ping(self):
        """Asks, as the application does, for a sign of life; every message before it is returned."""
        self.text({"type": "ping"})
        before = []
        while (message := self.json()) is not None and message["type"] != "pong":
            before.append(message)
        if message is None:
            raise AssertionError(f"closed where a pong must be: {self.closing}")
        return [message for message in before if message["type"] != "progress"]

    def end(self, timeout=None):
        """Reads until the connection ends; returns the code of the close frame (None: it had none)."""
        while self.json(timeout) is not None:
            pass
        if self.closing is None:
            raise AssertionError("the connection ended without a close frame")
        return self.closing.code

    def leave(self, code=1000, reason=b""):
        """The close handshake, to its end; returns the server's code."""
        self.frame(CLOSE, struct.pack(">H", code) + reason)
        return self.end()
