"""A certificate authority for one cluster, and the certificates that it signs."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from typing import Any

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


def make_authority() -> Identity:
    """Make an authority that can sign certificates and nothing else.

    Raises:
        ClusterError: The package `cryptography` is missing.
    """
    x509, ec = _cryptography()
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(x509, "Local Kafka cluster's authority")
    builder = _unsigned(x509, name, name, key, _VALID).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return _signed(builder, key, key)


def issue(
    authority: Identity,
    common_name: str,
    *,
    server: bool = False,
    host: str = HOST,
    valid_for: datetime.timedelta = _VALID,
) -> Identity:
    """Have an authority sign a new identity, for this machine.

    Args:
        authority: Who signs.
        common_name: Whom the certificate is for; brokers know a client by it.
        server: It is for brokers, on both ends of a connection; else for clients only.
        host: The address or name by which others find it, beside 127.0.0.1 and localhost.
        valid_for: From now on; what is negative has expired already.

    Raises:
        ClusterError: The package `cryptography` is missing.
    """
    x509, ec = _cryptography()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer = x509.load_pem_x509_certificate(authority.certificate.encode("ascii")).subject
    signer = load_pem_private_key(authority.key.encode("ascii"), password=None)
    key = ec.generate_private_key(ec.SECP256R1())
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if server:
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    here = [_alternative(x509, name) for name in dict.fromkeys(("localhost", HOST, host))]
    builder = (
        _unsigned(x509, _name(x509, common_name), issuer, key, valid_for)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(here), critical=False)
    )
    return _signed(builder, key, signer)


def _cryptography() -> Any:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise ClusterError(
            "no certificates: the package cryptography is missing; "
            "run `pip install -r requirements-demo.txt`"
        ) from error
    return x509, ec


def _alternative(x509: Any, host: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(x509: Any, common_name: str) -> Any:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _unsigned(x509: Any, subject: Any, issuer: Any, key: Any, valid_for: datetime.timedelta) -> Any:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + valid_for)
    )


def _signed(builder: Any, key: Any, signer: Any) -> Identity:
    from cryptography.hazmat.primitives import hashes, serialization

    certificate = builder.sign(signer, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return Identity(pem.decode("ascii"), private.decode("ascii"))
