"""The benchmark runs on real brokers; its figures are not tested."""

from __future__ import annotations

import pytest

from bench.__main__ import main


@pytest.mark.full
@pytest.mark.timeout(180)
@pytest.mark.xdist_group("bench")
def test_a_quick_benchmark_answers_all_of_its_messages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    output = capsys.readouterr().out
    assert "drain, ndarray" in output
    assert "latency" in output
