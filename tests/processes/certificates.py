"""A certificate authority for one test run, with certificates for servers and for clients."""

import copy
import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOCALHOST = ("127.0.0.1", "localhost")


class Certificates:
    """PEM files in a directory, valid for a day.

    Args:
        directory: Where to.
        hosts: What the servers' certificate is for.

    Attributes:
        authority: The authority's certificate.
        certificate: The servers', with its `key`.
        client_certificate: A client's, with its `client_key`.
    """

    def __init__(self, directory: Path, hosts: tuple[str, ...] = LOCALHOST) -> None:
        directory.mkdir(exist_ok=True)
        self._directory = directory
        self._hosts = hosts
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority_name = _name("DisRoom test authority")
        authority = (
            _builder(self._authority_name, self._authority_name, self._authority_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._authority_key, hashes.SHA256())
        )
        self.authority = directory / "authority.pem"
        self.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        self.certificate, self.key = self._issue("server", hosts)
        self.client_certificate, self.client_key = self._issue("client", ("disroom",))

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts this authority alone, and shows the client's certificate."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.client_certificate, self.client_key)
        context.check_hostname = self._hosts == LOCALHOST
        return context

    def others(self, hosts: tuple[str, ...]) -> "Certificates":
        """Return the same with another certificate for servers, for other hosts."""
        others = copy.copy(self)
        others._hosts = hosts
        others.certificate, others.key = self._issue(f"server of {hosts[0]}", hosts)
        return others

    def _issue(self, name: str, hosts: tuple[str, ...]) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(hosts[0]), self._authority_name, key.public_key())
            .add_extension(x509.SubjectAlternativeName(list(map(_host, hosts))), critical=False)
            .sign(self._authority_key, hashes.SHA256())
        )
        paths = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths


def _host(host: str) -> x509.GeneralName:
    if host[0].isdigit():
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
