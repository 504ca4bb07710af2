"""A batch: images of a bucket through Kafka, and one row of results for each of them."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from model.labels import ROMAJI
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from storage.places import open_place
from tests.broker.stream import ROOT, Stream, wait_until
from tests.sdep.manifests import documents
from tests.storage.store import BUCKET, Store, s3_store

NewStream = Callable[..., Stream]

RUN = "spring"
ENDED_S = 60


@pytest.fixture
def store() -> Iterator[Store]:
    with s3_store() as found:
        yield found


def put_samples(store: Store, copies: int = 1) -> dict[str, str]:
    """Puts the bundled samples there, and says what each object shows."""
    samples = load_samples()
    shown = {}
    for copy in range(copies):
        for number, (image, label) in enumerate(zip(samples.images, samples.labels, strict=True)):
            name = f"{copy}/sample-{number:03d}.png"
            store.put(f"2026/{name}", encode(FORMATS["png"], np.asarray(image)[None]))
            shown[name] = ROMAJI[label]
    return shown


def commands() -> dict[str, list[str]]:
    """What the workflow's templates run, with the parameters of this test."""
    (template, *_) = documents("batch/workflow.yaml")
    given = {
        "parameters.run": RUN,
        "parameters.images": f"s3://{BUCKET}/2026/",
        "parameters.results": f"s3://{BUCKET}/results/",
        "creationTimestamp": (datetime.now(timezone.utc) - timedelta(minutes=1)).isoformat(
            timespec="seconds"
        ),
    }

    def filled(text: str) -> str:
        return re.sub(r"\{\{workflow\.([^}]*)\}\}", lambda found: given[found[1]], text)

    found = {}
    for each in template["spec"]["templates"]:
        if "container" in each:
            container = each["container"]
            words: list[str] = [*container["command"], *container["args"]]
            assert words[0] == "python"
            found[each["name"]] = [sys.executable, *map(filled, words[1:])]
    return found


def start(command: list[str], stream: Stream, store: Store) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **stream.environ, **store.environ()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """The exit status, and what it said."""
    _, said = process.communicate(timeout=ENDED_S)
    return process.returncode, said.decode()


def rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """All rows of the results."""
    for name, value in store.environ().items():
        monkeypatch.setenv(name, value)
    place = open_place(f"s3://{BUCKET}/results/")
    found: list[dict[str, Any]] = []
    for entry in place.entries():
        if entry.name.endswith(".parquet"):
            content = io.BytesIO(place.read(entry.name))
            found += pyarrow.parquet.read_table(content).to_pylist()
    return found


def test_what_the_workflow_runs_gives_each_object_one_row(
    new_stream: NewStream, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = put_samples(store)
    store.put("2026/notes.txt", b"no picture")
    stream = new_stream(partitions=3)
    stream.start("kafka.worker", "wrapper.KmnistClassifier", KAFKA_WORKER_ID="a")
    asked = commands()
    sending, collecting = (start(asked[each], stream, store) for each in ("send", "collect"))
    assert finish(sending)[0] == 0
    status, said = finish(collecting)
    assert status == 0, said

    found = {row["object"]: row for row in rows(store, monkeypatch)}
    assert set(found) == {*shown, "notes.txt"}
    assert found["notes.txt"]["label"] is None
    assert found["notes.txt"]["reason"]
    right = sum(found[name]["label"] == truth for name, truth in shown.items())
    assert right > 0.9 * len(shown)


@pytest.mark.full
@pytest.mark.timeout(500)
def test_a_batch_whose_both_ends_are_killed_goes_on_and_has_each_object_once(
    new_stream: NewStream, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = put_samples(store, copies=20)
    stream = new_stream(partitions=3)
    stream.start("kafka.worker", "wrapper.KmnistClassifier", KAFKA_WORKER_ID="a")
    asked = commands()
    # Small files, so that there are some when it is killed.
    asked["collect"].append("--part-rows=100")
    for _ in range(2):
        sending, collecting = (start(asked[each], stream, store) for each in ("send", "collect"))
        before = len(store.keys("results/"))
        _await_more(store, before)
        for process in (sending, collecting):
            process.send_signal(signal.SIGKILL)
            finish(process)
    sending, collecting = (start(asked[each], stream, store) for each in ("send", "collect"))
    assert finish(sending)[0] == 0
    status, said = finish(collecting)
    assert status == 0, said
    counts = Counter(row["object"] for row in rows(store, monkeypatch))
    assert set(counts) == set(shown)
    assert set(counts.values()) == {1}


def _await_more(store: Store, before: int) -> None:
    wait_until(lambda: len(store.keys("results/")) > before, 120, "a file of results")


@pytest.mark.parametrize("wrong", ["s3://nowhere/2026/", f"s3://{BUCKET}/nothing/"])
def test_a_place_without_objects_is_told_in_one_line(
    new_stream: NewStream, store: Store, wrong: str
) -> None:
    stream = new_stream(partitions=1)
    for command in (
        [sys.executable, "-m", "producer", wrong, "--run", RUN],
        [
            sys.executable,
            "-m",
            "consumer",
            "--parquet",
            f"s3://{BUCKET}/r/",
            "--run",
            RUN,
            "--of",
            wrong,
        ],
    ):
        status, said = finish(start(command, stream, store))
        assert status in (1, 2), said
        assert "error: " in said
        assert "Traceback" not in said
