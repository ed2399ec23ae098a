"""A small certificate authority. Certificates are made when first asked for, so none is ever stale or stored.

Kinds: good, self-signed, expired, cn-only (the right name, in the subject only), chained (good, with an intermediate
between it and the authority, as public authorities have).
"""

import datetime
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import place

CA_FILE = place.STATE / "ca.pem"
KEY_FILE = place.STATE / "ca.key"
FOLDER = place.STATE / "certificates"
DAY = datetime.timedelta(days=1)
EXPIRED = datetime.datetime(2020, 2, 2)


def create_authority():
    key = ec.generate_private_key(ec.SECP256R1())
    name = subject("Laboratory CA")
    certificate = (builder(name, name, key.public_key())
                   .add_extension(x509.BasicConstraints(True, None), critical=True)
                   .sign(key, hashes.SHA256()))
    CA_FILE.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    KEY_FILE.write_bytes(pem(key))
    FOLDER.mkdir()


def subject(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def builder(name, issuer, public_key, end=None):
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before((end or now) - 2 * DAY).not_valid_after(end or now + 30 * DAY))


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Shelf:
    """TLS contexts of a server, one per certificate, made on demand. All certificates share one key."""

    def __init__(self):
        self.ca_key = serialization.load_pem_private_key(KEY_FILE.read_bytes(), None)
        self.ca_name = subject("Laboratory CA")
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.intermediate_name = subject("Laboratory intermediate CA")
        self.intermediate = self.make_intermediate()
        self.contexts = {}

    def context(self, kind, names):
        wanted = (kind, tuple(names))
        if wanted not in self.contexts:
            chain = [self.make(kind, names)] + ([self.intermediate] if kind == "chained" else [])
            self.contexts[wanted] = self.load(chain)
        return self.contexts[wanted]

    def make_intermediate(self):
        return (builder(self.intermediate_name, self.ca_name, self.key.public_key())
                .add_extension(x509.BasicConstraints(True, 0), critical=True).sign(self.ca_key, hashes.SHA256()))

    def issuer(self, kind):
        """Name and key."""
        return {"self-signed": (None, self.key),
                "chained": (self.intermediate_name, self.key)}.get(kind, (self.ca_name, self.ca_key))

    def make(self, kind, names):
        name, (issuer, key) = subject(names[0]), self.issuer(kind)
        made = builder(name, issuer or name, self.key.public_key(), EXPIRED if kind == "expired" else None)
        if kind != "cn-only":
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        return made.sign(key, hashes.SHA256())

    def load(self, chain):
        path = FOLDER / f"{chain[0].serial_number:x}.pem"
        path.write_bytes(pem(self.key) + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        path.unlink()
        return context
