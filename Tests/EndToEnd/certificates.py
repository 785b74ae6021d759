"""Certificates for a test, made by the openssl command line: an authority, servers, and clients good and bad."""

import base64
import os
import pathlib
import shutil
import subprocess

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"
CLIENT_NAMES = "subjectAltName=URI:urn:agent:anna,DNS:anna.example,email:anna@example.org"


def openssl(*arguments, cwd=None, data=None, check=True, quiet=False):
    """Runs the command line; returns what it said, without its remarks if `quiet`."""
    done = subprocess.run(
        ["openssl", *arguments], cwd=cwd, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else subprocess.STDOUT,
        timeout=60)
    if check and done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(arguments)}: {done.stdout.decode(errors='replace')}")
    return done.stdout


class Authority:
    """A directory with `NAME.pem` and `NAME.key` for each name asked for, and the authority's own `ca.pem`."""

    def __init__(self, directory, key=("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")):
        self.directory, self.key = pathlib.Path(directory), key
        self.directory.mkdir(parents=True, exist_ok=True)
        self._key("ca")
        openssl(
            "req", "-x509", "-new", "-key", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test Authority",
            cwd=self.directory)

    def _key(self, name):
        openssl("genpkey", *self.key, "-out", f"{name}.key", cwd=self.directory)
        os.chmod(self.directory / f"{name}.key", 0o600)

    def path(self, file):
        return str(self.directory / file)

    @property
    def certificate(self):
        return self.path("ca.pem")

    def issue(self, name, names=NAMES, days=2):
        """Makes a pair; negative days make one that has ended. Returns (certificate, key)."""
        self._key(name)
        openssl("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", cwd=self.directory)
        (self.directory / f"{name}.ext").write_text(names + "\n")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
            f"{name}.pem", "-days", str(days), "-extfile", f"{name}.ext", cwd=self.directory)
        return self.path(f"{name}.pem"), self.path(f"{name}.key")

    def steal(self, name, of):
        """Makes a pair of the certificate of `of`, and a key that says it were its own, and isn't: what it signs is no good."""
        self._key(name)
        shutil.copyfile(self.path(f"{of}.pem"), self.path(f"{name}.pem"))
        der = [openssl("ec", "-in", f"{key}.key", "-outform", "DER", cwd=self.directory, quiet=True) for key in (name, of)]
        # The public point of P-256 is the last 65 bytes (RFC 5915), and what a certificate's key is compared by.
        stolen = der[0][:-65] + der[1][-65:]
        text = base64.encodebytes(stolen).decode()
        pathlib.Path(self.path(f"{name}.key")).write_text(
            f"-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n")
        return self.path(f"{name}.pem"), self.path(f"{name}.key")
