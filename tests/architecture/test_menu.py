"""The menu, the tasks and the schedule agree: every kind has one task, every entry a kind that is known."""

from __future__ import annotations

import ast
from collections import Counter

from app.jobs.types import JobKind
from app.menu import MENU
from config.settings import Settings
from tasks.base import JobTask
from tasks.celery_app import FEATURES, celery_app
from tasks.schedule import schedule
from tests.architecture.source import Source, planted, sources


def decorated(source: Source) -> list[str]:
    """The kinds that a file registers functions for, as they are written there."""
    return [
        ast.unparse(decorator.args[0])
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("job_task")
    ]


def registered() -> dict[str, JobKind]:
    """The kinds that a worker knows after its start; test kinds live elsewhere."""
    celery_app.loader.import_default_modules()
    tasks = {name: task for name, task in celery_app.tasks.items() if isinstance(task, JobTask)}
    return {name: task.kind for name, task in tasks.items() if task.work.__module__.startswith("tasks.")}


def test_every_kind_has_exactly_one_task() -> None:
    assert registered() == dict(MENU.kinds)
    counts = Counter(f"{source.path.stem}.{name}" for source in sources("tasks") for name in decorated(source))
    assert counts.total() == len(MENU.kinds), "two functions for one kind: the later would hide the earlier"


def test_every_file_with_a_task_is_loaded_by_the_workers() -> None:
    with_tasks = {f"tasks.{source.path.stem}" for source in sources("tasks") if decorated(source)}
    assert with_tasks == set(FEATURES)


def test_a_kind_lives_in_its_feature() -> None:
    for name, kind in registered().items():
        feature = name.split(".")[0]
        assert kind.params.__module__ == f"app.{feature}.jobs"


def test_every_schedule_entry_names_a_known_kind_with_valid_parameters() -> None:
    entries = schedule(Settings(_env_file=None))
    assert [entry.name for entry in entries if MENU.kinds.get(entry.kind.name) is not entry.kind] == []
    assert [name for name, count in Counter(entry.name for entry in entries).items() if count > 1] == []
    for entry in entries:
        entry.kind.params().load(dict(entry.params))


def test_a_task_is_found_however_it_is_written() -> None:
    text = "@job_task(PROBE)\ndef probe(run): ...\n\n@base.job_task(menu.INDEX)\ndef index(run): ...\n"
    assert decorated(planted("tasks/chain.py", text)) == ["PROBE", "menu.INDEX"]
