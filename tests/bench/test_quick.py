"""The bench runs, on real brokers; what it measures is not looked at here."""

from __future__ import annotations

import pytest

from bench.__main__ import main


@pytest.mark.full
@pytest.mark.timeout(180)
@pytest.mark.xdist_group("bench")
def test_a_quick_bench_answers_all_of_its_messages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    said = capsys.readouterr().out
    assert "drain, ndarray" in said
    assert "latency" in said
