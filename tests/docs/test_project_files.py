"""The files that a project is expected to have: complete, and checked by their own schemas."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from seldon_kafka import __version__
from seldon_kafka.config.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
CHECKER = ROOT / ".venv-beside" / "bin" / "check-jsonschema"


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("compose.yaml", "vendor.compose-spec"),
        (".github/workflows/tests.yaml", "vendor.github-workflows"),
    ],
)
def test_a_file_is_what_its_schema_says(file: str, schema: str) -> None:
    ran = subprocess.run(
        [str(CHECKER), "--builtin-schema", schema, file],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_workers_of_the_compose_file_have_settings_that_are_known() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    settings = load_settings(services["worker"]["environment"])
    assert settings.broker == "kafka:9092"
    assert services["worker"]["deploy"]["replicas"] == 2
    assert not settings.unknown


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, re.MULTILINE)
    assert versions[0] == __version__
    assert "## [Unreleased]" in text


def test_every_target_that_contributing_names_is_in_the_makefile() -> None:
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"check", "test", "test-full", "faults", "lock"} <= named <= targets


def test_a_commit_is_checked_as_make_check_does() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]
    assert [hook["entry"] for hook in hooks["hooks"]] == ["make check"]
