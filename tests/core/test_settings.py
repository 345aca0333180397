"""Settings as the environment gives them."""

from __future__ import annotations

import pytest

from config.groups import Group
from config.settings import Settings


def optional_variables() -> list[str]:
    """Every setting of a group that may be left out, as the environment names it."""
    return sorted(
        f"{group}__{name}".upper()
        for group, field in Settings.model_fields.items()
        if isinstance(field.default, Group)
        for name, inner in type(field.default).model_fields.items()
        if inner.default is None
    )


@pytest.mark.parametrize("variable", optional_variables())
def test_an_optional_setting_that_is_empty_is_unset(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    group, _, name = variable.lower().partition("__")
    assert "CHAIN__KEYSTORE_PATH" in optional_variables()
    monkeypatch.setenv(variable, "")
    assert getattr(getattr(Settings(_env_file=None), group), name) is None


def test_any_other_setting_that_is_empty_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAIN__MAX_RANGE_BLOCKS", "")
    with pytest.raises(ValueError, match="max_range_blocks"):
        Settings(_env_file=None)
