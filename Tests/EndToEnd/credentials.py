"""Credentials for tests, made here and never kept: token files by `engram token create`, JWTs signed by Python's `hmac`
and by the `openssl` command, which has nothing in common with the server's verifier but the standards."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import time

from harness import BINARY


def encoded(data):
    """Base64url without padding (RFC 7515, section 2)."""
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Key:
    """A key pair (or a shared secret) of one algorithm, with its JWK."""

    MADE = {
        "RS256": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        "ES256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        "EdDSA": ("-algorithm", "ED25519")}

    def __init__(self, algorithm, directory, kid=None):
        self.algorithm, self.kid = algorithm, kid or algorithm.lower()
        self.path = str(pathlib.Path(directory) / f"{self.kid}.pem")
        if algorithm == "HS256":
            self.secret = os.urandom(32)
        else:
            openssl("genpkey", *self.MADE[algorithm], "-out", self.path)

    @property
    def jwk(self):
        if self.algorithm == "HS256":
            return {"kty": "oct", "kid": self.kid, "k": encoded(self.secret)}
        if self.algorithm == "RS256":
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").strip().split(b"=")[1]
            return {"kty": "RSA", "kid": self.kid, "n": encoded(bytes.fromhex(modulus.decode())), "e": "AQAB", "use": "sig"}
        # The point stands at the end of the SubjectPublicKeyInfo (RFC 5480; RFC 8410).
        point = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")
        if self.algorithm == "EdDSA":
            return {"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": encoded(point[-32:])}
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "x": encoded(point[-64:-32]), "y": encoded(point[-32:])}

    def sign(self, text):
        if self.algorithm == "HS256":
            return hmac.new(self.secret, text.encode(), hashlib.sha256).digest()
        if self.algorithm == "EdDSA":
            # The command reads what it signs whole, from a file.
            pathlib.Path(self.path + ".text").write_text(text)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", self.path + ".text")
        signature = openssl("dgst", "-sha256", "-sign", self.path, data=text.encode())
        return signature if self.algorithm == "RS256" else raw(signature)

    def token(self, header=None, **claims):
        """A token of these claims; `None` leaves one out."""
        now = int(time.time())
        whole = {"iss": "https://issuer.example", "aud": "engram", "exp": now + 300, "iat": now} | claims
        head = {"alg": self.algorithm, "kid": self.kid} | (header or {})
        text = ".".join(encoded(json.dumps(part)) for part in (head, {n: v for n, v in whole.items() if v is not None}))
        return f"{text}.{encoded(self.sign(text))}"


def raw(signature):
    """r and s, 32 bytes each, of an ECDSA signature in DER."""
    at, numbers = 2, []
    for _ in range(2):
        count = signature[at + 1]
        numbers.append(int.from_bytes(signature[at + 2:at + 2 + count], "big").to_bytes(32, "big"))
        at += 2 + count
    return b"".join(numbers)


class Keep:
    """The files of a server with authentication, in a directory of its own: configuration, tokens, keys."""

    def __init__(self, directory, policies, providers=("token", "jwt"), more=""):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.tokens, self.jwks = self.directory / "tokens", self.directory / "jwks.json"
        self.config = self.directory / "engram.toml"
        self.keys = []
        lines = [f"[auth]\nproviders = {json.dumps(list(providers))}"]
        if "token" in providers:
            self.tokens.touch(0o600)
            lines.append(f'[auth.token]\nfile = "{self.tokens}"')
        if "jwt" in providers:
            lines += [
                "[auth.jwt]", f'jwks = "{self.jwks}"', 'issuer = "https://issuer.example"', 'audience = "engram"',
                "leeway_seconds = 0"]
        for roles, verbs, resources in policies:
            lines += [
                "[[policy]]", f"roles = {json.dumps(roles)}", f"verbs = {json.dumps(verbs)}",
                f"resources = {json.dumps(resources)}"]
        self.config.write_text("\n".join(lines + [more]) + "\n")

    def token(self, agent, *roles, expires=None):
        """A new token, whose line stands in the file from now on."""
        flags = [flag for role in roles for flag in ("--role", role)] + (["--expires", expires] if expires else [])
        command = [BINARY, "token", "create", "--agent", agent, *flags, "--file", str(self.tokens)]
        made = subprocess.run(command, capture_output=True, text=True, check=True)
        return made.stdout.strip()

    def publish(self, *keys):
        """Writes the JWKS file anew."""
        self.jwks.touch(0o600)
        self.jwks.write_text(json.dumps({"keys": [key.jwk for key in keys]}))
