"""The panels of the workers' metrics: throughput, latency, confidence, rejections, drift."""

from __future__ import annotations

from nicegui import ui

from consumer.dashboard import scrape
from consumer.dashboard.context import DashboardContext
from consumer.dashboard.elements import Table
from consumer.dashboard.panels import BLUE, Refresh, axis, categories, chart, panel
from consumer.dashboard.scrape import Samples

_QUANTILES = (0.5, 0.9, 0.99)
_TENTHS = tuple(f"0.{tenth}" for tenth in range(10))


def metrics(context: DashboardContext) -> Refresh:
    """Builds the panels."""
    with panel("Throughput and latency"):
        summary = ui.label().classes("soft")
        stages = Table("stage", "batches", "mean", "90 % within", "99 % within")
    with ui.element("div").classes("halves"):
        with panel("Confidence of the answers"):
            confidence = chart(
                "220px",
                xAxis=categories(list(_TENTHS)),
                yAxis=axis("images"),
                series=[],
            )
            judged = ui.label().classes("soft")
        with panel("Unanswered messages"):
            reasons = Table("reason", "messages")
        with panel("Drift from the validation images"):
            drift = Table("statistic", "population stability index", "")
    shown = -1

    def refresh() -> None:
        nonlocal shown
        view = context.telemetry.view
        if view.number == shown:
            return
        shown = view.number
        summary.set_text(throughput(view.recent, view.recent_s))
        stages.show(rows=stage_rows(view.recent, view.counted))
        tenths = scrape.by_label(view.counted, "model_confidence_images_total", "at_least")
        bars = [tenths.get(each, 0.0) for each in _TENTHS]
        confidence.options["series"] = [{"type": "bar", "data": bars, "color": BLUE}]
        confidence.update()
        judged.set_text(
            f"{scrape.total(view.counted, 'model_images_total'):,.0f} images, "
            f"{scrape.total(view.counted, 'model_abstained_total'):,.0f} unsure, "
            f"{scrape.total(view.counted, 'model_outliers_total'):,.0f} outliers"
        )
        dead = scrape.by_label(view.counted, "kafka_worker_dead_letters_total", "reason")
        reasons.show(
            rows=[{"key": name, "cells": [name, f"{n:,.0f}"]} for name, n in sorted(dead.items())]
        )
        indices = scrape.by_label(view.counted, "model_drift_index", "statistic")
        drift.show(rows=[_drift_row(name, index) for name, index in sorted(indices.items())])

    return refresh


def throughput(recent: Samples, seconds: float) -> str:
    """Returns a text about rate and latency in the last half minute.

    Args:
        recent: increase of the metrics in this time.
        seconds: length of this time, in seconds.
    """
    messages = scrape.messages(recent)
    if seconds <= 0 or not messages:
        return "No message was answered in the last half minute."
    buckets = scrape.histogram(recent, "kafka_worker_latency_seconds")
    within = ", ".join(
        f"{100 * share:.0f} % within {1000 * value:,.0f} ms"
        for share in _QUANTILES
        if (value := buckets.quantile(share)) is not None
    )
    rate = f"{messages / seconds:,.1f} messages per second"
    return f"{rate}; {within}, from sending to commit" if within else rate


def stage_rows(recent: Samples, counted: Samples) -> list[dict[str, object]]:
    """Returns table rows with the time of a batch in each stage.

    Args:
        recent: increase of the metrics in the last half minute.
        counted: the metrics since the start, which are used if `recent` has no batch.
    """
    rows: list[dict[str, object]] = []
    name = "kafka_worker_stage_seconds"
    samples = recent if scrape.total(recent, f"{name}_count") else counted
    for stage, count in sorted(scrape.by_label(samples, f"{name}_count", "stage").items()):
        if not count:
            continue
        of_stage = {key: each for key, each in samples.items() if ("stage", stage) in key[1]}
        buckets = scrape.histogram(of_stage, name)
        mean = scrape.total(of_stage, f"{name}_sum") / count
        within = [f"{1000 * (buckets.quantile(share) or 0):.1f} ms" for share in (0.9, 0.99)]
        cells = [stage, f"{count:,.0f}", f"{1000 * mean:.1f} ms", *within]
        rows.append({"key": stage, "cells": cells})
    return rows


def _drift_row(name: str, index: float) -> dict[str, object]:
    level = {"text": "no drift", "mark": "right"}
    if index > 0.25:
        level = {"text": "strong drift", "mark": "wrong"}
    elif index > 0.1:
        level = {"text": "some drift", "mark": "abstain"}
    return {"key": name, "cells": [name, f"{index:.3f}", level]}
