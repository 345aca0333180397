"""Settings at the edge of `manage.py`: read, complained about in one sentence, completed by what the stack made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.ops.adapters.run_folder import RunFolder
from app.ops.errors import SettingsInvalid
from config.settings import ENV_FILE, Settings, load_settings


def adopt_running_stack(run: RunFolder) -> None:
    """Let this process find the stack that runs in `run`, as if its variables had been set; those that are set win."""
    stack = run.running_stack()
    for name, value in (stack.environment if stack else {}).items():
        os.environ.setdefault(name, value)


def isolate(values: Mapping[str, str]) -> None:
    """Let this process and its children see these settings and no others: neither `.env` nor what is set around us."""
    for name in [name for name in os.environ if name.lower().partition("__")[0] in Settings.model_fields]:
        del os.environ[name]
    os.environ.update({"ENV_FILE": "", **values})


def read_settings(root: Path) -> Settings:
    """The settings from the environment and `.env`; raises SettingsInvalid naming each bad variable, never a value."""
    try:
        return load_settings(str(root / ENV_FILE))
    except SettingsError as error:
        raise SettingsInvalid(_not_json(str(error))) from None
    except ValidationError as error:
        wrong = "; ".join(f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors(include_input=False))
        raise SettingsInvalid(f"The settings are not valid: {wrong}; mend the environment or .env.") from None


def _not_json(complaint: str) -> str:
    """pydantic-settings names the group alone; these are the group's variables that are set."""
    group = complaint.split('"')[1].upper() if '"' in complaint else ""
    suspects = sorted(name for name in os.environ if group and name.upper().startswith(group))
    return (
        f"The settings are not valid: one of {', '.join(suspects) or group + '__...'} is not valid JSON,"
        ' which lists need (["a", "b"]); mend the environment or .env.'
    )


def _variable(place: tuple[int | str, ...]) -> str:
    names = [str(part) for part in place if not isinstance(part, int)]
    return "__".join(names).upper() or "together"


def is_given(settings: Settings, variable: str) -> bool:
    """True when someone set `variable` (`JOBS__CALLBACK_SECRET`); false when the settings hold its default."""
    group, _, field = variable.lower().rpartition("__")
    model = getattr(settings, group) if group else settings
    return field in model.model_fields_set


def completed(settings: Settings, made: Mapping[str, str]) -> dict[str, str]:
    """What of `made` nobody has set: the variables the supervisor adds for its children."""
    return {variable: value for variable, value in made.items() if not is_given(settings, variable)}
