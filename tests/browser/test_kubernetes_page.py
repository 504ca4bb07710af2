"""The page shows and controls pods of a SeldonDeployment, with metrics of a real worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.stack import Stack
from tests.browser.test_dashboard import RUNNING, WITHIN_MS, fill
from tests.support.kubernetes_cluster import NAME, NAMESPACE, Document
from tests.support.kubernetes_rig import (
    HPA,
    KEDA,
    MANIFEST,
    Rig,
    keda_of,
    starting,
    with_component,
)
from tests.support.stream import wait_until

# `make test` covers the backend in tests/consumer, and the page in test_dashboard.py.
pytestmark = pytest.mark.full

PageOver = Callable[[Document], tuple[Page, Rig]]


@pytest.fixture
def page_over(
    stack: Stack, new_page: NewPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PageOver]:
    """Opens a page for a SeldonDeployment; all its pods answer as one of the replicas does."""
    with starting(tmp_path, monkeypatch) as begin:
        dashboards = []

        def make(manifest: Document) -> tuple[Page, Rig]:
            rig = begin(manifest)
            replicas = json.loads(stack.run("kafka.replicas", "status", "--json"))["replicas"]
            rig.api.pod_port = int(replicas[0]["ports"]["KAFKA_HTTP_PORT"])
            settings = {"KUBECONFIG": str(tmp_path / "kubeconfig"), "KAFKA_BROKER": stack.bootstrap}
            dashboards.append(stack.second_page("--kubernetes", f"{NAMESPACE}/{NAME}", **settings))
            return new_page(dashboards[-1].url), rig

        yield make
        for each in dashboards:
            each.end()


def test_pods_are_listed_killed_and_rescaled(page_over: PageOver) -> None:
    page, rig = page_over(MANIFEST)
    pods = page.locator(RUNNING)
    expect(pods).to_have_count(2, timeout=WITHIN_MS)
    expect(pods.first).to_contain_text("partitions")
    killed = str(pods.first.get_attribute("data-worker"))
    pods.first.get_by_role("button", name="kill -9").click()
    gone = page.locator(f".card[data-state=gone][data-worker='{killed}']")
    expect(gone).to_contain_text("killed on purpose", timeout=WITHIN_MS)
    command = f"kubectl --namespace {NAMESPACE} delete pod {killed} --grace-period=0 --force"
    expect(page.get_by_text(command)).to_be_visible()
    expect(pods).to_have_count(2, timeout=WITHIN_MS)
    fill(page, "by hand", 3)
    page.get_by_role("button", name="Update").click()
    expect(pods).to_have_count(3, timeout=WITHIN_MS)
    assert len(rig.running()) == 3


def test_only_modes_of_the_manifest_are_shown(page_over: PageOver) -> None:
    page, rig = page_over(with_component(kedaSpec=KEDA))
    expect(page.get_by_role("button", name="automatic")).to_be_visible(timeout=WITHIN_MS)
    for name in ("off", "by hand"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    for name, value in (("minimum", 2), ("maximum", 3), ("lag for each worker", 50)):
        fill(page, name, value)
    page.get_by_role("button", name="Update").click()
    wait_until(lambda: keda_of(rig.cluster.manifest) == [2, 3, "50"], 20, "the manifest changes")


def test_without_scaling_by_lag_the_field_is_hidden(
    page_over: PageOver,
) -> None:
    page, _ = page_over(with_component(hpaSpec=HPA))
    expect(page.get_by_label("minimum", exact=True)).to_have_value("2", timeout=WITHIN_MS)
    expect(page.get_by_label("lag for each worker", exact=True)).to_be_hidden()
    expect(page.get_by_label("by hand", exact=True)).to_be_hidden()
