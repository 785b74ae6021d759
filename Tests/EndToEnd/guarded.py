"""A server with a configuration file of its own, and agents with tokens: what the suites about limits and audit share."""

import hashlib
import json
import os
import pathlib
import re

from harness import Client, Server, scratch_directory, until

EVERYTHING = ["context:read", "context:write", "lock:read", "lock:acquire", "lock:force", "search", "metrics"]


def token_of(agent):
    return f"secret-token-of-{agent}-0123456789abcdef"


def toml(sections):
    """The text of a configuration: `{section: {key: value}}`; what stands in `[[policy]]` is a list of tables."""
    lines = []
    for section, keys in sections.items():
        for table in keys if isinstance(keys, list) else [keys]:
            lines.append(f"[[{section}]]" if isinstance(keys, list) else f"[{section}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


class GuardedServer(Server):
    """One server with a file; with `agents`, authentication is on and each of them may do everything but what `without`
    names."""

    def __init__(self, sections=None, agents=(), policy=None, **more):
        directory = scratch_directory()
        self.home = pathlib.Path(directory)
        self.file = self.home / "engram.toml"
        self.agents = agents
        self.policy = policy
        self.sections = dict(sections or {})
        self.configure()
        super().__init__("--config", str(self.file), directory=str(self.home / "data"), **more)

    def configure(self, **sections):
        """Writes the file; `sections` replace what was there."""
        self.sections |= sections
        every = dict(self.sections)
        if self.agents:
            tokens = self.home / "tokens"
            tokens.write_text("".join(
                f"{agent}:member:{hashlib.sha256(token_of(agent).encode()).hexdigest()}\n" for agent in self.agents))
            tokens.chmod(0o600)
            every["auth"] = {"providers": ["token"]} | every.get("auth", {})
            every["auth.token"] = {"file": str(tokens)}
            every["policy"] = self.policy or [
                {"roles": ["member"], "verbs": EVERYTHING, "resources": ["context/**", "lock/**"]}]
        self.file.write_text(toml(every))

    def reload(self, **sections):
        """SIGHUP with another file; waits for the line that says so."""
        import signal
        before = self.reloads()
        self.configure(**sections)
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self.reloads() > before, what="the reload")

    def reloads(self):
        return sum("reloaded" in line or "reload refused" in line for line in self.stderr)

    def of(self, agent):
        return AgentClient(self.port, agent)

    def metric(self, name, agent=None):
        """The value of a series, given with its labels."""
        with (self.of(agent) if agent else self.client()) as client:
            text = client.get("/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", text, re.M)
        return float(found.group(1)) if found else None

    def discard(self):
        self.kill()
        import shutil
        shutil.rmtree(self.home, ignore_errors=True)


class AgentClient(Client):
    """A client that always shows the agent's token."""

    def __init__(self, port, agent, **more):
        super().__init__(port, **more)
        self.field = {"Authorization": f"Bearer {token_of(agent)}"}

    def request(self, method, path, body=None, headers=None):
        return super().request(method, path, body, self.field | (headers or {}))


def bearer(agent):
    """The line of a raw request."""
    return f"Authorization: Bearer {token_of(agent)}"


def rate_fields(answer):
    """What `RateLimit` and `RateLimit-Policy` say: {name: {"q", "w", "r", "t"}}."""
    found = {}
    for field in ("ratelimit-policy", "ratelimit"):
        for member in answer.headers.get(field, "").split(", "):
            if not member:
                continue
            name, *parameters = member.split(";")
            pairs = (parameter.split("=", 1) for parameter in parameters)
            found.setdefault(name.strip('"'), {}).update(
                (key, int(value) if value.isdigit() else value.strip('"')) for key, value in pairs)
    return found


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
