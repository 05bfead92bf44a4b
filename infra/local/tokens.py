"""The local stack's identity provider: a key pair made on the first start, and tokens signed with it."""

import base64
import hashlib
import json
import os
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://identity.tillstream.local"
AUDIENCE = "tillstream"
VALID_SECONDS = 12 * 60 * 60


def text(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """A P-256 key pair in a file that `make reset` leaves alone, so tokens outlive it."""

    def __init__(self, file: Path):
        if not file.exists():
            make_key(file)
        self.key = serialization.load_pem_private_key(file.read_bytes(), password=None)

    def public_key(self) -> dict:
        numbers = self.key.public_key().public_numbers()
        x, y = (text(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        # RFC 7638: the key's id is the digest of its required members in alphabetical order.
        thumbprint = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":"))
        id = text(hashlib.sha256(thumbprint.encode()).digest())
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": id, "alg": "ES256", "use": "sig"}

    def key_set(self) -> str:
        """The JWKS document that verifiers read."""
        return json.dumps({"keys": [self.public_key()]})

    def token(self, tenant: str, role: str, stores: list[str], register: str | None = None) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"local-{role}",
            "iat": now,
            "exp": now + VALID_SECONDS,
            "tenant_id": tenant,
            "roles": [role],
            "stores": stores,
            "scope": "",
        }
        if register:
            claims |= {"device_id": f"local-{register}", "register_id": register}
        return self.sign(claims)

    def sign(self, claims: dict) -> str:
        head = {"alg": "ES256", "typ": "JWT", "kid": self.public_key()["kid"]}
        signed = ".".join(text(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def make_key(file: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(pem)
