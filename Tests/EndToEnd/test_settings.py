"""Configuration: where values come from, what is refused at start, and what SIGHUP changes while the server runs."""

import hashlib
import os
import pathlib
import re
import signal
import subprocess
import tomllib
import unittest

from harness import BINARY, Server, free_port, scratch_directory, unit, until

EX_USAGE, EX_CONFIG = 64, 78


def clean_environment(**more):
    """The environment without what the runner itself may have set."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")} | more


def run(*arguments, timeout=20, **environment):
    return subprocess.run(
        [BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=timeout, env=clean_environment(**environment))


def check(*arguments, **environment):
    return run("config", "check", *arguments, **environment)


class Folder:
    """A directory with files of a configuration."""

    def __init__(self):
        self.path = pathlib.Path(scratch_directory())

    def write(self, name, text, mode=0o600):
        path = self.path / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def tokens(self, *lines, mode=0o600):
        """A token file: `agent:roles` and the token itself of each line."""
        return self.write(
            "tokens", "".join(f"{who}:{hashlib.sha256(token.encode()).hexdigest()}\n" for who, token in lines), mode)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


AUTH = '[auth]\nproviders = ["token"]\n[auth.token]\nfile = "tokens"\n'
WORKERS = '[[policy]]\nroles = ["worker"]\nverbs = ["context:read", "context:write"]\nresources = ["context/team/**"]\n'


class Check(unittest.TestCase):
    def test_each_origin_is_told(self):
        folder = Folder()
        config = folder.write("engram.toml", '[server]\nlog_level = "debug"\nloops = 1\n\n[limits]\nidle_seconds = 7\n', 0o644)
        done = check("--config", config, "--loops", "2", ENGRAM_LISTEN="127.0.0.1:1234")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for line in (
            'listen = "127.0.0.1:1234"  # environment ENGRAM_LISTEN', "loops = 2  # flag --loops",
            f'log_level = "debug"  # file {config}:2', f"idle_seconds = 7  # file {config}:6",
            '#log_format = "text"  # default', "# certificate is not set"):
            self.assertIn(line, done.stdout.splitlines())

    def test_what_it_prints_reads_back(self):
        folder = Folder()
        folder.tokens(("anna:worker", "secret"))
        first = check("--config", folder.write("engram.toml", AUTH + WORKERS))
        self.assertEqual(first.returncode, 0, first.stderr)
        again = check("--config", folder.write("again.toml", first.stdout))
        self.assertEqual(again.returncode, 0, again.stderr)
        without_origins = [re.sub(r"  # .*", "", done.stdout) for done in (first, again)]
        self.assertEqual(*without_origins)
        values = tomllib.loads(first.stdout)
        self.assertEqual(values["auth"]["providers"], ["token"])
        self.assertEqual(values["policy"][0]["roles"], ["worker"])

    def test_the_environment_names_the_file(self):
        config = Folder().write("engram.toml", "[server]\nloops = 3\n")
        done = check(ENGRAM_CONFIG=config)
        self.assertIn(f"loops = 3  # file {config}:2", done.stdout)

    def test_the_example_is_a_configuration(self):
        done = run("config", "example")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(tomllib.loads(done.stdout), {})
        config = Folder().write("engram.toml", done.stdout)
        self.assertEqual(check("--config", config).returncode, 0)
        every = tomllib.loads("\n".join(re.sub(r"^#(?! )", "", line) for line in done.stdout.splitlines()))
        self.assertEqual(
            set(every), {"server", "tls", "auth", "limits", "browser", "audit", "policy"})

    def test_every_flag_has_a_key(self):
        """The flags of `serve` are those that the schema names, and `--config`; `config check` takes the same."""
        flags = set(re.findall(r"; --([a-z-]+)", run("config", "example").stdout)) | {"config", "help", "version"}
        for arguments in (["serve"], ["config", "check"]):
            shown = run(*arguments, "--help").stdout
            options = re.findall(r"(?m)^ +(?:-h, )?--([a-z-]+)", shown)
            self.assertEqual(set(options), flags, arguments)

    def test_refusals_name_file_and_line(self):
        folder = Folder()
        for text, line, cause in (
            ("[server]\nlisen = 1\n", 2, 'unknown key "lisen" in [server]; did you mean "listen"?'),
            ("[server]\nloops = 1\nloops = 2\n", 3, "cannot redefine existing integer"),
            ("[server\n", 1, "end"), ("[server]\nloops = 0\n", 2, "expected 1 to 256"),
            ('\n\n[tls]\nkey = "x"\n', 4, "tls.certificate is not"),
            (WORKERS, 1, "authentication is off"), ("[.]\n", 1, "no TOML")):
            with self.subTest(text):
                config = folder.write("engram.toml", text)
                done = check("--config", config)
                self.assertEqual((done.returncode, done.stdout), (EX_CONFIG, ""))
                self.assertIn(f"{config}:{line}: ", done.stderr)
                self.assertIn(cause, done.stderr)
                self.assertEqual(run("serve", "--config", config).returncode, EX_CONFIG)

    def test_a_file_that_is_not_there(self):
        done = check("--config", "/nowhere/engram.toml")
        self.assertEqual(done.returncode, EX_CONFIG)
        self.assertIn("/nowhere/engram.toml: No such file or directory", done.stderr)

    def test_the_environment_and_the_command_line(self):
        for arguments, environment, code, said in (
            (["--loops", "many"], {}, EX_USAGE, "--loops: server.loops: expected an integer from 1 to 256"),
            ([], {"ENGRAM_LOOPS": "many"}, EX_CONFIG, "ENGRAM_LOOPS: server.loops: expected an integer"),
            ([], {"ENGRAM_AUTH_PROVIDER": "jwt"}, EX_CONFIG, "did you mean ENGRAM_AUTH_PROVIDERS?"),
            (["--no-such-flag"], {}, EX_USAGE, "no-such-flag")):
            with self.subTest(arguments=arguments, environment=environment):
                done = check(*arguments, **environment)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(said, done.stderr)

    def test_a_foreign_variable_is_told_only(self):
        done = check(ENGRAM_SERVICE_HOST="10.0.0.1")
        self.assertEqual(done.returncode, 0)
        self.assertIn("ENGRAM_SERVICE_HOST", done.stderr)

    def test_what_the_file_names_is_read(self):
        folder = Folder()
        config = folder.write("engram.toml", AUTH + WORKERS)
        for tokens, mode, cause in (
            (None, None, "No such file or directory"), ("anna:worker:zz\n", 0o600, "line 1"),
            ("# fine\n", 0o644, "mode 0644 gives others access to a secret; chmod 600"),
            ("# fine\n", 0o660, "mode 0660 lets its group change a secret; chmod 600"), ("# fine\n", 0o640, None)):
            with self.subTest(tokens=tokens, mode=mode):
                if tokens is not None:
                    folder.write("tokens", tokens, mode)
                done = check("--config", config)
                self.assertEqual(done.returncode, EX_CONFIG if cause else 0, done.stderr)
                if cause:
                    self.assertIn(f"{config}:4: auth.token.file: {folder.path}/tokens: {cause}", done.stderr)
                    done = run("serve", "--config", config, "--data-dir", scratch_directory())
                    self.assertEqual(done.returncode, EX_CONFIG, done.stderr)

    def test_keys_that_sign_for_everybody_are_nobodys_to_read(self):
        folder = Folder()
        config = folder.write("engram.toml", '[auth]\nproviders = ["jwt"]\n[auth.jwt]\njwks = "keys"\n' + WORKERS)
        secret = '{"keys": [{"kty": "oct", "alg": "HS256", "kid": "a", "k": "%s"}]}' % ("A" * 43)
        for mode, code in ((0o600, 0), (0o644, EX_CONFIG)):
            folder.write("keys", secret, mode)
            done = check("--config", config)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertNotIn("AAAA", done.stdout + done.stderr)

    def test_the_certificates_key(self):
        folder = Folder()
        for name in ("server", "other"):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=localhost", "-keyout", folder.path / f"{name}.key", "-out", folder.path / f"{name}.crt"],
                check=True, stderr=subprocess.DEVNULL)
        for certificate, key, mode, cause in (
            ("server.crt", "server.key", 0o600, None), ("server.crt", "server.key", 0o640, None),
            ("server.crt", "server.key", 0o644, "tls.key: {}/server.key: mode 0644 gives others access to a secret"),
            ("server.crt", "server.key", 0o660, "tls.key: {}/server.key: mode 0660 lets its group change a secret"),
            ("server.crt", "other.key", 0o600, "tls.key: {}/other.key: not the key of the certificate"),
            ("other.key", "server.key", 0o600, "tls.certificate: {}/other.key: no usable PEM certificate"),
            ("none.crt", "server.key", 0o600, "tls.certificate: {}/none.crt: No such file or directory"),
            ("server.crt", "none.key", None, "tls.key: {}/none.key: No such file or directory")):
            with self.subTest(certificate=certificate, key=key, mode=mode):
                if mode:
                    (folder.path / key).chmod(mode)
                config = folder.write("engram.toml", f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n')
                done = check("--config", config)
                self.assertEqual(done.returncode, EX_CONFIG if cause else 0, done.stderr)
                if cause:
                    line = 2 if cause.startswith("tls.certificate") else 3
                    self.assertIn(f"{config}:{line}: {cause.format(folder.path)}", done.stderr)
                    done = run("serve", "--config", config, "--data-dir", scratch_directory())
                    self.assertEqual(done.returncode, EX_CONFIG, done.stderr)

    def test_policies_are_compiled(self):
        folder = Folder()
        folder.tokens(("anna:worker", "secret"))
        rule = '[[policy]]\nroles = ["worker"]\nverbs = ["context:read"]\nresources = ["nothing/x"]\n'
        config = folder.write("engram.toml", AUTH + rule)
        done = check("--config", config)
        self.assertEqual(done.returncode, EX_CONFIG)
        self.assertIn(f"{config}:5: policy: resources[0]", done.stderr)


class Exposure(unittest.TestCase):
    """Nothing is served to strangers without TLS and authentication, unless somebody insists."""

    def test_refused(self):
        folder = Folder()
        folder.tokens(("anna:worker", "secret"))
        tokens = folder.write("tokens.toml", AUTH + WORKERS)
        for address in ("0.0.0.0", "[::]", "192.0.2.1", "[::ffff:127.0.0.1]"):
            for arguments, missing in (([], "TLS and authentication"), (["--config", tokens], "TLS")):
                with self.subTest(address=address, missing=missing):
                    listen = f"{address}:{free_port()}"
                    done = run("serve", "--listen", listen, "--data-dir", scratch_directory(), *arguments)
                    self.assertEqual(done.returncode, EX_CONFIG, done.stderr)
                    self.assertIn(f"refusing to listen on {listen}: without {missing} only", done.stderr)
                    self.assertEqual(check("--listen", listen, *arguments).returncode, EX_CONFIG)

    def test_insecure_is_loud(self):
        port = free_port()
        server = Server("--insecure", port=port, start=False)
        server.command = lambda: [
            BINARY, "serve", "--listen", f"0.0.0.0:{port}", "--data-dir", server.directory, *server.flags]
        with server.start(), server.client() as client:
            self.assertEqual(client.get("/livez").status, 200)
            self.assertRegex("\n".join(server.stderr), r"warning INSECURE: listening on 0\.0\.0\.0:\d+ without TLS and")

    def test_a_file_that_everybody_may_change(self):
        config = Folder().write("engram.toml", "[server]\nloops = 1\n", 0o666)
        done = run("serve", "--config", config)
        self.assertEqual(done.returncode, EX_CONFIG)
        self.assertIn(f"chmod o-w {config}", done.stderr)


class Reload(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.folder.tokens(("anna:worker", "first"))
        self.config = self.folder.write("engram.toml", AUTH + WORKERS)

    def server(self):
        return Server("--config", self.config)

    def hang_up(self, server, word):
        """SIGHUP, then the line of the log that tells what came of it."""
        seen = len(server.stderr)
        server.process.send_signal(signal.SIGHUP)
        return until(
            lambda: next((line for line in server.stderr[seen:] if word in line), None), 20, f"a line with {word!r}")

    def post(self, client, context, token):
        return client.post(unit(context, "x", agent="anna"), bearer(token)).status

    def test_policies(self):
        with self.server() as server, server.client() as client:
            self.assertEqual(self.post(client, "team/a", "first"), 201)
            self.assertEqual(self.post(client, "other", "first"), 403)
            self.folder.write("engram.toml", AUTH + WORKERS.replace("team/**", "other"))
            self.assertIn("changed=policy", self.hang_up(server, "reloaded"))
            # The same connection, the same credential: remembered before, asked again.
            self.assertEqual(self.post(client, "team/a", "first"), 403)
            self.assertEqual(self.post(client, "other", "first"), 201)

    def test_tokens(self):
        with self.server() as server, server.client() as client:
            self.assertEqual(self.post(client, "team/a", "second"), 401)
            self.folder.tokens(("anna:worker", "second"))
            self.assertIn("files only", self.hang_up(server, "reloaded"))
            self.assertEqual(self.post(client, "team/a", "second"), 201)
            self.assertEqual(self.post(client, "team/a", "first"), 401)

    def test_a_bad_file_leaves_everything_as_it_was(self):
        with self.server() as server, server.client() as client:
            for name, text, mode, cause in (
                ("engram.toml", AUTH + WORKERS + "[serve]\n", 0o600, 'unknown section "serve"'),
                ("engram.toml", "[[[", 0o600, "engram.toml:1: column"),
                ("engram.toml", "[server]\nloops = 1\n", 0o600, "authentication is turned on and off by a restart only"),
                ("engram.toml", AUTH + WORKERS, 0o602, "lets everybody change it"),
                ("engram.toml", AUTH + WORKERS, 0o600, None),
                ("tokens", "rubbish\n", 0o600, "line 1"), ("tokens", "", 0o644, "gives others access"),
                ("tokens", None, None, "No such file or directory")):
                with self.subTest(name=name, cause=cause):
                    if text is None:
                        (self.folder.path / name).unlink()
                    else:
                        self.folder.write(name, text, mode)
                    if cause is None:
                        self.hang_up(server, "reloaded")
                    else:
                        self.assertIn(cause, self.hang_up(server, "reload refused, everything stays as it was"))
                    self.assertEqual(self.post(client, "team/a", "first"), 201)
                    self.assertEqual(self.post(client, "other", "first"), 403)
            self.folder.tokens(("anna:worker", "second"))
            self.hang_up(server, "reloaded")
            self.assertEqual(self.post(client, "team/a", "second"), 201)
            self.assertEqual(server.terminate(), 0)

    def test_what_needs_a_restart_is_named(self):
        with self.server() as server:
            self.folder.write("engram.toml", AUTH + WORKERS + "[server]\nsearch = false\n[limits]\nidle_seconds = 1\n")
            line = self.hang_up(server, "takes effect after a restart")
            self.assertIn("server.search", line)
            self.hang_up(server, "takes effect after a restart")  # as long as it isn't restarted
            with server.raw() as raw:
                # The limit holds at once, for a connection that comes now.
                raw.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertEqual(raw.answer().status, 200)
                self.assertTrue(raw.ended(15))

    def test_without_a_file_nothing_changes(self):
        with Server() as server, server.client() as client:
            self.hang_up(server, "reloaded")
            self.assertEqual(client.get("/healthz").status, 200)
            self.assertEqual(client.post(unit("c", "x")).status, 201)

    def test_before_ready_it_waits(self):
        server = Server(start=False)
        try:
            process = subprocess.Popen(server.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            status = pathlib.Path(f"/proc/{process.pid}/status")

            def catches():
                """Whether the process has asked for SIGHUP (bit 0): before, no program could."""
                found = re.search(r"SigCgt:\s+([0-9a-f]+)", status.read_text())
                return found and int(found.group(1), 16) & 1

            until(catches, 20, "the handler")
            for _ in range(5):
                process.send_signal(signal.SIGHUP)
            lines = iter(process.stdout.readline, "")
            self.assertTrue(any(line.strip() == "ready" for line in lines), process.poll())
            self.assertTrue(any("reloaded" in line for line in iter(process.stderr.readline, "")))
            process.terminate()
            process.communicate(timeout=20)
            self.assertEqual(process.returncode, 0)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def test_many_at_once_under_load(self):
        with self.server() as server, server.client() as client:
            for _ in range(50):
                server.process.send_signal(signal.SIGHUP)
                self.assertEqual(self.post(client, "team/a", "first"), 201)
            self.assertEqual(server.terminate(), 0)

