"""The panels that show brokers, topics and partitions."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from consumer.dashboard import brokers
from consumer.dashboard.context import DashboardContext
from consumer.dashboard.elements import Table
from consumer.dashboard.panels import Refresh, button, panel
from kafka.cluster.status import Status
from seldon_kafka.topics.report import TopicReport


class KafkaPanel:
    """The panels of one browser.

    Args:
        context: the state and services that all pages share.
    """

    def __init__(self, context: DashboardContext) -> None:
        self._context = context
        self._shown = -1
        with panel("Brokers"):
            self._nodes = Table("node", "roles", "address", "process", "leads", "")
            self._nodes.on("act", self._ask_before_kill)
            with ui.row().classes("items-center gap-2") as self._buttons:
                button("Add a broker", self._add, primary=True)
                button("Start dead brokers", self._start_dead)
            self._safety = ui.label().classes("soft").style("white-space: pre-wrap")
        with panel("Topics"):
            self._topics = Table("topic", "partitions", "messages", "lag")
        with panel("Partitions"):
            self._partitions = Table(
                "topic", "partition", "leader", "replicas", "in sync", "first", "end",
                "committed", "lag",
            )  # fmt: skip
        with ui.dialog() as self._dialog, ui.card().classes("panel"):
            self._question = ui.label().style("white-space: pre-wrap")
            with ui.row().classes("gap-2"):
                self._kill = button("Kill the node", self._do_kill, primary=True)
                button("Cancel", self._dialog.close)
        self._node = 0

    def refresh(self) -> None:
        """Updates the panels if the brokers have a new snapshot."""
        view = self._context.brokers.view
        if view.number == self._shown:
            return
        self._shown = view.number
        leads = _leads(view.topics)
        cluster = view.cluster
        self._nodes.set_visibility(cluster is not None)
        self._buttons.set_visibility(cluster is not None)
        if cluster is not None:
            self._nodes.show(
                rows=[_node_row(cluster, at, leads) for at in range(len(cluster.nodes))]
            )
        self._safety.set_text(
            "The state of the brokers is not known yet."
            if view.number == 0
            else _describe_safety(cluster)
        )
        self._topics.show(rows=[_topic_row(each) for each in view.topics])
        self._partitions.show(rows=_partition_rows(view.topics))

    def _add(self) -> None:
        self._context.console.run(brokers.add_broker())
        ui.notify(
            "A broker starts, and partitions are moved to it. The console shows the progress."
        )

    def _start_dead(self) -> None:
        self._context.console.run(brokers.start_dead_brokers())

    def _ask_before_kill(self, event: GenericEventArguments) -> None:
        self._node = int(event.args["key"])
        self._context.brokers.check_nodes()
        cluster = self._context.brokers.view.cluster
        weaknesses = cluster.weaknesses if cluster is not None else ()
        if weaknesses:
            listed = "\n".join(f"- {each}" for each in weaknesses)
            self._question.set_text(
                f"The failure of node {self._node} is not tolerated now:\n{listed}"
            )
        else:
            self._question.set_text(
                f"If node {self._node} fails, no message is lost and the service continues."
            )
        self._dialog.open()

    def _do_kill(self) -> None:
        self._dialog.close()
        self._context.console.run(brokers.kill_broker(self._node))


def kafka(context: DashboardContext) -> Refresh:
    """Builds the panels."""
    return KafkaPanel(context).refresh


def _describe_safety(cluster: Status | None) -> str:
    if cluster is None:
        return (
            "The page can only watch these brokers: they are not in the local cluster, "
            "or its state can't be read."
        )
    if not cluster.weaknesses:
        return "If any one broker fails, no message is lost and the service continues."
    return "The failure of a broker is not tolerated:\n" + "\n".join(
        f"- {each}" for each in cluster.weaknesses
    )


def _leads(topics: tuple[TopicReport, ...]) -> dict[int | None, int]:
    leads: dict[int | None, int] = {}
    for topic in topics:
        for each in topic.partitions or ():
            leads[each.leader] = leads.get(each.leader, 0) + 1
    return leads


def _node_row(cluster: Status, at: int, leads: dict[int | None, int]) -> dict[str, Any]:
    node = cluster.nodes[at]
    process: Any = {"text": "dead", "mark": "dead"} if node.pid is None else str(node.pid)
    kill = {"text": "Kill", "act": "kill", "disabled": node.pid is None}
    led = f"{leads.get(node.id, 0)} partitions"
    return {"key": node.id, "cells": [str(node.id), node.roles, node.address, process, led, kill]}


def _topic_row(topic: TopicReport) -> dict[str, Any]:
    if topic.partitions is None:
        missing = {"text": "missing: seldon-kafka topics create", "mark": "dead"}
        return {"key": topic.topic, "cells": [topic.topic, missing, "", ""]}
    held = sum((each.end or 0) - (each.first or 0) for each in topic.partitions)
    lag = "" if topic.lag is None else f"{topic.lag:,}"
    return {
        "key": topic.topic,
        "cells": [topic.topic, str(len(topic.partitions)), f"{held:,}", lag],
    }


def _partition_rows(topics: tuple[TopicReport, ...]) -> list[dict[str, Any]]:
    rows = []
    for topic in topics:
        for each in topic.partitions or ():
            leader: Any = each.leader
            if leader is None:
                leader = {"text": "none", "mark": "dead"}
            in_sync: Any = ",".join(map(str, each.in_sync))
            if len(each.in_sync) < len(each.replicas):
                in_sync = {"text": in_sync, "mark": "abstain"}
            replicas = ",".join(map(str, each.replicas))
            numbers = [_number(n) for n in (each.first, each.end, each.committed, each.lag)]
            cells = [topic.topic, str(each.partition), leader, replicas, in_sync, *numbers]
            rows.append({"key": f"{topic.topic}/{each.partition}", "cells": cells})
    return rows


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
