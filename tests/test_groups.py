"""How pytest is run."""

import pytest


@pytest.mark.xdist_group("groups")
def test_tests_of_a_group_go_to_one_worker(request: pytest.FixtureRequest) -> None:
    if "loadgroup" not in request.config.invocation_params.args:
        pytest.skip("tests are not distributed by group here")
    # pytest-xdist 3.8.0 marks a group so; pytest 9.2.0 does not let it, and nobody is told.
    assert request.node.nodeid.endswith("@groups")
