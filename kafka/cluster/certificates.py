"""Creates a certificate authority for one cluster, and signs certificates with it."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from typing import Any

from kafka.cluster.address import HOST
from kafka.cluster.state import ClusterError

_VALID = datetime.timedelta(days=3650)
# Certificates must also be valid for a program whose clock is behind.
_CLOCK_SLACK = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key.

    Attributes:
        certificate: the certificate, as PEM.
        key: the private key, as PEM (PKCS 8). It is not encrypted, because the mode of its file
            protects it.
    """

    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Identity(certificate=…, key=…)"


def make_authority() -> Identity:
    """Creates a certificate authority, which signs its own certificate.

    Raises:
        ClusterError: the package `cryptography` is missing.
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
    """Creates a private key, and a certificate that an authority signs.

    Args:
        authority: the signing authority.
        common_name: the name in the certificate, by which brokers identify a client.
        server: whether a broker may use the certificate, as a server and as a client; otherwise
            only a client may use it.
        host: address or name of the broker, in addition to 127.0.0.1 and localhost.
        valid_for: time from now on for which the certificate is valid. With a negative time, it has
            already expired.

    Raises:
        ClusterError: the package `cryptography` is missing.
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
    names = [_alternative_name(x509, name) for name in dict.fromkeys(("localhost", HOST, host))]
    builder = (
        _unsigned(x509, _name(x509, common_name), issuer, key, valid_for)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
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


def _alternative_name(x509: Any, host: str) -> Any:
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
        .not_valid_before(now - _CLOCK_SLACK)
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
