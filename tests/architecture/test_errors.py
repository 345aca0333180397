"""The catalogue of errors: every class has a code of its own, named after its feature, and a sentence of its own."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus

from app.core.errors import AppError, NotFound
from app.errors import catalogue


def own_errors() -> list[type[AppError]]:
    """The application's classes; a test may define others."""
    return [error for error in catalogue() if error.__module__.startswith("app.")]


def faults(error: type[AppError]) -> list[str]:
    """What is wrong with a class as a line of the catalogue."""
    feature = error.__module__.split(".")[1]
    found = []
    if not error.code.startswith(f"{feature}."):
        found.append(f"{error.__qualname__}: code {error.code} does not begin with {feature}.")
    if not (error.__doc__ or "").strip() or error.__doc__ == error.__mro__[1].__doc__:
        found.append(f"{error.__qualname__}: no sentence of its own")
    if error.status not in {status.value for status in HTTPStatus if status >= 400}:
        found.append(f"{error.__qualname__}: {error.status} is no status of a failure")
    return found


def test_every_error_is_a_line_of_the_catalogue() -> None:
    assert [fault for error in own_errors() for fault in faults(error)] == []


def test_codes_are_unique() -> None:
    counts = Counter(error.code for error in own_errors())
    assert [code for code, count in counts.items() if count > 1] == []


def test_a_careless_error_is_seen() -> None:
    careless = type("Careless", (NotFound,), {"status": 200, "__module__": "app.jobs.errors", "__doc__": ""})
    assert len(faults(careless)) == 3
