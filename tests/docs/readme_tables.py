"""The README's tables, made from the code. `python -m tests.docs.readme_tables` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kafka.cluster.properties import TAKE_OVER
from model.marked import with_part
from model.tables import header, percent, row
from seldon_kafka.config.rights import ROLES, Right
from seldon_kafka.config.settings import load_settings, variables

README = Path(__file__).resolve().parents[2] / "README.md"
_MODELS = README.parent / "docs" / "model.json"
_CLASSES = {"baseline": "`wrapper.KmnistBaseline` (scikit-learn)"}


def settings_table() -> str:
    """A row for each setting: variable, default, meaning."""
    rows = ["| variable | default | |", "| --- | --- | --- |"]
    for variable, field in variables().items():
        rows.append(f"| `{variable}` | {_default(field.default)} | {field.metadata['help']} |")
    return "\n".join(rows)


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    return f"`{value}`" if value != "" else ""


def broker_settings_table() -> str:
    """A row for each broker setting that a quick take-over needs."""
    rows = ["| broker setting | value |", "| --- | --- |"]
    rows += [f"| `{name}` | `{value}` |" for name, value in TAKE_OVER.items()]
    return "\n".join(rows)


def rights_table() -> str:
    """What each role may do with each resource, as the default settings name them."""
    rows = ["| who | on | may | for |", "| --- | --- | --- | --- |"]
    settings = load_settings({"KAFKA_LOG_REQUESTS": "on"})
    for role, rights in ROLES.items():
        resources: dict[str, list[Right]] = {}
        for right in rights(settings):
            beginning = " (prefix)" if right.prefixed else ""
            resource = f"{right.resource} `{right.name}`{beginning}"
            resources.setdefault(resource, []).append(right)
        for resource, its in resources.items():
            operations = ", ".join(right.operation for right in its)
            purposes = "; ".join(dict.fromkeys(right.purpose for right in its))
            rows.append(f"| `{role}` | {resource} | {operations} | {purposes} |")
    return "\n".join(rows)


def models_table() -> str:
    """What `python -m model.evaluate` found of each model that ships."""
    rows = [*header("model", "test accuracy", "images a second", "on Python 3.8", "size")]
    for name, found in json.loads(_MODELS.read_text("utf-8")).items():
        rows.append(
            row(
                _CLASSES.get(name, f"`wrapper.KmnistClassifier`, `{name}`"),
                percent(found["accuracy"]),
                _speed(found, is_on_3_8=False),
                _speed(found, is_on_3_8=True),
                f"{found['size_bytes'] / 1000:,.0f} kB",
            )
        )
    return "\n".join(rows)


def _speed(model: dict[str, Any], *, is_on_3_8: bool) -> str:
    """Of the form that is quickest there, with the threads that are."""
    medians = [
        rate["median"]
        for each in model["speed"]
        if each["python"].startswith("3.8.") == is_on_3_8
        for rate in each["images_per_second"]
        if rate["batch"] == 256
    ]
    return f"{max(medians):,}" if medians else ""


def with_tables(text: str) -> str:
    """The README's text with all tables as the code has them."""
    for name, table in (
        ("settings", settings_table()),
        ("broker settings", broker_settings_table()),
        ("rights", rights_table()),
        ("models", models_table()),
    ):
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        text = with_part(text, begin, end, table)
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text("utf-8")), "utf-8")
