"""Each alert fires only when it should; promtool evaluates the rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.manifests import FOLDER
from tests.support.patience import patient

RULES = FOLDER / "components" / "monitoring" / "rules.yaml"
OURS = 'namespace="kmnist",deployment="kmnist",predictor="kmnist-default"'
CANARY = OURS.replace("default", "canary")
# One hour of samples, with an interval of 30 s.
STEADY = "0+300x120"
NOTHING = "5000x120"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed: use Debian's package prometheus",
)


def groups() -> list[dict[str, Any]]:
    """Returns the groups of rules."""
    found = yaml.safe_load(RULES.read_text("utf-8"))
    return list(found["spec"]["groups"])


def labels_named(alert: str) -> set[str]:
    """Returns the labels in the annotations of an alert."""
    (rule,) = (rule for group in groups() for rule in group["rules"] if rule.get("alert") == alert)
    return set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))


def replies(values: str, whose: str = OURS) -> dict[str, str]:
    return {f'kafka_worker_replies_total{{{whose},worker="a.0"}}': values}


def lag(values: str, whose: str = OURS) -> dict[str, str]:
    return {f'kafka_worker_lag_messages{{{whose},worker="a.0"}}': values}


def passed(values: str) -> dict[str, str]:
    return {f'kafka_worker_passed_messages_total{{{CANARY},worker="a.0"}}': values}


def letters(values: str, reason: str = "not_json") -> dict[str, str]:
    name = f'kafka_worker_dead_letters_total{{{OURS},worker="a.0",reason="{reason}"}}'
    return {name: values}


def gap(values: str) -> dict[str, str]:
    return {f'kafka_worker_gap_messages_total{{{OURS},worker="a.0"}}': values}


def images(name: str, values: str) -> dict[str, str]:
    return {f"model_{name}_total{{{OURS}}}": values}


def drift(values: str) -> dict[str, str]:
    return {f'model_drift_index{{{OURS},statistic="ink",pid="7"}}': values}


def brokers_lag(values: str) -> dict[str, str]:
    return {'kafka_consumergroup_lag{namespace="kmnist",consumergroup="kmnist"}': values}


def partitions(values: str, whose: str = OURS) -> dict[str, str]:
    return {f'kafka_worker_partitions{{{whose},worker="a.0"}}': values}


ANSWERED = replies(STEADY)
CLASSIFIED = images("images", STEADY)


@dataclass(frozen=True)
class Case:
    """The series of an hour, and whether an alert fires near its end."""

    alert: str
    why: str
    series: tuple[dict[str, str], ...]
    fires: bool


CASES = [
    Case("StreamLagGrows", "more and more waits", (ANSWERED, lag("0+100x120")), True),
    Case("StreamLagGrows", "a backlog shrinks", (ANSWERED, lag("90000-500x120")), False),
    Case("StreamLagGrows", "little waits", (ANSWERED, lag("0+1x120")), False),
    Case("StreamStands", "nothing is answered", (replies(NOTHING), lag("7x120")), True),
    Case("StreamStands", "no answer was ever given", (lag("7x120"),), True),
    Case("StreamStands", "only dead letters", (letters(STEADY), lag("7x120")), False),
    Case("StreamStands", "nothing waits", (replies(NOTHING), lag("0x120")), False),
    Case(
        "StreamStands",
        "the canary stands",
        (ANSWERED, lag("0x120"), replies(NOTHING, CANARY), lag("7x120", CANARY)),
        True,
    ),
    Case(
        "StreamStands",
        "the canary's share is still nothing",
        (ANSWERED, lag("0x120"), replies("0x120", CANARY), lag("30x120", CANARY), passed(STEADY)),
        False,
    ),
    Case("StreamStands", "it sleeps", (replies("5000x40"), lag("0x40")), False),
    Case("StreamReadsNothing", "a worker was halted", (replies(NOTHING),), True),
    Case("StreamReadsNothing", "one has none", (replies(NOTHING), partitions("0x120")), True),
    Case("StreamReadsNothing", "one reads", (replies(NOTHING), partitions("4x120")), False),
    Case("StreamReadsNothing", "it sleeps", (replies("5000x40"), partitions("4x40")), False),
    Case("StreamDeadLetters", "one in ten", (ANSWERED, letters("0+30x120")), True),
    Case("StreamDeadLetters", "one in a thousand", (ANSWERED, letters("0+0.3x120")), False),
    Case("StreamDeadLetters", "none ever", (ANSWERED,), False),
    Case("StreamClassFails", "once", (letters("0x100 1x20", "predict_failed"),), True),
    Case("StreamClassFails", "a new pod's first", (letters("_x100 1x20", "worker_crash"),), True),
    Case("StreamClassFails", "long ago", (letters("0x10 1x110", "predict_failed"),), False),
    Case("StreamClassFails", "a pod's first, long ago", (letters("1x120", "worker_crash"),), False),
    Case("StreamClassFails", "what a sender did", (letters("0x100 1x20"),), False),
    Case("StreamGap", "messages were deleted", (gap("0x100 12x20"),), True),
    Case("StreamGap", "before Prometheus looked", (gap("_x100 12x20"),), True),
    Case("StreamGap", "long ago", (gap("_x10 12x110"),), False),
    Case("StreamGap", "none were", (gap("0x120"),), False),
    Case("StreamWithoutWorkers", "nobody reads", (brokers_lag("9x120"),), True),
    Case("StreamWithoutWorkers", "one has none", (brokers_lag("9x120"), partitions("0x120")), True),
    Case(
        "StreamWithoutWorkers",
        "only the canary's read",
        (brokers_lag("9x120"), partitions("4x120", CANARY)),
        True,
    ),
    Case("StreamWithoutWorkers", "one reads", (brokers_lag("9x120"), partitions("4x120")), False),
    Case("StreamWithoutWorkers", "it sleeps", (brokers_lag("0x120"),), False),
    Case("KmnistDrift", "much has changed", (drift("0.3x120"),), True),
    Case("KmnistDrift", "for a moment", (drift("0.1x110 0.3x10"),), False),
    Case("KmnistOutliers", "one in ten", (CLASSIFIED, images("outliers", "0+30x120")), True),
    Case("KmnistOutliers", "as in tests", (CLASSIFIED, images("outliers", "0+2x120")), False),
    Case("KmnistAbstains", "half", (CLASSIFIED, images("abstained", "0+150x120")), True),
    Case("KmnistAbstains", "as in tests", (CLASSIFIED, images("abstained", "0+21x120")), False),
]


@needs_promtool
@pytest.mark.parametrize("case", CASES, ids=[f"{each.alert}: {each.why}" for each in CASES])
def test_an_alert_fires_only_when_it_should(case: Case, tmp_path: Path) -> None:
    # A firing alert is a series of Prometheus with every label that its annotations use.
    named = "".join(f',{label}!=""' for label in sorted(labels_named(case.alert)))
    fired = f'ALERTS{{alertname="{case.alert}",alertstate="firing"{named if case.fires else ""}}}'
    test = {
        "rule_files": [str(write_rules(tmp_path))],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [
                    {"series": name, "values": values}
                    for part in case.series
                    for name, values in part.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": f"count({fired})",
                        "eval_time": "55m",
                        "exp_samples": [{"labels": "{}", "value": 1}] if case.fires else [],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "test.json"
    path.write_text(json.dumps(test), "utf-8")
    promtool("test", "rules", str(path))


def write_rules(folder: Path) -> Path:
    """Writes the groups for Prometheus as JSON, which is valid YAML."""
    path = folder / "rules.json"
    path.write_text(json.dumps({"groups": groups()}), "utf-8")
    return path


def promtool(*arguments: str) -> None:
    ran = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=patient(60)
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_promtool
def test_promtool_accepts_rules_and_templates(tmp_path: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(write_rules(tmp_path)))


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    alerts = {rule["alert"] for group in groups() for rule in group["rules"] if "alert" in rule}
    for fires in (True, False):
        assert {case.alert for case in CASES if case.fires == fires} == alerts


def test_every_alert_has_a_severity_and_a_description() -> None:
    for group in groups():
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in ("warning", "critical")
                assert rule["annotations"]["summary"].endswith(".")
                assert rule["annotations"]["description"]
