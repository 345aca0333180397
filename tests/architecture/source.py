"""The project's own source as the house rules see it: a file, its text, its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED = ("core", "maths")


@dataclass(frozen=True)
class Source:
    """One Python file; `path` is relative to the project, so that a rule may be shown a file that does not exist."""

    path: PurePosixPath
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, str(self.path))

    @property
    def feature(self) -> str | None:
        """The feature it belongs to; None for what stands outside the features."""
        parts = self.path.parts
        return parts[1] if parts[0] == "app" and len(parts) > 2 and parts[1] not in SHARED else None

    @property
    def role(self) -> str | None:
        """Its role inside the feature: the file's name, or its folder's."""
        return PurePosixPath(self.path.parts[2]).stem if self.feature else None


def planted(path: str, text: str) -> Source:
    """A file that is not there, to see a rule fail."""
    return Source(PurePosixPath(path), text)


def sources(*folders: str) -> Iterator[Source]:
    """Every Python file under the folders (or the files themselves), by name."""
    for folder in folders:
        place = ROOT / folder
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            yield Source(PurePosixPath(path.relative_to(ROOT).as_posix()), path.read_text())


def features() -> list[str]:
    """The folders of app/ that are features."""
    folders = (path.parent.name for path in (ROOT / "app").glob("*/__init__.py"))
    return sorted(name for name in folders if name not in SHARED)
