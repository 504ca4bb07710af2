"""Runs the whole system in a local kind cluster; see `sdep.kind.__main__`."""
