"""Reads the variables that s2i writes into an image."""

from __future__ import annotations

from pathlib import Path


def read_environment(source: Path) -> dict[str, str]:
    """Returns the variables in a source folder's `.s2i/environment`; none without that file."""
    path = source / ".s2i" / "environment"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}
