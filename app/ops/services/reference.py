"""The pages of docs/ that are made from the code: error codes, job kinds, settings. `manage.py docs` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app.core.errors import AppError
from app.jobs.services.kinds import params_schema
from app.jobs.types import JobKind, Menu

OWN_ERRORS = "app."

ERRORS_INTRO = """\
# Errors

<!-- Made by `python manage.py docs` from the features' `errors.py`; edit those, not this. -->

Every failure is `application/problem+json` (RFC 9457) over HTTP, and the same object under `error` in a job:

| member | meaning |
| --- | --- |
| `code` | stable; what a program should look at |
| `type` | `urn:watchkeeper:problem:<code>` |
| `title`, `detail` | the sentence below, and what is known of this occurrence |
| `status` | the HTTP status |
| `retryable` | true when the same request may succeed later; `Retry-After` says when, if that is known |
| `errors` | the bad fields: `pointer` (JSON pointer, or `?name` in a query) and `detail` |
| `request_id` | what to look for in the logs |
"""

KINDS_INTRO = """\
# Job kinds

<!-- Made by `python manage.py docs` from the features' `jobs.py`; edit those, not this. -->

`POST /v1/jobs` with `{"kind": …, "params": …}` submits one; `GET /v1/job-kinds` gives this page to programs.
A kind without a scope is submitted by Watchkeeper itself.
"""

CONFIGURATION_INTRO = """\
# Configuration

<!-- Made by `python manage.py docs` from `config/groups.py` and `config/settings.py`; edit those, not this. -->

Read from the environment, or from `.env`. Lists are JSON: `HTTP__TRUSTED_HOSTS='["api.example.org"]'`.
With `DATABASE_URL`, `BROKER_URL` and `CACHE_URL` set, nothing embedded starts. `ENVIRONMENT=production` refuses to
start with development secrets, one Redis for both roles, weak password hashing, or open hosts and origins.
"""


def pages(menu: Menu, errors: Iterable[type[AppError]], settings: type[BaseModel]) -> dict[str, str]:
    """Every generated page by its path from the project's root."""
    return {
        "docs/errors.md": errors_page(errors),
        "docs/job-kinds.md": job_kinds_page(menu),
        "docs/configuration.md": configuration_page(settings),
    }


def errors_page(errors: Iterable[type[AppError]]) -> str:
    """The catalogue of codes, by feature."""
    own = sorted((error for error in errors if error.__module__.startswith(OWN_ERRORS)), key=lambda error: error.code)
    lines = [ERRORS_INTRO]
    for feature, group in groupby(own, key=lambda error: error.code.partition(".")[0]):
        rows = [
            (f"`{error.code}`", str(error.status), "yes" if error.retryable else "", error.default_detail())
            for error in group
        ]
        lines += [f"## {feature}", "", *table(("code", "status", "retryable", "meaning"), rows), ""]
    return "\n".join(lines)


def job_kinds_page(menu: Menu) -> str:
    """The menu: what each kind does, how it is run, what it takes."""
    lines = [KINDS_INTRO]
    for name, kind in sorted(menu.kinds.items()):
        lines += [f"## {name}", "", kind.summary, "", *table(("", ""), _running(kind)), "", *_params(kind), ""]
    return "\n".join(lines)


def configuration_page(settings: type[BaseModel]) -> str:
    """Every setting: the variable, its default, its meaning."""
    lines = [CONFIGURATION_INTRO]
    for heading, prefix, group in _groups(settings):
        rows = [
            (f"`{prefix}{name.upper()}`", _default(field), field.description or "")
            for name, field in group.items()
            if not _is_group(field)
        ]
        lines += [f"## {heading}", "", *table(("variable", "default", "meaning"), rows), ""]
    return "\n".join(lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    cells = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return ["| " + " | ".join(row) + " |" for row in cells]


def _running(kind: JobKind) -> list[tuple[str, str]]:
    waits = f"{kind.backoff_seconds:g} s, doubling up to {kind.backoff_cap_seconds:g} s"
    facts = [
        ("queue", f"`{kind.queue}`"),
        ("scope", f"`{kind.scope}`" if kind.scope else "none"),
        ("time limit", f"{kind.timeout_seconds} s"),
        ("attempts", f"{kind.max_attempts}, after {waits}"),
    ]
    if kind.expires_after_seconds is not None:
        facts.append(("expires", f"when it has not started within {kind.expires_after_seconds:g} s"))
    if kind.overlap_key is not None:
        facts.append(("overlap", "a second one that would do the same is refused while the first is live"))
    if kind.serial_key is not None:
        facts.append(("order", "one after the other by its serial key"))
    if kind.bulk:
        facts.append(("bulk", "claimed and finished many at a time"))
    if kind.needs_key:
        facts.append(("Idempotency-Key", "required"))
    return facts


def _params(kind: JobKind) -> list[str]:
    schema = params_schema(kind)
    if not schema["properties"]:
        return ["No parameters."]
    required = schema.get("required", [])
    rows = [
        (f"`{name}`", _type(field), "required" if name in required else f"`{field.get('default')!r}`", _limits(field))
        for name, field in schema["properties"].items()
    ]
    return table(("parameter", "type", "default", "meaning"), rows)


def _type(field: Mapping[str, Any]) -> str:
    kind = field.get("type", "any")
    name = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{name} ({field['format']})" if "format" in field else name


def _limits(field: Mapping[str, Any]) -> str:
    said = [str(field["description"])] if "description" in field else []
    if "minimum" in field and "maximum" in field:
        said.append(f"{field['minimum']} to {field['maximum']}")
    elif "minimum" in field:
        said.append(f"at least {field['minimum']}")
    elif "maximum" in field:
        said.append(f"at most {field['maximum']}")
    if "enum" in field:
        said.append("one of " + ", ".join(f"`{choice}`" for choice in field["enum"]))
    return "; ".join(said)


def _groups(
    settings: type[BaseModel], heading: str = "General", prefix: str = ""
) -> Iterator[tuple[str, str, Mapping[str, FieldInfo]]]:
    """Each group of settings with its heading and the prefix of its variables, the groups inside it after it."""
    yield heading, prefix, settings.model_fields
    for name, field in settings.model_fields.items():
        if _is_group(field):
            kind: type[BaseModel] = field.annotation  # type: ignore[assignment]
            inner = f"{prefix}{name.upper()}__"
            yield from _groups(kind, f"{(kind.__doc__ or name).partition('.')[0]} (`{inner}`)", inner)


def _is_group(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _default(field: FieldInfo) -> str:
    value = _plain(field.default)
    if value is None or value == "" or value == []:
        return ""
    return f"`{value}`" if not isinstance(value, bool) else f"`{str(value).lower()}`"


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
