"""Runs everything on one machine with kind; see `sdep.kind.__main__`."""
