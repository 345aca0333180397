"""Credentials that must open nothing: each was made of an administrator's, so that only its own fault can stop it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from sqlalchemy.orm import Session

from app.accounts.types import Scope
from config.groups import DEVELOPMENT_SECRET
from tests.accounts.conftest import bearer
from tests.security.world import Person, World

OUR_SECRET = DEVELOPMENT_SECRET.encode()
OTHER_SECRET = "another-secret-of-more-than-thirty-two-bytes"
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL8WC4Y0yqEWxEhMWjSYzPFv+J+8cMAbYkB0c2r0rRTyHcdx2Q0l5k3BZ0vvP3cU
0y0J1n0Jb0qJb1n1Jb0qJb0CAwEAAQ==
-----END PUBLIC KEY-----
"""
UNAUTHENTICATED, INVALID = "core.unauthenticated", "accounts.token_invalid"
REVOKED, REFUSED = "accounts.token_revoked", "accounts.key_refused"


@dataclass(frozen=True)
class Stranger:
    """A credential, and the code of the 401 it gets."""

    name: str
    headers: dict[str, str]
    code: str


def strangers(world: World) -> list[Stranger]:
    """All of them; made once for a world."""
    return [
        Stranger("nobody", {}, UNAUTHENTICATED),
        *(Stranger(name, bearer(token), INVALID) for name, token in forged(world.person(Scope.ADMIN))),
        *ended_sessions(world),
        *ended_keys(world),
        *misplaced(world),
    ]


def forged(person: Person) -> Iterator[tuple[str, str]]:
    """Tokens that we did not sign, or not as an access token, each saying what a good one says."""
    good = person.tokens["access_token"]
    claims = jwt.decode(good, options={"verify_signature": False})
    header, payload, signature = good.split(".")
    yield "alg none", f"{segment({'alg': 'none', 'typ': 'JWT'})}.{payload}."
    yield "alg none, with the signature", f"{segment({'alg': 'None'})}.{payload}.{signature}"
    yield "another secret", jwt.encode(claims, OTHER_SECRET, "HS256")
    yield "an empty secret", by_hand({"alg": "HS256"}, claims, b"")
    yield "our secret, another digest", by_hand({"alg": "HS512"}, claims, OUR_SECRET, "sha512")
    yield "alg RS256 over an HMAC of ours", by_hand({"alg": "RS256"}, claims, OUR_SECRET)
    yield "a public key as the secret", by_hand({"alg": "HS256"}, claims, PUBLIC_KEY.encode())
    key = {"kty": "oct", "k": base64.urlsafe_b64encode(OTHER_SECRET.encode()).decode()}
    yield "its own key in the header", by_hand({"alg": "HS256", "jwk": key}, claims, OTHER_SECRET.encode())
    yield "a key file in the header", by_hand({"alg": "HS256", "kid": "/dev/null"}, claims, b"")
    yield "other claims under the signature", f"{header}.{segment(claims | {'sub': person.principal})}.{signature}"
    yield "no signature", f"{header}.{payload}."
    yield "two parts", f"{header}.{payload}"
    yield "four parts", f"{good}.{signature}"
    yield "half a signature", good[:-20]
    yield "a payload that is no JSON", f"{header}.{payload[:-3]}.{signature}"
    yield "a refresh token as access", person.tokens["refresh_token"]


def ended_sessions(world: World) -> Iterator[Stranger]:
    """Tokens that were good: warmed in both processes before they were ended."""
    gone, shut_out, expired = (warmed(world, world.person(Scope.ADMIN)) for _ in range(3))
    world.client.post("/v1/auth/logout", headers=gone.by_token)
    deactivate(world, shut_out)
    claims = jwt.decode(expired.tokens["access_token"], options={"verify_signature": False})
    past = jwt.encode(claims | {"exp": datetime.now(UTC) - timedelta(seconds=1)}, DEVELOPMENT_SECRET, "HS256")
    yield Stranger("a session that was signed out", gone.by_token, REVOKED)
    yield Stranger("the session of a deactivated user", shut_out.by_token, REVOKED)
    yield Stranger("the key of a deactivated user", shut_out.by_key, REFUSED)
    yield Stranger("an expired token", bearer(past), "accounts.token_expired")


def ended_keys(world: World) -> Iterator[Stranger]:
    """API keys that were good, and one that nearly is."""
    revoked, rotated, live = (warmed(world, world.person(Scope.ADMIN)) for _ in range(3))
    path = "/v1/api-keys/{0.key.key.id}"
    assert world.client.delete(path.format(revoked), headers=revoked.by_token).status_code == 204
    options: dict[str, Any] = {"json": {"grace_seconds": 0}, "headers": rotated.by_token}
    assert world.client.post(path.format(rotated) + "/rotate", **options).status_code == 200
    with Session(world.engine) as session:
        short = world.make_key(session, live.user, ended=True)
        session.commit()
    yield Stranger("a revoked key", revoked.by_key, REFUSED)
    yield Stranger("a key rotated away", rotated.by_key, REFUSED)
    yield Stranger("an expired key", {"X-API-Key": short.secret}, REFUSED)
    yield Stranger("a key with another secret", {"X-API-Key": live.key.secret[:-4] + "AAAA"}, REFUSED)
    other = world.root.key.secret
    yield Stranger("two halves of two keys", {"X-API-Key": live.key.secret[:36] + other[36:]}, REFUSED)
    yield Stranger("an empty key", {"X-API-Key": ""}, REFUSED)


def misplaced(world: World) -> Iterator[Stranger]:
    """Good credentials, shown wrongly."""
    root = world.root
    yield Stranger("a token as a key", {"X-API-Key": root.tokens["access_token"]}, REFUSED)
    yield Stranger("a key as a token", bearer(root.key.secret), INVALID)
    yield Stranger("both at once", root.by_token | root.by_key, UNAUTHENTICATED)
    yield Stranger("another scheme", {"Authorization": f"Basic {root.tokens['access_token']}"}, UNAUTHENTICATED)
    yield Stranger("a cookie", {"Cookie": f"access_token_cookie={root.tokens['access_token']}"}, UNAUTHENTICATED)


def warmed(world: World, person: Person) -> Person:
    """Somebody whom both processes have let in, and remember."""
    for client in (world.client, world.other_process):
        for headers in (person.by_token, person.by_key):
            assert client.get("/v1/me", headers=headers).status_code == 200
    return person


def deactivate(world: World, person: Person) -> None:
    """Shut somebody out, as an administrator does."""
    answer = world.client.post(f"/v1/users/{person.user.id}/deactivate", headers=world.root.by_token)
    assert answer.status_code == 200


def segment(value: Any) -> str:
    """A part of a token."""
    return encoded(json.dumps(value).encode())


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes, digest: str = "sha256") -> str:
    """An HMAC token that says what it likes of itself: a library would refuse to make it."""
    signed = f"{segment(header)}.{segment(claims)}"
    return f"{signed}.{encoded(hmac.new(secret, signed.encode(), getattr(hashlib, digest)).digest())}"
