"""Signed client assertions: RS256 and PS256 with a registered certificate (sheet 6.2).

Debian's Python has no cryptography without more packages; verifying RSA needs only ``pow``.
"""
from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from typing import Any, Iterator, Optional

_RSA = bytes.fromhex("2a864886f70d010101")  # 1.2.840.113549.1.1.1
_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclasses.dataclass(frozen=True)
class PublicKey:
    modulus: int
    exponent: int
    sha256: bytes  #: of the DER certificate
    sha1: bytes

    @property
    def size(self) -> int:
        return (self.modulus.bit_length() + 7) // 8


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of the DER elements one after another."""
    i = 0
    while i < len(data):
        tag, length = data[i], data[i + 1]
        i += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[i : i + count], "big")
            i += count
        yield tag, data[i : i + length]
        i += length


def _find_key(data: bytes) -> Optional[tuple[int, int]]:
    """Modulus and exponent of the RSA SubjectPublicKeyInfo inside of a certificate."""
    parts = list(_elements(data))
    if len(parts) == 2 and parts[0][0] == 0x30 and parts[1][0] == 0x03:
        identifier = next(_elements(parts[0][1]), (0, b""))
        if identifier == (0x06, _RSA):
            (_, key), = _elements(parts[1][1][1:])  # the bit string's first byte: unused bits
            modulus, exponent = (int.from_bytes(n, "big") for _, n in _elements(key))
            return modulus, exponent
    for tag, content in parts:
        if tag & 0x20:
            found = _find_key(content)
            if found:
                return found
    return None


def load_certificate(pem: str) -> PublicKey:
    """The first certificate of a PEM text."""
    start, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if start not in pem:
        raise ValueError("no certificate in the file")
    der = base64.b64decode(pem.split(start, 1)[1].split(end, 1)[0])
    found = _find_key(der)
    if found is None:
        raise ValueError("the certificate holds no RSA key")
    return PublicKey(*found, hashlib.sha256(der).digest(), hashlib.sha1(der).digest())


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _mgf1(seed: bytes, length: int) -> bytes:
    out = b""
    counter = 0
    while len(out) < length:
        out += hashlib.sha256(seed + counter.to_bytes(4, "big")).digest()
        counter += 1
    return out[:length]


def _valid_pss(encoded: bytes, digest: bytes, bits: int) -> bool:
    """EMSA-PSS-VERIFY with SHA-256, salt as long as the digest (RFC 8017, 9.1.2)."""
    encoded = encoded[-((bits + 7) // 8):]
    if len(encoded) < 66 or encoded[-1] != 0xBC:
        return False
    masked, hashed = encoded[:-33], encoded[-33:-1]
    block = bytearray(a ^ b for a, b in zip(masked, _mgf1(hashed, len(masked))))
    block[0] &= 0xFF >> (8 * len(encoded) - bits)
    padding, salt = block[:-33], bytes(block[-32:])
    if any(padding) or block[-33] != 1:
        return False
    return hashlib.sha256(b"\0" * 8 + digest + salt).digest() == hashed


def _valid_signature(key: PublicKey, algorithm: str, signed: bytes, signature: bytes) -> bool:
    if len(signature) != key.size:
        return False
    plain = pow(int.from_bytes(signature, "big"), key.exponent, key.modulus)
    encoded = plain.to_bytes(key.size, "big")
    digest = hashlib.sha256(signed).digest()
    if algorithm == "PS256":
        return _valid_pss(encoded, digest, key.modulus.bit_length() - 1)
    if algorithm == "RS256":
        tail = b"\0" + _SHA256_PREFIX + digest
        return encoded == b"\0\1" + b"\xff" * (key.size - 2 - len(tail)) + tail
    return False


def verify(token: str, key: Optional[PublicKey], now: int) -> dict[str, Any]:
    """Claims of a token that this certificate signed and that is valid now; else ValueError."""
    if key is None:
        raise ValueError("The application has no certificate.")
    try:
        head, claims, signature = token.split(".")
        header, body = json.loads(_decode(head)), json.loads(_decode(claims))
        raw = _decode(signature)
    except ValueError:
        raise ValueError("The assertion is not a JWT.") from None
    thumbprints = {"x5t#S256": key.sha256, "x5t": key.sha1}
    given = [name for name in thumbprints if name in header]
    if not given or any(_decode(header[n]) != thumbprints[n] for n in given):
        raise ValueError("The thumbprint names no registered certificate.")
    if not _valid_signature(key, header.get("alg", ""), f"{head}.{claims}".encode(), raw):
        raise ValueError("The signature is invalid.")
    if not int(body.get("nbf", 0)) <= now + 300 or not now < int(body.get("exp", 0)):
        raise ValueError("The assertion is not within its valid time range.")
    return body


def check_claims(claims: dict[str, Any], client: str, endpoint: str) -> None:
    """``iss`` and ``sub`` are the client, ``aud`` the endpoint, ``jti`` is there (sheet 6.2)."""
    if claims.get("iss") != client or claims.get("sub") != client:
        raise ValueError("iss and sub must be the client id.")
    if claims.get("aud") != endpoint:
        raise ValueError(f"aud must be {endpoint}.")
    if not claims.get("jti"):
        raise ValueError("jti is missing.")
