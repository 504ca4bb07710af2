"""A certificate authority for one cluster, and the certificates that it signs."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from typing import Tuple

from kafka.cluster.address import HOST
from kafka.cluster.state import ClusterError

_VALID = datetime.timedelta(days=3650)
# A clock that is set back a little must not make the certificates those of tomorrow.
_SLACK = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key.

    Attributes:
        certificate: PEM.
        key: PEM (PKCS 8, not encrypted: its file's mode protects it).
    """

    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Identity(certificate=…, key=…)"


def make_certificates() -> Tuple[str, Identity, Identity]:
    """Make an authority that signs two certificates and is then forgotten.

    Nobody can sign a third one: the authority's key is never written anywhere.

    Returns:
        The authority's certificate (PEM), the brokers' identity (for
        127.0.0.1 and localhost, on both ends of a connection), and a client's.

    Raises:
        ClusterError: The package `cryptography` is missing.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError as error:
        raise ClusterError(
            "no certificates: the package cryptography is missing; "
            "run `pip install -r requirements-dev.txt`"
        ) from error

    now = datetime.datetime.now(datetime.timezone.utc)
    authority_key = ec.generate_private_key(ec.SECP256R1())

    def name(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    authority = name("Local Kafka cluster's authority")

    def unsigned(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SLACK)
            .not_valid_after(now + _VALID)
        )

    def pem(builder: x509.CertificateBuilder) -> str:
        signed = builder.sign(authority_key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def identity(common_name: str, *uses: x509.ObjectIdentifier) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))]
        builder = (
            unsigned(name(common_name), key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(list(uses)), critical=False)
            .add_extension(x509.SubjectAlternativeName(here), critical=False)
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Identity(pem(builder), private.decode("ascii"))

    root = unsigned(authority, authority_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    return pem(root), identity("broker", server, client), identity("client", client)
