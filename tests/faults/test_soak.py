"""The growth of memory in a soak."""

from __future__ import annotations

import pytest

from tests.faults.soak import growth_of


def test_a_leak_is_measured_without_the_warm_up() -> None:
    flat = [(float(second), 100.0 if second > 50 else second) for second in range(1000)]
    assert growth_of("worker", flat, 1000).slope_mib_per_hour == pytest.approx(0, abs=1e-6)
    leak = [(second, mib + second / 60) for second, mib in flat]
    found = growth_of("worker", leak, 1000)
    assert found.slope_mib_per_hour == pytest.approx(60)
    assert found.last_mib - found.first_mib == pytest.approx(15, abs=0.1)
