"""Brokers that allow only the rights of the README's table: they suffice, and all are needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest

from consumer.__main__ import main as consumer
from consumer.dashboard.context import DashboardContext
from consumer.dashboard.local import LocalBackend
from consumer.dashboard.results import Result
from consumer.dashboard.sending import NOT_SENT
from consumer.dashboard.uploads import Picture
from consumer.feedback import main as corrections
from kafka.cluster.local import Cluster
from producer.__main__ import main as producer
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.codec.feedback import Feedback
from seldon_kafka.config.rights import ROLES, Right, worker_rights
from seldon_kafka.config.settings import load_settings
from seldon_kafka.feedback.writer import FeedbackWriter
from seldon_kafka.transport.topic_writer import NotWritten
from tests.broker.conftest import SASL_SSL, SSL
from tests.broker.test_supervisor import Replica, get
from tests.support.commands import dead_letters as dead_letter
from tests.support.commands import topics
from tests.support.stream import Stream, assert_once_and_in_order, numbers, wait_until

NewStream = Callable[..., Stream]


@pytest.fixture
def user(name: str) -> str:
    """Returns a unique user; a certificate accepts no long names."""
    return name[-8:]


def log_of(stream: Stream, number: int) -> str:
    return (stream.folder / f"{number}.log").read_text()


def logged(stream: Stream, number: int, text: str) -> bool:
    return text in log_of(stream, number)


@SASL_SSL
def test_a_worker_names_a_missing_right_and_continues_once_it_is_granted(
    sasl_ssl: Cluster, new_stream_on: NewStream, user: str
) -> None:
    stream = new_stream_on(sasl_ssl, KAFKA_LOG_REQUESTS="on")
    stream.send(numbers(60))
    rights = worker_rights(stream.settings)
    for number, missing in enumerate(rights):
        others = [right for right in rights if right != missing]
        stream.worker("Double", f"w{number}", **sasl_ssl.user(f"{user}.{number}", others))
    for number, missing in enumerate(rights):
        line = f"w{number}.0 waits: not allowed: {missing}; grant it to this user"
        wait_until(partial(logged, stream, number, line), 60, line)
    assert stream.readers() == set()
    assert stream.replies(0) == []
    for number, missing in enumerate(rights):
        assert log_of(stream, number).count(" waits: ") == 1
        assert "Traceback" not in log_of(stream, number)
        sasl_ssl.user(f"{user}.{number}", [missing])
    assert_once_and_in_order(stream.replies(60), 60)
    assert len(stream.read(stream.settings.log_topic, 60)) == 60
    for number in range(len(rights)):
        wait_until(partial(logged, stream, number, "reads partitions"), 30, "all joined")


@SSL
def test_a_worker_with_a_certificate_of_its_own_and_the_rights_of_the_table_answers(
    ssl: Cluster, new_stream_on: NewStream, user: str
) -> None:
    stream = new_stream_on(ssl)
    values = [*numbers(60), b"no JSON"]
    stream.send(values)
    stream.worker("Double", **ssl.user(user, worker_rights(stream.settings)))
    assert_once_and_in_order(stream.replies(60), 60)
    assert [letter.reason for letter in stream.letters(1)] == ["not_json"]
    wait_until(lambda: stream.lag() == 0, 15, "everything is committed")
    stream.worker("Double", "nobody", **ssl.user(user + ".nobody"))
    wait_until(lambda: "nobody.0 waits: not allowed: " in stream.log(), 30, "it says why it waits")


@SASL_SSL
def test_a_replica_is_not_ready_without_a_right_and_names_it(
    sasl_ssl: Cluster, new_stream_on: NewStream, user: str
) -> None:
    stream = new_stream_on(sasl_ssl)
    *others, missing = worker_rights(stream.settings)
    replica = Replica(stream, "Double", **sasl_ssl.user(user, others))

    def says_why() -> bool:
        status, text = get(replica.port, "/ready")
        return status == 503 and f"worker 0: stalled: not allowed: {missing}; grant" in text

    wait_until(says_why, 40, "the replica says what is missing")
    assert get(replica.port, "/live")[0] == 200
    assert str(missing) in replica.status()["workers"][0]["detail"]
    sasl_ssl.user(user, [missing])
    replica.ready()
    # The replica also reports a right that is revoked while the worker runs.
    stream.send(numbers(3))
    stream.replies(3)
    sasl_ssl.revoke(user, [others[0]])
    wait_until(
        lambda: f"stalled: not allowed: {others[0]}; grant" in get(replica.port, "/ready")[1],
        40,
        "the replica says what is missing now",
    )
    sasl_ssl.user(user, [others[0]])
    stream.send(numbers(3))
    assert_once_and_in_order(stream.replies(6), 6)
    replica.ready()


@SASL_SSL
def test_feedback_needs_the_right_of_the_table_and_names_it(
    sasl_ssl: Cluster, new_stream_on: NewStream, user: str
) -> None:
    stream = new_stream_on(sasl_ssl)
    (right,) = ROLES["feedback"](stream.settings)
    environ = {**stream.environ, **sasl_ssl.user(user)}
    with FeedbackWriter(load_settings(environ)) as writer:
        with pytest.raises(NotWritten, match=re.escape(f"not allowed: {right}; grant it")):
            writer.send(Feedback("p", ("ki",)))
        sasl_ssl.user(user, [right])
        wait_until(lambda: sent(writer), 30, "it goes on once the right is granted")
    assert [record.key for record in stream.read(stream.settings.feedback_topic, 1)] == [b"p"]


@SASL_SSL
def test_the_dashboard_names_missing_rights_and_works_with_those_of_its_role(
    sasl_ssl: Cluster, new_stream_on: NewStream, user: str
) -> None:
    stream = new_stream_on(sasl_ssl)
    worker = f"{user}.w"
    stream.worker("Double", **sasl_ssl.user(worker, worker_rights(stream.settings)))
    settings = load_settings({**stream.environ, **sasl_ssl.user(user)})
    rights = ROLES["dashboard"](settings)
    lag = Right("Group", settings.group_id, "Describe", "the lag")
    context = DashboardContext(settings, LocalBackend(settings))
    picture = Picture("ki.png", load_samples().images[0], b"")
    context.start()
    try:
        for count in (1, 2):
            context.sender.send(picture, "ndarray")
            wait_until(partial(has, context, count), 40, "it says what it may not")
        told = [each.answer for each in context.results.after(0)]
        assert [each.reason for each in told] == [NOT_SENT] * 2
        missing = f"not sent: not allowed: Write on Topic {settings.input_topic}; "
        assert told[0].message.startswith(missing)
        wait_until(lambda: "not allowed: Read on Topic" in context.feed.error, 40, "so does this")
        sasl_ssl.user(user, [right for right in rights if right[:3] != lag[:3]])
        wait_until(
            lambda: "the right Describe on the group" in context.brokers.view.error, 40, "and this"
        )
        sasl_ssl.user(user, [lag])
        wait_until(lambda: context.brokers.view.lag is not None, 40, "it knows the lag")
        wait_until(lambda: context.sender.send(picture, "ndarray"), 40, "it sends")
        wait_until(lambda: len(replies(context)) == 1, 40, "it reads")
        (result,) = replies(context)
        assert context.corrections.correct(result, "ki", picture.image) == ""
        wait_until(lambda: context.results.truth(result) == "ki", 40, "it reads what was corrected")
    finally:
        context.close()


def has(context: DashboardContext, count: int) -> bool:
    return len(context.results.after(0)) == count


def replies(context: DashboardContext) -> list[Result]:
    return [each for each in context.results.after(0) if each.answer.reason is None]


def sent(writer: FeedbackWriter) -> bool:
    try:
        writer.send(Feedback("p", ("ki",)))
    except NotWritten:
        return False
    return True


def all_work(role: str, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> bool:
    """Runs the commands of a role until one fails; returns whether none does."""
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    commands: dict[str, list[tuple[Callable[[list[str]], int], str]]] = {
        "producer": [(producer, "--samples --count 5 --timeout 5")],
        "corrections": [(corrections, f"--out {environ['KAFKA_STATE_DIR']}.npz")],
        "consumer": [(consumer, "--from-beginning --dead-letters --json --count 3 --timeout 20")],
        "dead-letters": [
            (dead_letter, "list"),
            (dead_letter, "replay --all"),
            (dead_letter, "purge --all --yes"),
        ],
        "topics": [
            (topics, "create --partitions 3"),
            (topics, "add-partitions 3"),
            (topics, "show"),
        ],
    }
    return not any(main(arguments.split()) for main, arguments in commands[role])


@pytest.fixture
def answered(sasl_ssl: Cluster, new_stream_on: NewStream) -> Stream:
    """A stream with one reply, one dead letter, and feedback on one image."""
    stream = new_stream_on(sasl_ssl)
    stream.send([*numbers(1), b"no JSON", encode(FORMATS["ndarray"], load_samples().images[:1])])
    stream.worker("Double")
    stream.replies(2)
    stream.letters(1)
    with FeedbackWriter(stream.settings) as writer:
        # The third message is the only one in its partition.
        writer.send(Feedback("p", ("ki",), position=(stream.settings.input_topic, 2, 0)))
    return stream


@SASL_SSL
def test_every_other_role_works_with_the_rights_of_the_table(
    sasl_ssl: Cluster, answered: Stream, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("consumer", "corrections", "dead-letters", "topics", "producer"):
        environ = sasl_ssl.user(f"{user}.{role}", ROLES[role](answered.settings))
        assert all_work(role, monkeypatch, {**answered.environ, **environ}), role


def rights_of_others() -> list[tuple[str, int]]:
    """Returns each right of each role, by number; the consumer's last one is optional."""
    settings = load_settings({})
    roles = ("producer", "corrections", "dead-letters", "topics")
    counts = {role: len(ROLES[role](settings)) for role in roles}
    return [("consumer", 0), ("consumer", 1)] + [
        (role, number) for role, count in counts.items() for number in range(count)
    ]


@pytest.mark.full
@pytest.mark.timeout(400)
@SASL_SSL
def test_every_other_role_needs_each_of_its_rights(
    sasl_ssl: Cluster,
    answered: Stream,
    user: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    unneeded: list[tuple[str, Right]] = []
    for role, number in rights_of_others():
        environ = dict(answered.environ)
        if role == "topics":  # the role creates some that do not exist yet
            for topic in ("INPUT", "OUTPUT", "DEAD_LETTER", "FEEDBACK"):
                environ[f"KAFKA_{topic}_TOPIC"] += f"-{number}"
        rights = list(ROLES[role](load_settings(environ)))
        missing = rights.pop(number)
        monkeypatch.undo()
        environ.update(sasl_ssl.user(f"{user}.{role}.{number}", rights))
        capfd.readouterr()
        works = all_work(role, monkeypatch, environ)
        said = capfd.readouterr().err
        if works:
            unneeded.append((role, missing))
            continue
        assert "error: " in said
        assert "Traceback" not in said
    assert unneeded == []
