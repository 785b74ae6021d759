"""A server that asks who is there: a configuration with tokens and policies, made for a test."""

import hashlib
import json
import os
import pathlib

from harness import Server, scratch_directory


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


class Rule:
    """One `[[policy]]`."""

    def __init__(self, verbs, resources=(), roles=(), agents=()):
        self.verbs, self.resources, self.roles, self.agents = verbs, resources, roles, agents

    def toml(self):
        lines = ["[[policy]]"]
        for key in ("roles", "agents", "verbs", "resources"):
            if values := list(getattr(self, key)):
                lines.append(f"{key} = {json.dumps(values)}")
        return "\n".join(lines) + "\n"


EVERYTHING = Rule(
    ["context:read", "context:write", "lock:read", "lock:acquire", "lock:force", "search", "metrics"],
    ["context/**", "lock/**"], roles=["root"])


class Credential:
    """A token of an agent, with its roles."""

    def __init__(self, agent, *roles, token=None):
        self.agent, self.roles = agent, roles
        self.token = token or f"engram_test-{agent}-{'-'.join(roles)}"

    @property
    def fields(self):
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def line(self):
        return f"{self.agent}:{','.join(self.roles)}:{digest(self.token)}"


class Guarded(Server):
    """A server with authentication by tokens. Its configuration lies beside its data, and may be written anew."""

    def __init__(self, credentials, rules, more="", flags=(), **options):
        directory = options.pop("directory", None) or scratch_directory()
        self.folder = pathlib.Path(directory + "-config")
        self.folder.mkdir(exist_ok=True)
        self.more = more
        self.configure(credentials, rules)
        super().__init__("--config", str(self.folder / "engram.toml"), *flags, directory=directory, **options)

    def configure(self, credentials, rules):
        """Writes the files; a running server reads them at SIGHUP."""
        self.write("tokens", "".join(f"{credential.line}\n" for credential in credentials))
        text = '[auth]\nproviders = ["token"]\n[auth.token]\nfile = "tokens"\n' + self.more + "\n"
        self.write("engram.toml", text + "".join(rule.toml() for rule in rules))

    def write(self, name, text):
        path = self.folder / name
        path.touch(0o600)
        os.chmod(path, 0o600)
        path.write_text(text)

    def discard(self):
        super().discard()
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()
