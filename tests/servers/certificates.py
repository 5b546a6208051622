"""Certificates for servers on loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REQUIRED = ("authority key identifier", "subject key identifier", "key usage", "critical basic constraints")


class Authority:
    """A private CA. ``bundle`` is the PEM file with its certificate.

    :param folder: where its files are written.
    :param name: of the CA, and of its file.
    :param lacks: what RFC 5280 requires of its certificates and they do not have; one of :data:`REQUIRED`.
    """

    def __init__(self, folder: Path, name: str = "own-ca", lacks: str = "") -> None:
        self._folder = folder
        self._lacks = lacks
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(
            **dict.fromkeys(
                (
                    "digital_signature",
                    "content_commitment",
                    "key_encipherment",
                    "data_encipherment",
                    "key_agreement",
                    "encipher_only",
                    "decipher_only",
                ),
                False,
            ),
            key_cert_sign=True,
            crl_sign=True,
        )
        public = self._key.public_key()
        is_critical = lacks != "critical basic constraints"
        builder = _builder(self._name, self._name, public).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=is_critical
        )
        if lacks != "key usage":
            builder = builder.add_extension(usage, critical=True)
        if lacks != "subject key identifier":
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        self.bundle = folder / f"{name}.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, host: str, *, days: int = 1) -> Path:
        """A certificate for ``host`` with its key, in one file.

        :param days: how long it is valid from now on; negative for one that has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        builder = _builder(subject, self._name, key.public_key(), days).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
        )
        if self._lacks != "authority key identifier":
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        return _file(self._folder / f"{host}.pem", key, builder.sign(self._key, hashes.SHA256()))


def self_signed(host: str, folder: Path) -> Path:
    """A certificate for ``host`` that no CA has signed, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _file(folder / "self-signed.pem", key, certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int = 1
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
    )


def _file(file: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Path:
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    return file
