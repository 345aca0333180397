"""What a production start refuses, and what no start takes; the complaint never repeats a value."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from config.groups import DEVELOPMENT_SECRET
from config.settings import DEVELOPMENT_GUARDIAN, DEVELOPMENT_SIGNER_KEY, Settings

STRONG = "x1" * 16
SAFE: dict[str, Any] = {
    "environment": "production",
    "jwt_secret_key": STRONG,
    "jobs": {"callback_secret": STRONG},
    "flower": {"password": STRONG},
    "metrics_token": STRONG,
    "chain": {"signer_key": "0x" + "5a" * 32},
}


def test_strong_secrets_of_ones_own_start() -> None:
    assert Settings(_env_file=None, **SAFE).environment == "production"
    assert Settings(_env_file=None, **SAFE | {"metrics_token": ""}), "an empty token keeps /metrics closed"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"jwt_secret_key": "x" * 31}, "JWT_SECRET_KEY"),
        ({"jwt_secret_key": DEVELOPMENT_SECRET}, "JWT_SECRET_KEY"),
        ({"jobs": {"callback_secret": "short"}}, "JOBS__CALLBACK_SECRET"),
        ({"flower": {"password": "guessable"}}, "FLOWER__PASSWORD"),
        ({"metrics_token": "prometheus"}, "METRICS_TOKEN"),
        ({"chain": {"signer_key": DEVELOPMENT_SIGNER_KEY}}, "CHAIN__SIGNER_KEY"),
        ({"chain": {"signer_key": DEVELOPMENT_SIGNER_KEY[2:].upper()}}, "CHAIN__SIGNER_KEY"),
        ({"oracle": {"signers": ["0x" + "11" * 20, DEVELOPMENT_GUARDIAN.lower()]}}, "ORACLE__SIGNERS"),
        ({"jobs": {"callback_secret": STRONG, "callback_allow_private": True}}, "JOBS__CALLBACK_ALLOW_PRIVATE"),
    ],
)
def test_production_refuses_to_start(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match="unsafe for production") as refused:
        Settings(_env_file=None, **SAFE | changed)
    assert named in str(refused.value)
    values = [value for value in changed.values() if isinstance(value, str)]
    assert not [value for value in values if value in str(refused.value)]


@pytest.mark.parametrize(
    "changed",
    [
        {"flower": {"password": ""}},
        {"flower": {"password": "pass-wörd"}},
        {"flower": {"password": "a\nb"}},
        {"flower": {"user": "a:b"}},
        {"flower": {"user": ""}},
        {"chain": {"signer_kye": "hunter2-hunter2"}},
        {"chain": "hunter2-hunter2"},
    ],
)
def test_no_start_takes(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None, **changed)
    assert "hunter2" not in str(refused.value)
    assert "wörd" not in str(refused.value)
