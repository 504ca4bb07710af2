"""Writes docs/benchmark.md and its plots."""

from __future__ import annotations

from pathlib import Path

from bench.figures import Figures


def write_report(figures: Figures, folder: Path) -> Path:
    """Write the report.

    Returns:
        The file.
    """
    path = folder / "benchmark.md"
    path.write_text("# Benchmark\n", encoding="utf-8")
    return path
