"""Collects facts about a run of the benchmark: machine, versions, revision."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import psutil
from confluent_kafka import libversion

from bench.cluster import ROOT
from kafka.cluster.distribution import KAFKA_VERSION

_PACKAGES = ("confluent-kafka", "numpy", "orjson", "ai-edge-litert", "seldon-core")


def facts() -> dict[str, str]:
    """Returns the facts of a run that starts now."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "revision": _revision(),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory_gib:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "librdkafka": libversion()[0],
        **{package: version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or sys.platform


def _revision() -> str:
    # The benchmark itself writes into `docs`, so changed files there do not count.
    is_changed = _git("status", "--porcelain", "--", ".", ":!docs")
    return (_git("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if is_changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
