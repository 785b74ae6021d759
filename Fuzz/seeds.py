"""Writes the seeds of the corpora that people thought of: `python3 Fuzz/seeds.py`. They are committed; runs grow from
them. Files named by a hash come from runs (`run.py --keep`)."""

import base64
import hmac
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
TARGET = "01900000-0000-7abc-8000-000000000002"

HEADS = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET /healthz HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
    "POST /workunit HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer egr_abc\r\nContent-Length: 3\r\n"
    "Content-Type: application/json\r\nIdempotency-Key: k\r\nPrefer: return=minimal\r\nX-Request-ID: r-1\r\n\r\n{}\n",
    "POST /workunits HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\nexpect: 100-Continue\r\n\r\n0\r\n\r\n",
    "GET /stream?context=a&after=12&ticket=t HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Origin: http://a\r\n\r\n",
    "DELETE /locks/a|b%2Fc?force=true&q=\"<> HTTP/1.1\r\nHost: [::1]:80\r\nConnection: Close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a.example:80/p?q HTTP/1.1\r\nHost: A.example:80\r\n\r\n",
    "GET HTTPS://[2001:db8::7] HTTP/1.1\r\nHost: [2001:DB8::7]\r\n\r\n",
    "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    "PATCH //two//slashes HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t padded \t \r\nZ: \"in\t side\" \u00fc\r\n\r\n",
    "HEAD / HTTP/1.7\r\nHost: a_b-c~d.e\r\nTE: trailers\r\nCookie: a=b\r\nCookie: c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost:8080\r\nOrigin: http://LOCALHOST:8080\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nOrigin: http://127.0.0.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: 127.1.2.3.localhost\r\nOrigin: null\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: 127.0.0.01\r\nOrigin: https://127.0.0.01\r\n\r\n",
    "GET / HTTP/1.1\r\n folded\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]

BODIES = [
    b"\x005\r\nhello\r\n0\r\n\r\n", b"\x00a;x=1;y=\"q\\\"\"\r\n0123456789\r\n0\r\nTrailer: x\r\nB: \r\n\r\nrest",
    b"\x0119\r\nabc\r\n", b"\x000\r\n\r\n", b"\x00FFFFFFFFFFFFFFFF\r\n", b"\x0000000000000000005\r\n", b"\x853abcde",
    b"\x83abcdef", b"\xffabc", b"\x001\r\na\r\n1\r\nb\r\n0;e\r\n\r\n", b"\x001\na\n0\n\n", b"\x005 \r\nhello\r\n0\r\n\r\n",
]

UNIT = '{"context_id":"c","agent_id":"a","type":"MESSAGE","payload":"hello"%s}'
JSON = [
    UNIT % "", UNIT % ',"metadata":{"a":"1","b\\n":"\\ud83d\\ude00"}',
    UNIT % f',"id":"{TARGET}","ts":[1,{{"x":null}}],"expected_sequence":3',
    '{"context_id":"c","type":3,"payload":"aGVsbG8=","payload_encoding":"base64"}',
    UNIT % f',"relationships":[{{"target_id":"{TARGET}","type":"CAUSES","meta":{{"k":"v"}}}}]',
    UNIT % ',"fence":{"resource_path":"/a/b","token":7},"meta":{}',
    '{"work_units":[%s,%s]}' % (UNIT % "", UNIT % ""), "[%s]" % (UNIT % ""), "%s\r\n\n%s" % (UNIT % "", UNIT % ""),
    '{"query":"\\"a b\\" c* -d","context_ids":["a","b"],"agent_ids":["x"],"types":["ERROR",2],"metadata":{"k":"v"},'
    '"since":"2024-02-29T23:59:60.5+01:00","until":"2025-01-01T00:00:00Z","order":"recent","limit":5,"offset":2,'
    '"highlight":true,"min_position":9,"wait_seconds":1.5}',
    '{"resource_paths":["/a","b/c"],"ttl_seconds":1e1,"wait_seconds":0,"agent_id":"a","metadata":{"w":"\\u0000"}}',
    '{"resource_path":"a/b"}', f'{{"lock_id":"{TARGET}","ttl_seconds":0.1}}',
    f'{{"display_name":"n","add_agents":["a"],"remove_agents":["b"],"pin_units":["{TARGET}"],"metadata":{{"k":null}}}}',
    f'{{"target_id":"{TARGET}","relationship_types":["CAUSES"],"direction":"both","depth":2,"limit":3}}',
    "[" * 33 + "]" * 33, "[" * 32 + "]" * 32, '{"a":1,"\\u0061":2}', "[1.5e+3,-0,9007199254740991,9007199254740992]",
    '"\\ud83d"', "\ufeff{}", '["\\u00e9\\/\\b\\f\\r\\t", true, false, null]', "{} x",
]

MESSAGES = [
    '{"type":"ping"}', '{"type":"unsubscribe","ref":7}',
    '{"type":"subscribe","ref":"r","contexts":["c","d"],"after":"12","types":["ERROR",1],"agents":["a"],'
    '"events":["workunit","lock"],"lock":"a/b"}',
    '{"type":"publish","ref":"\\u0061","work_unit":%s}' % (UNIT % ""), '{"type":"publish","work_unit":{}}',
    '{"ref":"x","type":"nothing"}', "é日本語👩‍👩‍👧",
]

PATHS = [
    "a/b", "/a/b", "/locks/a%2Fb/c", "a//b", "a/../b", "a/./b", "a/", "%2e%2e/x", "%252e", "v1/locks/x", "v1/v1/healthz",
    "workunit/01900000-0000-7abc-8000-000000000002/payload", "contexts/%C3%A9/workunits", "contexts/%ff", "%", "%2",
    "%00", "a%0Ab", "caf\u00e9/\u65e5", "workunits/c", "search/relationships", "stream/sse", "%6cocks/a", "locks", "locks/",
    "repo/*/src/**", "...", ".hidden", "a b", "\u0085", "openapi.json", "auth/ticket",
]


NUMBERS = ["01", "-01", "1.", ".5", "+1", "1e", "1e+", "0x1", "-", "00", "1.e1", "1E400", "-0.0"]
BROKEN = ["tru", "nul", '{"a":1,}', "[1,]", "[,1]", '{"a"}', "{a:1}", "'a'", '"\x01"', '"\\x"', '"\\u12"', '"', "[", "{}}", "\x0c1"]

SECRET = b"\x5a" * 32
NOW = 1_700_000_000
CLAIMS = '{"exp":1700000100,"nbf":1699999999,"iat":1699999990,"iss":"i","aud":["x","engram"],"sub":"a","r":{"roles":["w"]}}'
CREDENTIALS = [
    ('{"alg":"HS256","typ":"JWT","kid":"k"}', CLAIMS),
    ('{"alg":"HS256"}', CLAIMS.replace('["x","engram"]', '"engram"').replace('["w"]', '"a b"')),
    ('{"alg":"none"}', CLAIMS), ('{"alg":"RS256","kid":"k"}', CLAIMS), ('{"alg":"HS256","crit":["exp"]}', CLAIMS),
    ('{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}', CLAIMS), ('{"alg":"HS256","alg":"HS256"}', CLAIMS),
    ('{"alg":"HS256"}', CLAIMS.replace("1700000100", "1699999996.9")), ('{"alg":"HS256"}', CLAIMS.replace("1700000100", "17e9")),
    ('{"alg":"HS256"}', CLAIMS.replace('"sub":"a",', "")), ('{"alg":"HS256","kid":""}', CLAIMS), ('{"alg":"HS256"}', "[]"),
    ('{"alg":"HS256"}', CLAIMS.replace('"a"', '"\\u0000"')), ('{"alg":"HS256","cty":"JWT"}', CLAIMS),
]
SETS = [
    '{"keys":[{"kty":"oct","kid":"a","k":"%s"}]}' % ("A" * 43),
    '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA"}]}',
    '{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
    '"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"1","key_ops":["verify"]}]}',
    '{"keys":[{"kty":"RSA","n":"%s","e":"AQAB"},{"kty":"oct","k":"AAAA","use":"enc"}]}' % ("w" * 342),
    '{"keys":[]}', '{"keys":[{"kty":"oct","k":"AAAA"}]}', '{"keys":[{"kty":"EC","d":"AA"}]}',
]
LINES = [
    f"# tokens\r\na:r,s:{'ab' * 32}\n\n  b%3Ac::{'CD' * 32}:2030-01-01T00:00:00Z \n", f"a:r:{'0' * 64}:1700000000",
    "a:r:engram_abc", f"a%2:r:{'0' * 64}", f":r:{'0' * 64}", f"a:r,r,:{'0' * 64}", f"a:r:{'0' * 64}\nb:r:{'0' * 64}",
]
FIELDS = ["Bearer abc", "bearer  a.b-c_d~e+f/g==", "Basic abc", "Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer =", "BEARER\ta"]

PATTERNS = [
    ("context/**", "a", "x/y"), ("context/a/**", "a", "a"), ("context/a/**/b", "a", "a/x/y/b"), ("lock/{agent}/*", "bob", "bob/x"),
    ("lock/team-*-x/{agent}.lock", "*", "team-1-x/*.lock"), ("context/**/a/**/b/**", "a", "a/a/b/a/b/b"),
    ("context/{agent}", "a/b", "a/b"), ("context/*", "a", ""), ("lock/**/**", "a", ""), ("context/a**", "a", "ab"),
    ("context/a*b*", "a", "ab"), ("lock//a", "a", "/a"), ("context/{agent", "a", "a"), ("x/a", "a", "a"),
]

FILES = [
    '[server]\nlisten = "127.0.0.1:8080"\ndata_dir = "d"\nloops = 2\n[auth]\nproviders = ["token"]\n[auth.token]\nfile = "t"\n'
    '[[policy]]\nroles = ["w"]\nverbs = ["context:read", "search"]\nresources = ["context/{agent}/**"]\n',
    '[auth]\nproviders = ["jwt"]\n[auth.jwt]\njwks = "k"\nissuer = "i"\naudience = ["e"]\n[[policy]]\nagents = ["*"]\n'
    'verbs = ["lock:acquire"]\nresources = ["lock/**"]\n[[policy]]\nroles=["x"]\nverbs=["metrics"]\n',
    '[tls]\ncertificate = "c"\nkey = "k"\nclient_certificates = "required"\nclient_ca = "a"\n[auth]\nproviders = ["mtls"]\n'
    '[auth.mtls]\nroles = []\n[server]\nlisten = "0.0.0.0:1"\n',
    '[server]\nlisten = "0.0.0.0:8080"\n', "[server]\nlistn = 1\n", "a.b.c = 1\n", "[[policy]]\n", "[policy]\n", "x = [1, 2.5, 1979-05-27]\n",
    "a" + ".a" * 20 + " = 1\n", "[.]\n", 't = \'\'\'a\nb\'\'\'\nu = """\\u00e9\n"""\n', '"auth.token" = {file = "x"}\n', "[limits]\nagent_requests_per_second = -1\n",
    "[limits]\nagent_request_burst = 5\n", "# nothing\r\n", "a = {b = {c = [[[[]]]]}}\n", "\ufeffx = 1", '"\\u0000" = 1\n"a\\nb" = 2\n',
]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def credentials():
    for header, claims in CREDENTIALS:
        yield b"\x01" + header.encode() + b"\0" + claims.encode()
    for header, claims in CREDENTIALS[:6]:
        text = base64url(header.encode()) + b"." + base64url(claims.encode())
        yield b"\x00" + text + b"." + base64url(hmac.new(SECRET, text, "sha256").digest())
    yield from (b"\x02" + text.encode() for text in SETS)
    yield from (b"\x03" + text.encode() for text in LINES)
    yield from (b"\x04" + text.encode() for text in FIELDS)


def frame(opcode, payload, final=True, key=b"\0\0\0\0", declared=None):
    """A client's frame. Masked with zeros the payload stands there as it is, for the dictionary to meet."""
    length = len(payload) if declared is None else declared
    head = bytes([(0x80 if final else 0) | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += b"\xfe" + struct.pack(">H", length)
    else:
        head += b"\xff" + struct.pack(">Q", length)
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def frames():
    texts = [message.encode() for message in MESSAGES]
    yield from (frame(1, text) for text in texts)
    yield frame(1, texts[2][:40], False) + frame(9, b"ping") + frame(0, texts[2][40:])
    yield frame(1, "é".encode()[:1], False) + frame(0, "é".encode()[1:], key=b"abcd")
    yield frame(8, struct.pack(">H", 1000) + b"bye") + frame(1, b"{}")
    yield frame(8, b"")
    yield frame(8, b"\x03")
    yield frame(8, struct.pack(">H", 1005))
    yield frame(2, b"binary")
    yield frame(10, b"pong") + frame(1, b"", False) + frame(0, b"", False) + frame(0, b"", False)
    yield frame(1, b"x" * 200, declared=1 << 62)
    yield frame(1, b"x" * 200) + frame(1, b"", declared=601)
    yield frame(1, b"\xff\xfe")
    yield b"\x81\x05hello"
    yield b"\xc1\x80\0\0\0\0"


def records():
    field = lambda tag, value: struct.pack("<HH", tag, len(value)) + value
    head = lambda kind, fields, body: struct.pack(
        "<IBBHQQII", 36 + len(fields) + len(body), kind, 1, 0, 5, 1_700_000_000_000_000, len(fields), len(body)
    ) + fields + body + b"\0\0\0\0"
    body = (b'{"id":"01900000-0000-7abc-8000-000000000002","payload":"hello","payload_encoding":"utf8","relationships":'
            b'[{"target_id":"01900000-0000-7abc-8000-000000000002","type":"CAUSES","metadata":{}}],"sequence":1}')
    place = body.index(b'"hello"')
    unit = field(1, bytes(16) + struct.pack("<QQQBBHIII", 1, 2, 3, 1, 0, 0, 0, place, 7))
    yield head(1, unit + field(2, b"c") + field(3, b"a"), body)
    yield head(1, unit + field(4, bytes(16) + b"key") + field(5, bytes(8) + b"a/b") + field(7, bytes(4)), body)
    context = (b'{"id":"c","display_name":"n","agent_ids":["a","b"],"pinned_units":[],"metadata":{"k":"v"},'
               b'"created_at":"2024-01-01T00:00:00.000000Z","updated_at":"2024-01-01T00:00:00.000000Z","revision":3,'
               b'"last_sequence":9}')
    yield head(2, field(6, struct.pack("<QQQ", 3, 9, 1)) + field(2, b"c") + field(3, b"a"), context)
    lock = field(8, bytes(16) + struct.pack("<QQQQBBHI", 7, 60, 1, 2, 1, 0, 0, 2)) + field(9, b"a/b") + field(3, b"h")
    yield head(3, lock, b'{"action":"acquired","lock":{"resource_path":"a/b","metadata":{}}}')
    yield head(4, b"", b"")
    yield head(9, field(2, b"c" * 70), b"x")


def logs():
    yield from (b"\0" + record for record in records())
    yield b"\x01\x00"
    edit = lambda place, what, value: struct.pack("<HBB", place, what, value)
    for place, what, value in [
        (4096, 0, 1), (4096 + 60, 0, 8), (8192, 2, 0), (20000, 2, 0), (4200, 1, 0), (100, 0, 255), (8192, 3, 5),
        (8192, 4, 9), (30000, 0, 1), (4096 + 124, 0, 1),
    ]:
        yield b"\x01" + bytes([value % 12]) + edit(place, what, value)
        yield b"\x01\0" + edit(place, what, value) + edit((place * 7) % 65536, what + 1, value)
    for record in records():
        yield b"\x02" + bytes([min(255, len(record) - 1)]) + record + bytes([40]) + record[:41]


def write(target, inputs):
    folder = HERE / "Corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("seed-*"):
        old.unlink()
    for number, content in enumerate(inputs, 1):
        (folder / f"seed-{number:02}").write_bytes(content)


def main():
    write("http-head", [head.encode() for head in HEADS])
    write("chunked-body", BODIES)
    write("websocket", frames())
    write("json", [text.encode() for text in JSON + MESSAGES + NUMBERS + BROKEN])
    write("jwt", credentials())
    write("toml-policy", ["\0".join(("",) + parts).encode() for parts in PATTERNS] + [text.encode() for text in FILES])
    write("lock-path", [path.encode() for path in PATHS])
    write("log-record", logs())


if __name__ == "__main__":
    main()
