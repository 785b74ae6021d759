"""TLS as others speak it: openssl, curl and Python's ssl against the real program."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

import certificates
from certificates import Authority, openssl
from guarded import toml
from harness import ANSWER_SECONDS, Client, Names, NotReady, Options, Raw, Server, http_request, scratch_directory, unit, until
from websocket import WebSocket


class Site:
    """A directory of certificates, and a server that speaks TLS with one of them."""

    def __init__(self, *flags, start=True, more="", **tls):
        """`more` stands in the configuration behind the section `[tls]`."""
        self.more = more
        self.directory = scratch_directory()
        self.authority = Authority(os.path.join(self.directory, "certificates"))
        self.pair = self.authority.issue("server")
        self.settings = {"certificate": self.pair[0], "key": self.pair[1]} | tls
        self.config = pathlib.Path(self.directory, "engram.toml")
        self.configure()
        self.server = Server("--config", str(self.config), *flags, start=start)

    def configure(self, **changed):
        self.settings |= changed
        lines = [f"{name} = {json.dumps(value)}" for name, value in self.settings.items()]
        self.config.write_text("[tls]\n" + "\n".join(lines) + "\n" + self.more)

    def context(self, certificate=None, version=None, alpn=None, verify=True):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(*certificate)
        if version:
            context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def client(self, context=None, timeout=ANSWER_SECONDS):
        """The harness's client over TLS."""
        client = Client(self.server.port, timeout)
        client.connection = http.client.HTTPSConnection(
            "localhost", self.server.port, timeout=timeout, context=context or self.context())
        return client

    def raw(self, context=None, session=None, timeout=ANSWER_SECONDS):
        """A socket after its handshake, with nothing in between but TLS."""
        raw = Raw(self.server.port, timeout)
        raw.socket = (context or self.context()).wrap_socket(raw.socket, server_hostname="localhost", session=session)
        return raw

    def s_client(self, *arguments, data=b"", check=False):
        return openssl(
            "s_client", "-connect", f"localhost:{self.server.port}", "-CAfile", self.authority.certificate, *arguments,
            data=data, check=check).decode(errors="replace")

    def curl(self, path, *arguments, scheme="https"):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "20", "--cacert", self.authority.certificate, *arguments,
             f"{scheme}://localhost:{self.server.port}{path}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode(errors="replace")

    def metric(self, name, **labels):
        text = self.client().get("/metrics").body.decode()
        label = "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else ""
        return float(re.search(rf"^{re.escape(name + label)} (\S+)$", text, re.M).group(1))

    def failures(self, cause):
        return self.metric("engram_tls_handshake_failures_total", cause=cause)

    def discard(self):
        self.server.discard()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.discard()


class TLSTests(unittest.TestCase):
    """One server, without client certificates."""

    @classmethod
    def setUpClass(cls):
        cls.site = Site()

    @classmethod
    def tearDownClass(cls):
        cls.site.discard()

    def test_curl_speaks_every_version_there_is(self):
        for flags in ([], ["--tlsv1.3"], ["--tls-max", "1.2"], ["--http2"], ["--http1.1"], ["--no-alpn"]):
            with self.subTest(flags=flags):
                code, said = self.site.curl("/healthz", "-w", "%{http_version} %{http_code}", *flags)
                self.assertEqual((code, said), (0, "OK1.1 200") if said.startswith("OK1") else (0, "OK\n1.1 200"))

    def test_versions(self):
        for flag, spoken in (("-tls1", None), ("-tls1_1", None), ("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            with self.subTest(version=flag):
                said = self.site.s_client(flag, "-cipher", "DEFAULT@SECLEVEL=0")
                if spoken:
                    self.assertIn(f"New, {spoken}", said)
                    self.assertIn("Verify return code: 0", said)
                else:
                    self.assertIn("Cipher is (NONE)", said)
                    self.assertIn("alert protocol version", said)

    def test_suites(self):
        spoken = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
        refused = ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384",
                   "ECDHE-ECDSA-AES128-CCM", "PSK-AES128-GCM-SHA256"]
        for suite in spoken + refused:
            with self.subTest(suite=suite):
                said = self.site.s_client("-tls1_2", "-cipher", f"{suite}@SECLEVEL=0")
                self.assertIn(f"Cipher is {suite}" if suite in spoken else "Cipher is (NONE)", said)
        for suite in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
            with self.subTest(suite=suite):
                self.assertIn(f"Cipher is {suite}", self.site.s_client("-tls1_3", "-ciphersuites", suite))
        self.assertIn("Cipher is (NONE)", self.site.s_client("-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"))

    def test_groups(self):
        for group, spoken in (("X25519", True), ("P-256", True), ("P-384", True), ("P-521", False), ("X448", False)):
            with self.subTest(group=group):
                self.assertEqual("Cipher is (NONE)" not in self.site.s_client("-groups", group), spoken)

    def test_protocols(self):
        with self.site.raw(self.site.context(alpn=["h2", "http/1.1"])) as raw:
            self.assertEqual(raw.socket.selected_alpn_protocol(), "http/1.1")
        with self.site.raw() as raw:
            self.assertIsNone(raw.socket.selected_alpn_protocol())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
                self.site.raw(self.site.context(alpn=["h2"], version=version))

    def test_compression_and_early_data_are_off(self):
        said = self.site.s_client("-tls1_2")
        self.assertIn("Compression: NONE", said)
        self.assertIn("Secure Renegotiation IS supported", said)
        self.assertIn("Early data was not sent", self.site.s_client("-tls1_3"))
        self.assertNotRegex(self.site.s_client("-tls1_3", data=b"\n"), r"Max Early Data: [1-9]")

    def test_renegotiation_is_refused(self):
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"localhost:{self.site.server.port}", "-tls1_2", "-CAfile",
             self.site.authority.certificate], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(0.3)
        process.stdin.write(b"R\n")
        process.stdin.flush()
        said, _ = process.communicate(timeout=20)
        self.assertIn(b"RENEGOTIATING", said)
        self.assertRegex(said, rb"no renegotiation")

    def test_plain_http_is_told_so(self):
        code, said = self.site.curl("/healthz", "-w", "%{http_code}", scheme="http")
        self.assertEqual((code, said), (0, "This port speaks TLS: use https.\n400"))
        with self.site.server.raw() as raw:
            raw.send(http_request("POST", "/workunit", unit(Names.fresh())))
            self.assertEqual(raw.answer().status, 400)
            self.assertTrue(raw.ended())

    def test_resumption(self):
        said = self.site.s_client("-tls1_2", "-reconnect")
        self.assertEqual((said.count("New, TLSv1.2"), said.count("Reused, TLSv1.2")), (1, 5))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                context, session = self.site.context(version=version), None
                for turn in range(5):
                    with self.site.raw(context, session) as raw:
                        self.assertEqual(raw.socket.session_reused, turn > 0)
                        raw.send(http_request("GET", "/healthz"))
                        self.assertEqual(raw.answer().status, 200)
                        session = raw.socket.session
        self.assertGreaterEqual(self.site.metric("engram_tls_handshakes_total", kind="resumed"), 13)

    def test_large_bodies_go_both_ways(self):
        payload = os.urandom(8 << 20)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name), self.site.client(self.site.context(version=version)) as client:
                made = client.create(unit(Names.fresh(), payload))
                answer = client.get(f"/workunit/{made['id']}/payload")
                self.assertEqual((answer.status, answer.body == payload), (200, True))

    def test_a_client_may_ask_for_small_records(self):
        """RFC 6066, section 4, as small devices do."""
        whole = self.site.client().get("/openapi.json").body
        for version in ("-tls1_2", "-tls1_3"):
            for length in ("512", "1024", "2048", "4096"):
                with self.subTest(version=version, length=length):
                    told = openssl(
                        "s_client", "-connect", f"localhost:{self.site.server.port}", "-CAfile", self.site.authority.certificate,
                        version, "-maxfraglen", length, "-quiet", "-ign_eof",
                        data=http_request("GET", "/openapi.json", fields=["Connection: close"]), check=False)
                    self.assertTrue(told.endswith(whole), len(told))

    def test_requests_may_come_in_many_records_or_many_in_one(self):
        context = Names.fresh()
        request = http_request("POST", "/workunit", unit(context, "x" * 100))
        with self.site.raw() as raw:
            raw.send(request * 20)
            for _ in range(20):
                self.assertEqual(raw.answer().status, 201)
            for place in range(len(request)):
                raw.send(request[place:place + 1])
            self.assertEqual(raw.answer().status, 201)
        with self.site.client() as client:
            self.assertEqual(len(client.all_units(context)), 21)

    def test_an_answer_ends_with_close_notify(self):
        with self.site.raw() as raw:
            raw.send(http_request("GET", "/healthz", fields=["Connection: close"]))
            self.assertEqual(raw.answer().status, 200)
            # Python raises at an end without close_notify (suppress_ragged_eofs would hide it).
            raw.socket.suppress_ragged_eofs = False
            self.assertEqual(raw.socket.recv(10), b"")

    def test_a_client_that_half_closes_gets_its_answer(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                session = self.site.context(version=version).wrap_bio(incoming, outgoing, server_hostname="localhost")
                with socket.create_connection(("127.0.0.1", self.site.server.port), timeout=ANSWER_SECONDS) as wire:

                    def step(action):
                        while True:
                            try:
                                result = action()
                                wire.sendall(outgoing.read())
                                return result
                            except ssl.SSLWantReadError:
                                wire.sendall(outgoing.read())
                                more = wire.recv(65536)
                                incoming.write(more) if more else incoming.write_eof()

                    step(session.do_handshake)
                    session.write(http_request("POST", "/workunit", unit(Names.fresh(), "half")))
                    # The first call says close_notify, and would wait for the server's.
                    with self.assertRaises(ssl.SSLWantReadError):
                        session.unwrap()
                    answer = step(lambda: session.read(65536))
                    self.assertTrue(answer.startswith(b"HTTP/1.1 201 "), answer)

    def test_a_request_cut_in_two_is_none(self):
        context = Names.fresh()
        request = http_request("POST", "/workunit", unit(context, "cut"))
        for kept in (10, len(request) // 2, len(request) - 1):
            with self.site.raw() as raw:
                raw.send(request[:kept])
                # The FIN, and no close_notify before it.
                socket.socket.shutdown(raw.socket, socket.SHUT_WR)
                self.assertIsNone(raw.answer())
        with self.site.client() as client:
            self.assertEqual(client.all_units(context), [])

    def test_garbage(self):
        handshakes = [os.urandom(size) for size in (1, 5, 100, 20000)]
        handshakes += [b"\x16\x03\x01" + len(body).to_bytes(2, "big") + body for body in map(os.urandom, (1, 40, 16000))]
        handshakes += [b"\x16\x03\x01\xff\xff" + os.urandom(70000), b"\x15\x03\x03\x00\x02\x02\x28", b"\x80\x2e\x01\x00\x02"]
        for bytes_ in handshakes:
            with self.subTest(handshake=bytes_[:8]), self.site.server.raw() as raw:
                raw.send(bytes_)
                try:
                    raw.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # the server was quicker
                while raw._more():
                    pass
        for bytes_ in (os.urandom(100), b"\x17\x03\x03\x00\x20" + os.urandom(32), b"\x17\x03\x03\xff\xff" + os.urandom(100)):
            with self.subTest(record=bytes_[:8]):
                raw = self.site.raw()
                socket.socket.sendall(raw.socket, bytes_)
                with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                    if raw.socket.recv(100) == b"":
                        raise ssl.SSLError("ended")
                raw.close()
        with self.site.client() as client:
            self.assertEqual(client.get("/healthz").status, 200)
        self.assertGreater(self.site.failures("malformed"), 3)
        self.assertGreaterEqual(self.site.metric("engram_tls_broken_sessions_total"), 3)

    def test_a_client_that_trusts_nobody_is_counted(self):
        before = self.site.failures("refused_by_peer")
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.site.raw(ssl.create_default_context())
        until(lambda: self.site.failures("refused_by_peer") == before + 1)

    def test_server_sent_events(self):
        context = Names.fresh()
        follower = subprocess.Popen(
            ["curl", "-sSN", "--max-time", "30", "--cacert", self.site.authority.certificate,
             f"https://localhost:{self.site.server.port}/stream/sse?context={context}"], stdout=subprocess.PIPE)
        lines = iter(follower.stdout.readline, b"")
        self.assertTrue(any(line == b"event: subscribed\n" for line in lines))
        with self.site.client() as client:
            for n in range(100):
                client.create(unit(context, f"unit {n} " + "x" * (n * 300)))
        seen = []
        for line in lines:
            if line.startswith(b"data: ") and b"work" not in line[:10] and b'"payload"' in line:
                seen.append(json.loads(line[6:])["payload"])
                if len(seen) == 100:
                    break
        follower.kill()
        follower.wait()
        follower.stdout.close()
        self.assertEqual(seen, [f"unit {n} " + "x" * (n * 300) for n in range(100)])

    def test_web_sockets(self):
        site = self.site

        class Secure(WebSocket):
            def _upgrade(self, request):
                self.socket = site.context().wrap_socket(self.socket, server_hostname="localhost")
                super()._upgrade(request)

        context = Names.fresh()
        with Secure(site.server.port, context=context) as follower, Secure(site.server.port, context=context) as writer:
            for end in (follower, writer):
                end.subscribed()
            for n in range(50):
                writer.text({"type": "publish", "ref": str(n), "work_unit": unit(context, "y" * (n * 500))})
            payloads = [found["payload"] for found in follower.units(50)]
            self.assertEqual(payloads, ["y" * (n * 500) for n in range(50)])


class TLSMutualTests(unittest.TestCase):
    """Client certificates, asked for and demanded."""

    def serve(self, wanted, more=""):
        directory = scratch_directory()
        authority = Authority(os.path.join(directory, "clients"))
        site = Site(client_certificates=wanted, client_ca=authority.certificate, more=more)
        self.stolen = lambda: authority.steal("stolen", of="anna")
        self.addCleanup(shutil.rmtree, directory, True)
        self.addCleanup(site.discard)
        good = authority.issue("anna", certificates.CLIENT_NAMES)
        ended = authority.issue("ended", certificates.CLIENT_NAMES, days=-1)
        foreign = site.authority.issue("foreign", certificates.CLIENT_NAMES)
        return site, good, ended, foreign

    def status(self, site, certificate, version):
        """What /healthz answers; None when the handshake fails."""
        try:
            with site.raw(site.context(certificate, version)) as raw:
                raw.send(http_request("GET", "/healthz"))
                return raw.answer().status
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            return None

    def test_client_certificates(self):
        for wanted in ("optional", "required"):
            site, good, ended, foreign = self.serve(wanted)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.subTest(wanted=wanted, version=version.name):
                    self.assertEqual(self.status(site, good, version), 200)
                    self.assertEqual(self.status(site, None, version), 200 if wanted == "optional" else None)
                    self.assertIsNone(self.status(site, ended, version))
                    self.assertIsNone(self.status(site, foreign, version))
            failed = 0 if wanted == "required" else site.failures("client_certificate")
            self.assertEqual(failed, 0 if wanted == "required" else 4)
            said = site.s_client("-cert", good[0], "-key", good[1])
            self.assertIn("CN = Test Authority", said.split("Acceptable client certificate CA names")[1])

    def test_refused_certificates_are_lines_of_the_audit(self):
        for wanted in ("optional", "required"):
            home = scratch_directory()
            self.addCleanup(shutil.rmtree, home, True)
            audit = pathlib.Path(home, "audit.log")
            site, good, ended, foreign = self.serve(wanted, toml({"audit": {"file": str(audit)}}))
            lines = lambda: [json.loads(line) for line in audit.read_text().splitlines()
                             if "authentication_failure" in line]
            refused = [ended, foreign, self.stolen()] + ([None] if wanted == "required" else [])
            expected = 0
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                for certificate in refused:
                    with self.subTest(wanted=wanted, version=version.name, certificate=certificate):
                        self.assertIsNone(self.status(site, certificate, version))
                        expected += 1
                        until(lambda: len(lines()) == expected, what=f"line {expected} of {lines()}")
                        line = lines()[-1]
                        line.pop("time")
                        self.assertEqual(line, {"event": "authentication_failure", "result": "failure",
                                                "address": "127.0.0.1", "reason": "certificate"})
            # What isn't about a certificate is noise, and who is let in is no failure.
            self.assertEqual(site.curl("/healthz", scheme="http")[0], 0)
            site.s_client("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
            with site.server.raw() as raw:
                raw.send(b"\x16\x03\x01\x00\x05\x09\x00\x00\x01\x00")
                while raw._more():
                    pass
            self.assertEqual(self.status(site, good, ssl.TLSVersion.TLSv1_3), 200)
            self.assertEqual(site.server.terminate(), 0)
            self.assertEqual(len(lines()), expected)

    def test_bad_certificates_count_against_their_address(self):
        site, good, _, foreign = self.serve("required", toml({
            "auth": {"providers": ["mtls"]}, "limits": {"address_failures_per_second": 1, "address_failure_burst": 5}}))

        def answer(certificate, volley):
            """What comes of a good certificate after so many handshakes with another one, or without."""
            for _ in range(volley):
                self.assertIsNone(self.status(site, certificate, ssl.TLSVersion.TLSv1_3))
            with site.client(site.context(good)) as client:
                return client.get("/contexts").status

        # A page can make its visitors' browsers come without one.
        self.assertEqual(answer(None, 20), 200)
        # A volley on a slow machine may take so long that the address may fail again.
        until(lambda: answer(foreign, 10) == 429, what="the limit")

    def test_curl_with_a_certificate(self):
        site, good, _, _ = self.serve("required")
        self.assertEqual(site.curl("/healthz", "--cert", good[0], "--key", good[1])[0], 0)
        self.assertNotEqual(site.curl("/healthz")[0], 0)

    def test_a_session_keeps_its_certificate(self):
        site, good, _, _ = self.serve("required")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                context = site.context(good, version)
                with site.raw(context) as raw:
                    raw.send(http_request("GET", "/healthz"))
                    self.assertEqual(raw.answer().status, 200)
                    session = raw.socket.session
                with site.raw(context, session) as raw:
                    self.assertTrue(raw.socket.session_reused)
                    raw.send(http_request("GET", "/healthz"))
                    self.assertEqual(raw.answer().status, 200)


class TLSAgentTests(unittest.TestCase):
    """The agent is who the certificate says."""

    @classmethod
    def setUpClass(cls):
        cls.directory = scratch_directory()
        clients = Authority(os.path.join(cls.directory, "clients"))
        pair = lambda name, *names: clients.issue(name, "subjectAltName=" + ",".join(names))
        cls.anna = pair("a", "URI:urn:agent:anna")
        cls.bob = pair("b", "URI:urn:agent:bob")
        cls.twice = pair("c", "URI:urn:agent:anna", "URI:urn:agent:bob")
        cls.nameless = pair("d", "DNS:anna.example")
        cls.more = """
[auth]
providers = ["mtls"]
[auth.mtls]
agent_from = "san_uri"
roles = ["worker"]
[[policy]]
roles = ["worker"]
verbs = ["context:read", "context:write"]
resources = ["context/{agent}"]
[[policy]]
agents = ["urn:agent:anna"]
verbs = ["metrics"]
"""
        cls.site = Site(client_certificates="optional", client_ca=clients.certificate, more=cls.more)

    @classmethod
    def tearDownClass(cls):
        cls.site.discard()
        shutil.rmtree(cls.directory, ignore_errors=True)

    def client(self, certificate, version=None):
        return self.site.client(self.site.context(certificate, version))

    def test_each_sees_and_writes_its_own(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for certificate, agent, other in ((self.anna, "urn:agent:anna", "urn:agent:bob"),
                                              (self.bob, "urn:agent:bob", "urn:agent:anna")):
                with self.subTest(agent=agent, version=version.name), self.client(certificate, version) as client:
                    made = client.post({"context_id": agent, "type": "MESSAGE", "payload": "mine"})
                    self.assertEqual((made.status, made.json()["work_unit"]["agent_id"]), (201, agent))
                    self.assertEqual(client.post(unit(other, "theirs", agent=agent)).status, 403)
                    self.assertEqual(client.post(unit(agent, "as another", agent=other)).status, 403)
                    self.assertEqual(client.get(f"/contexts/{other}").status, 404)
                    self.assertEqual([one["id"] for one in client.get("/contexts").json()["contexts"]], [agent])
                    self.assertEqual(client.get("/metrics").status, 200 if certificate is self.anna else 403)

    def test_who_has_no_name_is_nobody(self):
        for certificate in (None, self.twice, self.nameless):
            with self.subTest(certificate=certificate), self.client(certificate) as client:
                answer = client.get("/contexts")
                self.assertEqual(answer.status, 401)
                self.assertIn("Bearer", answer.headers["www-authenticate"])

    def test_a_page_of_another_origin_does_not_act_by_its_visitors_certificate(self):
        """Browsers show a client certificate whichever page asks (no-cors requests, WebSockets)."""
        mine = {"context_id": "urn:agent:anna", "type": "MESSAGE", "payload": "x"}
        with self.client(self.anna) as client:
            for origins, status in (
                    ({}, 403), ({"cors_origins": ["*"]}, 401), ({"cors_origins": ["https://app.example"]}, 401),
                    ({"cors_origins": ["https://app.example"], "cors_credentials": True}, 201),
                    ({"origins": ["https://app.example"]}, 201)):
                with self.subTest(origins):
                    self.site.more = toml({"browser": origins}) + self.more
                    self.site.configure()
                    reloads = lambda: sum("reloaded" in line for line in self.site.server.stderr)
                    before = reloads()
                    os.kill(self.site.server.process.pid, signal.SIGHUP)
                    until(lambda: reloads() > before, what="the reload")
                    answer = client.post(mine, {"Origin": "https://app.example"})
                    self.assertEqual(answer.status, status)
                    self.assertEqual(
                        client.get("/contexts", {"Origin": "https://app.example"}).status, 401 if status > 201 else 200)
                    self.assertEqual(client.post(mine).status, 201)
                    self.assertEqual(client.post(mine, {"Origin": f"https://localhost:{self.site.server.port}"}).status, 201)

    def test_a_bad_bearer_is_refused_whatever_the_certificate(self):
        with self.client(self.anna) as client:
            self.assertEqual(client.get("/contexts", {"Authorization": "Bearer nothing"}).status, 401)
            self.assertEqual(client.get("/contexts").status, 200)


class TLSAuthorityTests(unittest.TestCase):
    """An authority of clients is taken away while those that it vouched for are there."""

    AGENT = "urn:agent:anna"
    POLICY = f"""
[[policy]]
agents = ["{AGENT}"]
verbs = ["context:read", "context:write"]
resources = ["context/**"]
"""

    def setUp(self):
        directory = scratch_directory()
        self.addCleanup(shutil.rmtree, directory, True)
        self.old, self.new = (Authority(os.path.join(directory, name)) for name in ("old", "new"))
        self.pairs = [authority.issue("a", f"subjectAltName=URI:{self.AGENT}") for authority in (self.old, self.new)]
        self.file = pathlib.Path(directory, "authorities.pem")
        self.tokens = pathlib.Path(directory, "tokens")
        self.tokens.touch(0o600)
        self.trust(self.old)
        self.site = Site(
            client_certificates="optional", client_ca=str(self.file), more=self.providers("mtls") + self.POLICY)
        self.addCleanup(self.site.discard)

    def providers(self, *names):
        return toml({"auth": {"providers": names}} | ({"auth.token": {"file": str(self.tokens)}} if "token" in names else {}))

    def trust(self, *authorities):
        self.file.write_text("".join(pathlib.Path(one.certificate).read_text() for one in authorities))

    def reload(self):
        reloads = lambda: sum("reloaded" in line for line in self.site.server.stderr)
        before = reloads()
        self.site.server.process.send_signal(signal.SIGHUP)
        until(lambda: reloads() > before, what="the reload")

    def open(self, pair):
        """A kept connection, a stream of events, and a WebSocket, each after its first answer."""
        trusted = self.site.context(pair)

        class Secure(WebSocket):
            def _upgrade(self, request):
                self.socket = trusted.wrap_socket(self.socket, server_hostname="localhost")
                super()._upgrade(request)

        kept, events = self.site.raw(trusted), self.site.raw(trusted)
        self.assertEqual(self.ask(kept).status, 200)
        events.send(http_request("GET", "/stream/sse"))
        self.hear(events, b"event: subscribed")
        socket = Secure(self.site.server.port)
        socket.subscribed()
        for one in (kept, events, socket):
            self.addCleanup(one.close)
        return kept, events, socket

    def ask(self, raw):
        raw.send(http_request("GET", "/contexts"))
        return raw.answer()

    def hear(self, events, text):
        while text not in events.buffer:
            self.assertTrue(events._more(), events.buffer)

    def publish(self, pair, payload):
        with self.site.client(self.site.context(pair)) as client:
            client.create(unit("shared", payload, agent=self.AGENT))

    def ended(self, kept, events, socket):
        """Whether none of the three is served any more."""
        answer = self.ask(kept)
        self.assertEqual((answer.status, answer.headers["connection"]), (401, "close"))
        self.assertTrue(kept.ended())
        self.assertEqual(socket.end(timeout=10), 1008)
        while events._more():
            pass
        self.assertNotIn(b"afterwards", events.buffer)

    def test_a_reload_that_takes_nothing_away_ends_nothing(self):
        kept, events, socket = self.open(self.pairs[0])
        for authorities in ((self.old,), (self.new, self.old), (self.old, self.new)):
            self.trust(*authorities)
            self.reload()
            self.publish(self.pairs[0], f"by {len(authorities)}")
            self.assertEqual(self.ask(kept).status, 200)
            self.hear(events, f"by {len(authorities)}".encode())
            self.assertEqual([one["payload"] for one in socket.units(1)], [f"by {len(authorities)}"])
            events.buffer = b""

    def test_another_authority_in_its_place(self):
        mine = self.open(self.pairs[0])
        self.trust(self.new)
        self.reload()
        self.publish(self.pairs[1], "afterwards")
        self.ended(*mine)
        with self.assertRaises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
            self.ask(self.site.raw(self.site.context(self.pairs[0]))).status
        # Both are trusted for a while, then the old one goes: whoever is there proves itself again.
        self.trust(self.new, self.old)
        self.reload()
        both = self.open(self.pairs[1])
        self.trust(self.new)
        self.reload()
        self.publish(self.pairs[1], "afterwards")
        self.ended(*both)
        self.assertEqual(self.ask(self.site.raw(self.site.context(self.pairs[1]))).status, 200)

    def test_certificates_are_no_credentials_any_more(self):
        for asked in ("optional", "off"):
            with self.subTest(client_certificates=asked):
                kept, events, socket = self.open(self.pairs[0])
                self.site.more = self.providers("token") + self.POLICY
                if asked == "off":
                    del self.site.settings["client_ca"]
                self.site.configure(client_certificates=asked)
                self.reload()
                answer = self.ask(kept)
                self.assertEqual(answer.status, 401)
                self.assertEqual(socket.end(timeout=10), 1008)
                while events._more():
                    pass
                self.site.more = self.providers("mtls") + self.POLICY
                self.site.configure(client_certificates="optional", client_ca=str(self.file))
                self.reload()
                # Who was never asked to go may go on, but not beyond a time in which nobody was asked for a certificate.
                self.assertEqual(self.ask(kept).status, 200 if asked == "optional" else 401)


class TLSLimitsTests(unittest.TestCase):
    def test_a_slow_handshake_is_cut(self):
        with Site(handshake_timeout_seconds=1) as site:
            begun = time.monotonic()
            with site.server.raw() as silent, site.server.raw() as dripping:
                dripping.send(b"\x16\x03\x01\x02\x00\x01")
                self.assertTrue(silent.ended())
                self.assertTrue(dripping.ended())
            self.assertTrue(0.9 < time.monotonic() - begun < 5)
            self.assertEqual(site.failures("timed_out"), 2)

    def test_a_body_in_large_records_may_come_slowly(self):
        """A record of 16 KiB takes 4 s, longer than a body may pause: but it comes. (Heads have less time, so that connections
        are looked at often.)"""
        with Site(more="[limits]\nbody_seconds = 2\nhead_seconds = 1\n") as site:
            body = json.dumps(unit(Names.fresh(), "z" * 20_000)).encode()
            head = http_request("POST", "/workunit", fields=[
                "Content-Type: application/json", "Connection: close", f"Content-Length: {len(body)}"])
            for pace, status in ((4000, b" 201 "), (200, b" 408 ")):
                with self.subTest(pace=pace), socket.create_connection(("127.0.0.1", site.server.port), timeout=20) as wire:
                    received, sealed = ssl.MemoryBIO(), ssl.MemoryBIO()
                    session = site.context().wrap_bio(received, sealed, server_hostname="localhost")

                    def patiently(act):
                        while True:
                            try:
                                return act()
                            except ssl.SSLWantReadError:
                                wire.sendall(sealed.read())
                                received.write(wire.recv(65536))
                    patiently(session.do_handshake)
                    session.write(head)
                    wire.sendall(sealed.read())
                    session.write(body)
                    records = sealed.read()
                    begun = time.monotonic()
                    wire.settimeout(0.25)
                    for start in range(0, len(records), pace // 4):
                        wire.sendall(records[start:start + pace // 4])
                        try:
                            received.write(wire.recv(65536))
                            # Not the tickets, which come at once.
                            if time.monotonic() - begun > 2:
                                break
                        except TimeoutError:
                            pass
                    wire.settimeout(20)
                    self.assertIn(status, patiently(lambda: session.read(4096)))
                    self.assertLess(time.monotonic() - begun, 8)

    def test_who_says_nothing_keeps_nobody_out(self):
        with Site(handshakes_max=5) as site:
            silent = [site.server.raw() for _ in range(20)]
            until(lambda: site.failures("crowded_out") >= 15)
            with site.client() as client:
                self.assertEqual(client.get("/healthz").status, 200)
            self.assertEqual(silent[0].ended(timeout=2), True)
            self.assertEqual(site.metric("engram_tls_handshakes_refused_total"), 0)
            for raw in silent:
                raw.close()
            until(lambda: site.metric("engram_tls_handshakes_open") == 0)

    def test_silent_ones_do_not_take_the_last_connections(self):
        """There are fewer connections than handshakes may be under way: room is made in time all the same."""
        with Site(more="[server]\nconnections_max = 20\n") as site:
            silent = [site.server.raw() for _ in range(40)]
            # Well before the time of their handshakes is over.
            until(lambda: self.answers(site), seconds=5)
            for _ in range(3):
                with site.client() as client:
                    self.assertEqual(client.get("/healthz").status, 200)
            for raw in silent:
                raw.close()

    @staticmethod
    def answers(site):
        try:
            with site.client() as client:
                return client.get("/healthz").status == 200
        except OSError:
            return False

    def test_handshakes_in_a_crowd_leave_others_their_answers(self):
        with Site() as site, site.client() as client:
            client.get("/healthz")
            crowd = [threading.Thread(target=lambda: [self.answers(site) for _ in range(20)]) for _ in range(20)]
            for thread in crowd:
                thread.start()
            slowest = 0
            while any(thread.is_alive() for thread in crowd):
                begun = time.monotonic()
                self.assertEqual(client.get("/healthz").status, 200)
                slowest = max(slowest, time.monotonic() - begun)
            self.assertLess(slowest, 5)

    def test_a_server_that_stops_says_so(self):
        with Site() as site:
            with site.raw() as raw:
                raw.send(http_request("GET", "/healthz"))
                self.assertEqual(raw.answer().status, 200)
                raw.socket.suppress_ragged_eofs = False
                ended = threading.Thread(target=lambda: self.assertEqual(raw.socket.recv(10), b""))
                ended.start()
                with site.server.raw():  # one that never says hello
                    self.assertEqual(site.server.terminate(), 0)
                ended.join()

    def test_files_that_do_not_fit_are_refused(self):
        with Site(start=False) as site:
            other = site.authority.issue("other")
            for settings, cause in (
                    ({"key": other[1]}, "not the key of the certificate"),
                    ({"certificate": site.pair[1]}, "no usable PEM certificate"),
                    ({"certificate": "/nowhere.pem"}, "No such file"),
            ):
                with self.subTest(cause=cause):
                    site.configure(certificate=site.pair[0], key=site.pair[1])
                    site.configure(**settings)
                    with self.assertRaisesRegex(NotReady, f"(?s)exit 78.*{cause}"):
                        site.server.start()
            site.configure(certificate=site.pair[0], key=site.pair[1])
            os.chmod(site.pair[1], 0o644)
            with self.assertRaisesRegex(NotReady, "(?s)exit 78.*chmod 600"):
                site.server.start()
            os.chmod(site.pair[1], 0o600)
            site.server.start()


class TLSReloadTests(unittest.TestCase):
    ROUNDS = 100

    def seen(self, site):
        with site.raw() as raw:
            return dict(pair for part in raw.socket.getpeercert()["subject"] for pair in part)["commonName"]

    def install(self, site, name):
        """Puts another certificate in the place of the server's, as a tool does that renews it, and has it read."""
        for ending in ("pem", "key"):
            copy = site.authority.path(f"new.{ending}")
            shutil.copyfile(site.authority.path(f"{name}.{ending}"), copy)
            os.chmod(copy, 0o600)
            os.rename(copy, site.authority.path(f"live.{ending}"))
        site.server.process.send_signal(signal.SIGHUP)

    def site(self):
        site = Site(start=False)
        self.addCleanup(site.discard)
        site.authority.issue("other")
        for ending in ("pem", "key"):
            shutil.copy(site.authority.path(f"server.{ending}"), site.authority.path(f"live.{ending}"))
        site.configure(certificate=site.authority.path("live.pem"), key=site.authority.path("live.key"))
        site.server.start()
        return site

    def test_a_hundred_reloads_under_load_fail_no_request(self):
        site = self.site()
        stop, failures, counts = threading.Event(), [], [0, 0, 0]
        context = Names.fresh()

        def post(kind):
            try:
                trusted, session, kept = site.context(), None, site.client()
                while not stop.is_set():
                    if kind == 0:
                        kept.create(unit(context, "kept"))
                    else:
                        with site.raw(trusted, session) as raw:
                            raw.send(http_request("POST", "/workunit", unit(context, "new")))
                            answer = raw.answer()
                            if answer is None or answer.status != 201:
                                raise AssertionError(f"{answer}")
                            session = raw.socket.session if kind == 2 else None
                    counts[kind] += 1
                kept.close()
            except Exception as error:
                failures.append(f"{kind}: {error!r}")

        clients = [threading.Thread(target=post, args=(kind,)) for kind in (0, 0, 1, 1, 2)]
        for client in clients:
            client.start()
        for turn in range(self.ROUNDS):
            name = "other" if turn % 2 == 0 else "server"
            self.install(site, name)
            until(lambda: self.seen(site) == name, what=f"certificate {name} in round {turn}")
        stop.set()
        for client in clients:
            client.join()
        self.assertEqual(failures, [])
        self.assertTrue(all(count > 20 for count in counts), counts)
        with site.client() as client:
            self.assertEqual(len(client.all_units(context)), sum(counts))
        self.assertGreater(site.metric("engram_tls_handshakes_total", kind="resumed"), counts[2] * 0.9)

    def test_a_bad_certificate_leaves_the_old_one(self):
        site = self.site()
        pathlib.Path(site.authority.path("live.pem")).write_text("nothing\n")
        site.server.process.send_signal(signal.SIGHUP)
        until(lambda: any("reload refused" in line and "live.pem" in line for line in site.server.stderr))
        self.assertEqual(self.seen(site), "server")
        self.install(site, "other")
        until(lambda: self.seen(site) == "other")
        # The certificate is new, the key that of the old one.
        shutil.copyfile(site.authority.path("server.key"), site.authority.path("live.key"))
        site.server.process.send_signal(signal.SIGHUP)
        until(lambda: any("not the key of the certificate" in line for line in site.server.stderr))
        self.assertEqual(self.seen(site), "other")


if __name__ == "__main__":
    unittest.main()
