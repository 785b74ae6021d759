"""Clients that keep a pace, as processes of their own so that they don't share an interpreter: they print one JSON line.

    paced.py post PORT RATE SECONDS CONNECTIONS BODYFILE...       posts at a steady rate, over the files in turn
    paced.py read PORT RATE SECONDS CONTEXT...                    reads the newest 100 units of contexts, in turn
"""

import gc
import json
import selectors
import socket
import sys
import time


def connect(port):
    wire = socket.create_connection(("127.0.0.1", port), timeout=10)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return wire


def length_of(data):
    """Bytes of the whole reply at the front of `data`, or None while its head is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        raise ValueError("a reply without Content-Length")
    return end + 4 + int(head[at + 15:].split(b"\r\n", 1)[0])


def post(port, rate, seconds, connections, files):
    """Sends on a schedule that doesn't wait for answers; an answer that is late frees its connection late."""
    requests = []
    for path in files:
        with open(path, "rb") as file:
            body = file.read()
        requests.append(
            b"POST /workunit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    selector = selectors.DefaultSelector()
    free = []
    for _ in range(connections):
        wire = connect(port)
        selector.register(wire, selectors.EVENT_READ, bytearray())
        free.append(wire)
    sent = answered = refused = 0
    begun = due = time.perf_counter()
    end = begun + seconds
    interval = 1 / rate
    while (now := time.perf_counter()) < end:
        while due <= now and free:
            free.pop().sendall(requests[sent % len(requests)])
            sent += 1
            due += interval
        for key, _ in selector.select(max(0.0, due - now) if free else 0.1):
            chunk = key.fileobj.recv(65536)
            if not chunk:
                raise ConnectionError("the server closed a connection")
            key.data.extend(chunk)
            length = length_of(key.data)
            if length is not None and len(key.data) >= length:
                refused += not key.data.startswith(b"HTTP/1.1 2")
                answered += 1
                key.data.clear()
                free.append(key.fileobj)
    return {"sent": sent, "answered": answered, "refused": refused, "seconds": time.perf_counter() - begun}


def read(port, rate, seconds, contexts):
    """One connection, one read at a time. A latency runs from the send to the last byte; a read that is due while
    the one before it still runs is timed from when it was due: a stall counts for every read that it delayed."""
    wire = connect(port)
    requests = [
        f"GET /workunits/{context}?limit=100&reverse=true HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for context in contexts]
    buffer = bytearray(4 << 20)
    view = memoryview(buffer)

    def exchange(request):
        wire.sendall(request)
        filled, length = 0, None
        while length is None or filled < length:
            count = wire.recv_into(view[filled:])
            if count == 0:
                raise ConnectionError("the server closed the connection")
            filled += count
            if length is None:
                length = length_of(bytes(view[:min(filled, 16384)]))
        return length

    # Each context once, to see that a page is a page; this also warms nothing that a real reader would not.
    for request in requests:
        length = exchange(request)
        body = bytes(view[:length]).split(b"\r\n\r\n", 1)[1]
        units = json.loads(body)["work_units"]
        order = [unit["sequence"] for unit in units]
        if len(units) != 100 or order != sorted(order, reverse=True):
            raise ValueError(f"not the newest 100 units, newest first: {len(units)} of them")
    latencies = [[] for _ in contexts]
    refused = turn = 0
    gc.disable()
    begun = due = time.perf_counter()
    end, interval = begun + seconds, 1 / rate
    while True:
        now = time.perf_counter()
        if now >= end:
            break
        if due > now:
            time.sleep(due - now)
            start = time.perf_counter()
        else:
            start = due
        exchange(requests[turn % len(requests)])
        latencies[turn % len(requests)].append(time.perf_counter() - start)
        refused += not view[:10].tobytes().startswith(b"HTTP/1.1 2")
        turn += 1
        due += interval
    return {"reads": turn, "refused": refused, "seconds": time.perf_counter() - begun, "latencies": latencies}


def main():
    kind, port, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    if kind == "post":
        result = post(port, rate, seconds, int(sys.argv[5]), sys.argv[6:])
    else:
        result = read(port, rate, seconds, sys.argv[5:])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
