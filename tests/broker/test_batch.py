"""A batch run: images of a bucket go through Kafka, and each gets one row of results."""

from __future__ import annotations

import io
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pyarrow.parquet
import pytest

from model.labels import ROMAJI
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from producer.locations import open_location
from tests.support.manifests import documents
from tests.support.object_store import BUCKET, Store, s3_store
from tests.support.patience import patient
from tests.support.stream import Stream, wait_until
from wrapper import KmnistClassifier

NewStream = Callable[..., Stream]

IMAGES = f"s3://{BUCKET}/2026/"
RESULTS = f"s3://{BUCKET}/results/"
DONE = 0  # Argo's exit code of success; after any other but 2 it tries again
ENDED_S = 60


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with s3_store() as found:
        for name, value in found.environ().items():
            monkeypatch.setenv(name, value)
        yield found


def put_samples(store: Store, copies: int = 1) -> dict[str, str]:
    """Uploads the bundled samples under their labels; returns the model's label of each."""
    samples = load_samples()
    labels = KmnistClassifier().predict(samples.images, []).tags["label"]
    found = {}
    for number, (image, label) in enumerate(zip(samples.images, samples.labels, strict=True)):
        picture = encode(FORMATS["png"], image[None])
        for copy in range(copies):
            name = f"{ROMAJI[label]}/{number:03d}-{copy}.png"
            store.put(f"2026/{name}", picture)
            found[name] = labels[number]
    return found


def commands(run: str, images: str = IMAGES) -> dict[str, list[str]]:
    """Returns the commands of the workflow's templates, with their parameters filled in."""
    template, *_ = documents("batch/workflow.yaml")
    given = {
        "parameters.run": run,
        "parameters.images": images,
        "parameters.results": RESULTS,
        # The format of Go, without fractions of a second.
        "creationTimestamp": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
    }
    found = {}
    for each in template["spec"]["templates"]:
        if "container" in each:
            words = [*each["container"]["command"], *each["container"]["args"]]
            assert words[:2] == ["python", "-m"]
            found[each["name"]] = [
                re.sub(r"\{\{workflow\.([^}]*)\}\}", lambda name: given[name[1]], word)
                for word in words[2:]
            ]
    assert set(found) == {"send", "collect"}
    return found


def said(stream: Stream, process: subprocess.Popen[bytes]) -> str:
    """Returns the output of a process after its end."""
    process.wait(patient(ENDED_S))
    return (stream.folder / f"{stream.processes.index(process)}.log").read_text()


def rows() -> list[dict[str, Any]]:
    """Returns all rows of the results."""
    place = open_location(RESULTS)
    parts = [io.BytesIO(place.read(entry.name)) for entry in place.entries()]
    return [row for part in parts for row in pyarrow.parquet.read_table(part).to_pylist()]


def wait_for_another_part(store: Store, before: int) -> None:
    wait_until(lambda: len(store.keys("results/")) > before, ENDED_S, "a part of the results")


def test_the_workflow_gives_each_object_one_row(
    new_stream: NewStream, store: Store, name: str
) -> None:
    stream = new_stream(partitions=3)
    stream.start("seldon_kafka", "worker", "wrapper.KmnistClassifier")
    labels = put_samples(store)
    store.put("2026/notes.txt", b"no picture")
    for process in [stream.start(*command) for command in commands(name).values()]:
        end = said(stream, process)
        assert process.returncode == DONE, end

    every = {row["object"]: row for row in rows()}
    assert len(rows()) == len(every)
    notes = every.pop("notes.txt")
    assert (notes["label"], notes["reason"]) == (None, "unreadable_object")
    assert "it is none of PNG" in notes["message"]
    assert {each: row["hiragana"] for each, row in every.items()} == labels
    right = [each for each, row in every.items() if row["label"] == each.partition("/")[0]]
    assert len(right) >= 0.95 * len(labels)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_batch_resumes_after_kills_of_both_programs_and_has_each_object_once(
    new_stream: NewStream, store: Store, name: str
) -> None:
    stream = new_stream(partitions=3)
    stream.start("seldon_kafka", "worker", "wrapper.KmnistClassifier")
    labels = put_samples(store, copies=10)
    # Slow enough, and in parts small enough, that each process is killed during its work.
    slow = {"send": "--rate=100", "collect": "--part-rows=50"}
    for _ in range(2):
        both = [stream.start(*words, slow[each]) for each, words in commands(name).items()]
        wait_for_another_part(store, len(store.keys("results/")))
        for process in both:
            assert process.poll() is None, said(stream, process)
            process.kill()
            process.wait()
    assert 0 < len(rows()) < len(labels)

    sending, collecting = (stream.start(*command) for command in commands(name).values())
    assert "skipped: they have a row" in said(stream, sending)
    end = said(stream, collecting)
    assert (sending.returncode, collecting.returncode) == (DONE, DONE), end
    every = Counter(row["object"] for row in rows())
    assert every == Counter(labels.keys())
    assert {row["object"]: row["hiragana"] for row in rows()} == labels


def test_the_error_for_a_location_without_objects_is_one_line(
    new_stream: NewStream, store: Store, name: str
) -> None:
    stream = new_stream(partitions=1)
    wrong = {
        "s3://nowhere/2026/": "error: there is no bucket nowhere at ",
        f"s3://{BUCKET}/nothing/": f"error: there is no object in s3://{BUCKET}/nothing/",
    }
    started = [
        (stream.start(*command), line)
        for images, line in wrong.items()
        for command in commands(name, images).values()
    ]
    for process, line in started:
        (only,) = said(stream, process).splitlines()
        assert only.startswith(line)
        assert process.returncode == 1
