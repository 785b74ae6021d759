#!/usr/bin/env python3
"""Writes the golden segments beside this file, from Sources/WAL/WAL.md and Sources/Model/EventRecord.swift alone.

It shares no code with the writer it checks; CRC32C is its own. Run it after a change of the format:
    python3 Tests/WALTests/golden/make.py            writes the files
    python3 Tests/WALTests/golden/make.py --check    exits 1 if a file differs
"""
import json
import os
import struct
import sys
import time
import uuid

SEGMENT = 64 << 10
BLOCK = 4096


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32/ISCSI


def chance(n):
    """The n-th draw of the tests' randomness, from 1."""
    return (n * 0x1111111111111111) & 0xFFFFFFFFFFFFFFFF


# Records

UNIT, CONTEXT, LOCK, RESTART = 1, 2, 3, 4


def field(tag, data):
    return struct.pack("<HH", tag, len(data)) + data


def unit_head(n):
    return (
        struct.pack(">QQ", 0x0190000000007000 + n, 0x8000000000000000 + n)
        + struct.pack("<QQQBB6xII", n, 0xAA00 + n, 0xBB00 + n, 3, 0, 8, 4)
    )


def record(kind, position, fields, body):
    length = 32 + len(fields) + len(body) + 4
    head = struct.pack("<IBBHQQII", length, kind, 1, 0, position, 1_700_000_000_000_000 + position, len(fields), len(body))
    data = head + fields + body
    return data + struct.pack("<I", crc32c(data))


def unit(position, n, body):
    return record(UNIT, position, field(1, unit_head(n)) + field(2, b"ctx") + field(3, b"agent"), body)


def context(position, revision, body):
    head = struct.pack("<QQQ", revision, 0, 1_700_000_000_000_000)
    return record(CONTEXT, position, field(6, head) + field(2, b"ctx") + field(7, struct.pack("<I", 1)), body)


LOCK_ID = 0x019000000000700080000000000000AB


def stamp(microseconds):
    seconds, fraction = divmod(microseconds, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:06}Z"


def lock(position, action, path, token, acquired, metadata="{}", remainder=0):
    """A lock of an hour, taken at `acquired` microseconds of 1,700,000,000 s."""
    number = {"acquired": 1, "renewed": 2, "released": 3, "expired": 4}[action]
    ttl = 3_600_000_000
    since = 1_700_000_000_000_000 + acquired
    until = 1_700_000_000_000_000 + position + ttl
    head = struct.pack(">QQ", LOCK_ID >> 64, LOCK_ID & (1 << 64) - 1)
    head += struct.pack("<QQQQB3xI", token, ttl, since, until, number, len(metadata.encode()))
    fields = field(8, head) + field(9, path.encode()) + field(3, b"agent")
    if remainder:
        fields += field(7, struct.pack("<I", remainder))
    body = (f'{{"action":"{action}","lock":{{"resource_path":{json.dumps(path, ensure_ascii=False)},'
            f'"holder_agent":"agent","lock_id":"{uuid.UUID(int=LOCK_ID)}","token":{token},'
            f'"acquired_at":"{stamp(since)}","expires_at":"{stamp(until)}","metadata":{metadata}}}}}')
    return record(LOCK, position, fields, body.encode())


def restart(position):
    return record(RESTART, position, b"", b"")


# Batches and segments


class Log:
    def __init__(self):
        self.draws = 2
        self.uuid = struct.pack("<QQ", chance(1), chance(2))
        self.term, self.batch, self.position, self.chain = 1, 0, 0, 0
        self.segment, self.length, self.data = 0, 0, None

    def open(self):
        """Begins a segment; returns the bytes of the one before."""
        finished = self.data
        self.draws += 1
        self.salt = chance(self.draws)
        self.segment += 1
        head = b"ENGRAMWL" + struct.pack("<II", 1, BLOCK) + self.uuid
        head += struct.pack("<QQQQQQQII", self.segment, self.term, self.batch + 1, self.position + 1, self.salt, SEGMENT,
                            self.length, self.chain, 0)
        head = head.ljust(BLOCK - 4, b"\0")
        self.data = bytearray(SEGMENT)
        self.data[:BLOCK] = head + struct.pack("<I", crc32c(head))
        self.length = BLOCK
        return finished

    def compose(self, records, flags=0):
        body, checksums = b"", b""
        for one in records:
            body += one + b"\0" * (-len(one) % 8)
            checksums += one[-4:]
        chained = struct.pack("<QQQIIIII", self.term, self.batch + 1, self.position + 1, len(records), len(body),
                              crc32c(checksums), self.chain, flags)
        chain = crc32c(chained)
        head = b"ENGBATCH" + struct.pack("<Q", self.salt) + chained
        head += struct.pack("<IQQ", chain, self.position, self.segment)
        head = head.ljust(124, b"\0")
        data = head + struct.pack("<I", crc32c(head)) + body
        return data + b"\0" * (-len(data) % BLOCK), chain

    def append(self, records, flags=0):
        data, self.chain = self.compose(records, flags)
        self.data[self.length:self.length + len(data)] = data
        self.length += len(data)
        self.batch += 1
        self.position += len(records)


def clean():
    """A first life, a restart, a seal, and a second owner."""
    log = Log()
    log.open()
    log.append([context(1, 1, b'{"id":"ctx"}'), unit(2, 1, b'{"id":"one"}')])
    log.append([unit(3, 2, b"x" * 5000)])
    log.append([])
    log.append([unit(4, 3, b'{"id":"three"}')])
    one = bytes(log.open())
    log.append([unit(5, 4, b"y" * 100), unit(6, 5, b""), unit(7, 6, b"z" * 9)])
    log.append([], flags=1)
    log.term = 2
    two = bytes(log.open())
    log.append([unit(8, 7, b'{"id":"seven"}')])
    return {"clean/0000000000000001.wal": one, "clean/0000000000000002.wal": two,
            "clean/0000000000000003.wal": bytes(log.data)}


def torn():
    """The last write left its first block only."""
    log = Log()
    log.open()
    log.append([unit(1, 1, b'{"id":"one"}')])
    data, _ = log.compose([unit(2, 2, b"w" * 6000), unit(3, 3, b"v")])
    log.data[log.length:log.length + BLOCK] = data[:BLOCK]
    return {"torn/0000000000000001.wal": bytes(log.data)}


def locks():
    """Two locks taken by one request, a restart, and the other things that happen to a lock."""
    log = Log()
    log.open()
    log.append([lock(1, "acquired", "repo/a", 1, 1, remainder=1),
                lock(2, "acquired", 'repo/"ü"', 2, 2, '{"why":"tests"}')])
    log.append([restart(3), lock(4, "renewed", "repo/a", 1, 1)])
    log.append([lock(5, "released", "repo/a", 1, 1), lock(6, "expired", 'repo/"ü"', 2, 2, '{"why":"tests"}')])
    return {"locks/0000000000000001.wal": bytes(log.data)}


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    differing = []
    for name, data in {**clean(), **torn(), **locks()}.items():
        path = os.path.join(here, name)
        if "--check" in sys.argv:
            with open(path, "rb") as file:
                if file.read() != data:
                    differing.append(name)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    for name in differing:
        print("differs:", name)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
