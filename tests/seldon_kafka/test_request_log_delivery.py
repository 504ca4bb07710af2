"""From the log to a search engine that is busy, unavailable, or rejects some documents."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from seldon_kafka.codec.feedback import Feedback
from seldon_kafka.codec.feedback import compose as compose_feedback
from seldon_kafka.config.settings import SettingsError, load_settings
from seldon_kafka.messages import Record, Rejection, Reply
from seldon_kafka.request_log import delivery
from seldon_kafka.request_log.delivery import Delivery, Stopped
from seldon_kafka.request_log.documents import (
    INDEX,
    Document,
    NoDocument,
    document_of_entry,
    document_of_feedback,
)
from seldon_kafka.request_log.search import Access, SearchEngine, Unusable
from seldon_kafka.transport.log_entry import OutcomeLog
from seldon_kafka.transport.output_messages import TopicLimits
from tests.support.commands import request_log as main
from tests.support.ports import free_port
from tests.support.records import record
from tests.support.search_engine import FakeEngine, error

SETTINGS = load_settings({"KAFKA_BROKER": "unused:1", "KAFKA_LOG_REQUESTS": "on"})
REPLY = b'{"data":{"ndarray":[[1.0]]},"meta":{"puid":"p","tags":{"label":["ki"]}}}'
JSON = [("content-type", b"application/json")]


def entry(offset: int, request: bytes = b'{"data":{"ndarray":[[1]]}}') -> Record:
    """Returns a record of the log topic."""
    reply = Reply(record(request, offset), REPLY, JSON, "p")
    (message,) = OutcomeLog(SETTINGS, TopicLimits("model_log", 1, 2**24), "w.0").compose([reply])
    return Record("model_log", 0, offset, message.timestamp_ms, message.key, message.value, ())


def documents(count: int) -> list[Document]:
    return [document_of_entry(entry(offset), "model_log") for offset in range(count)]


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with FakeEngine().serving() as serving:
        yield serving


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(delivery, "_LONGEST_WAIT_S", 0.02)


def delivering(engine: FakeEngine, **access: str) -> Delivery:
    made = Delivery(SearchEngine(Access(engine.url, **access)), threading.Event())
    made.make_index("model_log")
    return made


def test_a_document_is_the_entry_with_its_time_and_the_tags_of_the_answer() -> None:
    found = entry(7)
    document = document_of_entry(found, "log")
    body = json.loads(document.body)
    assert body.pop("@timestamp") == body["time"]
    assert body.pop("tags") == {"label": ["ki"]}
    assert body == json.loads(found.value or b"")
    assert (document.id, document.source) == (body["id"], "model_log/0/7")
    assert document.body.count(b"\n") == 0


def test_line_breaks_and_doubled_keys_of_a_request_are_gone() -> None:
    document = document_of_entry(entry(0, b'{"a":\r\n1, "a": [2,\n3]}'), "log")
    assert json.loads(document.body)["request"] == {"a": [2, 3]}
    assert b"\n" not in document.body


@pytest.mark.parametrize("value", [None, b"", b"nonsense", b"[]", b"{}", b'{"id":1,"time":"x"}'])
def test_another_message_is_not_an_entry(value: bytes | None) -> None:
    with pytest.raises(NoDocument):
        document_of_entry(record(value), "log")


def test_each_feedback_becomes_a_document() -> None:
    said = Feedback("p", ("ki", ""), 1.0, position=("model_input", 3, 41))
    key, value, headers = compose_feedback(said)
    first = Record("model_feedback", 0, 5, 1_700_000_000_000, key, value, headers)
    one = document_of_feedback(first, "model_feedback")
    other = document_of_feedback(first._replace(offset=6), "model_feedback")
    assert one.id != other.id
    body = json.loads(one.body)
    assert (body["puid"], body["truth"], body["reward"]) == ("p", ["ki", ""], 1.0)
    assert body["input"] == {"topic": "model_input", "partition": 3, "offset": 41}
    assert body["@timestamp"] == "2023-11-14T22:13:20.000Z"
    with pytest.raises(NoDocument):
        document_of_feedback(record(b"<script>"), "model_feedback")


def test_documents_are_written_once_however_often_they_come(engine: FakeEngine) -> None:
    made = delivering(engine)
    sent = documents(20)
    made.write(sent)
    made.write(sent)
    assert engine.made == {"model_log": INDEX, "model_log-refused": INDEX}
    written = engine.documents("model_log")
    assert written == {each.id: orjson.loads(each.body) for each in sent}
    assert (made.written, made.refused) == (40, 0)


def test_an_existing_index_is_not_changed(engine: FakeEngine) -> None:
    engine.made["model_log"] = {"mappings": "of another's"}
    delivering(engine)
    assert engine.made["model_log"] == {"mappings": "of another's"}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_requests_to_a_busy_engine_are_repeated(engine: FakeEngine, status: int) -> None:
    made = delivering(engine)
    engine.troubles += [(status, error("es_rejected_execution_exception", "queue full"))] * 4
    made.write(documents(5))
    assert len(engine.documents("model_log")) == 5


def test_only_the_rejected_part_of_a_request_is_repeated(engine: FakeEngine) -> None:
    made = delivering(engine)
    busy = {"status": 429, **error("es_rejected_execution_exception", "queue full")}
    engine.troubles.append((200, {"errors": True, "items": [{"index": {"status": 201}}] * 3
                                  + [{"index": busy}] * 2}))  # fmt: skip
    made.write(documents(5))
    assert engine.requests == [2]
    assert (made.written, made.refused) == (5, 0)


def test_delivery_waits_for_an_unavailable_engine(engine: FakeEngine) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    stopped = threading.Event()
    away = Delivery(SearchEngine(Access(url)), stopped)
    threading.Timer(0.2, stopped.set).start()
    with pytest.raises(Stopped):
        away.write(documents(1))
    assert away.written == 0


def test_a_refused_document_delays_no_other_and_is_stored_as_text(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    made = delivering(engine)
    sent = documents(5)

    def refuses(index: str, document: Any) -> tuple[int, str] | None:
        is_bad = index == "model_log" and document["input"]["offset"] == 3
        return (400, "object mapping for [tags] is a text") if is_bad else None

    engine.refuses = refuses
    made.write(sent)
    assert len(engine.documents("model_log")) == 4
    ((_, kept),) = engine.documents("model_log-refused").items()
    assert kept["refused"]["why"] == "400 mapper_exception: object mapping for [tags] is a text"
    assert kept["refused"]["document"] == (sent[3].record.value or b"").decode()
    assert kept["input"] == {"topic": "model_log", "partition": 0, "offset": 3}
    assert (made.written, made.refused) == (4, 1)
    assert "model_log/0/3 goes to index model_log-refused: 400" in caplog.text


def test_repeated_errors_of_one_document_do_not_block_delivery(engine: FakeEngine) -> None:
    made = delivering(engine)
    engine.refuses = lambda index, document: (500, "no Thai") if index == "model_log" else None
    made.write(documents(2))
    assert len(engine.documents("model_log-refused")) == 2
    assert engine.requests == [2] * 6


def test_delivery_ends_if_every_document_is_refused(engine: FakeEngine) -> None:
    made = delivering(engine)
    engine.refuses = lambda index, document: (403, "read-only")
    with pytest.raises(Unusable, match="model_log-refused refuses model_log/0/0"):
        made.write(documents(1))


def test_a_request_that_is_too_large_is_split(engine: FakeEngine) -> None:
    made = delivering(engine)
    size = len(documents(1)[0].body)
    engine.most_bytes = 5 * size
    large = document_of_entry(entry(50, b'{"strData":"%b"}' % (b"x" * 6 * size)), "model_log")
    made.write([*documents(20), large])
    assert len(engine.documents("model_log")) == 20
    ((_, kept),) = engine.documents("model_log-refused").items()
    assert kept["refused"] == {
        "why": "the document is larger than the search engine accepts",
        "document": None,
    }
    engine.most_bytes = 10
    with pytest.raises(Unusable, match="even the smallest document"):
        made.write(documents(1))


def test_credentials_are_sent_and_never_shown(engine: FakeEngine) -> None:
    engine.authorization = "Basic " + base64.b64encode("ü:hunter2".encode()).decode()
    delivering(engine, username="ü", password="hunter2").write(documents(1))
    engine.authorization = "ApiKey hunter3"
    delivering(engine, api_key="hunter3").write(documents(1))
    with pytest.raises(Unusable, match=r"denies access \(401\); check REQUEST_LOG_USERNAME"):
        delivering(engine, username="ü", password="wrong")
    assert "hunter" not in repr(Access(engine.url, "ü", "hunter2", "hunter3"))


@pytest.mark.parametrize(
    "url", ["", "host:9200", "ftp://host", "http://", "http://user:hunter2@host", "http://h?x=1"]
)
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Access(url)
    if "hunter2" in url:
        assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("found", [{}, {"items": [{}]}, {"items": []}, [], "x"])
def test_a_server_without_the_protocol_is_reported(engine: FakeEngine, found: Any) -> None:
    made = delivering(engine)
    engine.troubles.append((200, found))
    with pytest.raises(Unusable, match=r"does not support the bulk API|answered 0 of 1"):
        made.write(documents(1))


@pytest.mark.parametrize(
    ("arguments", "environ", "complaint"),
    [
        ([], {}, "no search engine is set: set REQUEST_LOG_URL or use --url"),
        (["--url", "x"], {}, "'x' is not the URL of a search engine"),
        (["--url", "http://x", "--index", "Log"], {}, "'Log' is not an index name"),
        (["--url", "http://x", "--ca-file", "none.pem"], {}, "none.pem can't be read"),
        (["--url", "http://x"], {"KAFKA_LOG_TPIC": "x"}, "did you mean KAFKA_LOG_TOPIC?"),
        (["--url", "http://x"], {"REQUEST_LOG_CA_FILE": "none.pem"}, "none.pem can't be read"),
    ],
)
def test_the_error_for_wrong_use_is_one_line(
    arguments: list[str],
    environ: dict[str, str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert complaint in said
    assert said.count("\n") == 1


def test_the_index_template_can_be_printed_for_other_tools(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--print-index"]) == 0
    assert json.loads(capsys.readouterr().out) == INDEX


def test_a_rejection_is_a_document_too() -> None:
    rejection = Rejection(record(b"nonsense", 3), "not_json", "no")
    (message,) = OutcomeLog(SETTINGS, TopicLimits("model_log", 1, 2**24), "w.0").compose(
        [rejection]
    )
    document = document_of_entry(record(message.value), "log")
    assert json.loads(document.body)["rejection"]["reason"] == "not_json"
    assert "tags" not in json.loads(document.body)
