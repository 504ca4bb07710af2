"""Makes messages from the images of a source."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from producer.bad_messages import BAD_VALUES, CONTENT_TYPE, is_bad
from producer.formats import WireFormat, encode
from producer.sources import Source

_BAD_HEADERS = [("content-type", CONTENT_TYPE.encode())]


@dataclass(frozen=True)
class Message:
    """A message to send.

    Attributes:
        key: the message key, or None.
        value: the encoded images; in a bad message, bytes that are not valid.
        headers: names and values, such as the content type of the value, and the true labels if
            they are known.
        images: number of images in the value.
    """

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    images: int


def messages(
    source: Source,
    wire_format: WireFormat,
    batch: int = 1,
    key: str | None = None,
    count: int | None = None,
    loop: bool = False,
    bad: float = 0.0,
) -> Iterator[Message]:
    """Yields the messages with the images of a source.

    Args:
        source: images to send.
        wire_format: wire format of the messages.
        batch: number of images per message; the last message of a source may have fewer.
        key: the key; None sends no key. In the key, `{n}` stands for the message's number from 0
            on. `{truth}` stands for the true labels, or for nothing if they are unknown or the
            message is bad.
        count: maximum number of messages; None sends all.
        loop: whether to start again at the end of the source.
        bad: share of bad messages, from 0 to 1. A bad message has one of `BAD_VALUES` instead of
            its images.

    Raises:
        producer.formats.FormatError: a message has several images, and the format supports only
            one.
    """
    starts = range(0, len(source.images), batch)
    rounds = itertools.cycle(starts) if loop else iter(starts)
    for number, start in enumerate(itertools.islice(rounds, count)):
        if is_bad(number, bad):
            bad_key = None if key is None else _key(key, number, None)
            value = BAD_VALUES[number % len(BAD_VALUES)]
            yield Message(bad_key, value, _BAD_HEADERS, images=0)
            continue
        images = source.images[start : start + batch]
        truth = None
        if source.truth is not None:
            truth = " ".join(source.truth[start : start + batch])
        yield Message(
            key=None if key is None else _key(key, number, truth),
            value=encode(wire_format, images),
            headers=wire_format.headers(truth),
            images=len(images),
        )


def total(source: Source, batch: int, count: int | None, loop: bool) -> int | None:
    """Returns the number of messages that `messages` yields; None if it is unlimited."""
    if loop:
        return count
    whole = -(-len(source.images) // batch)
    return whole if count is None else min(count, whole)


def _key(template: str, number: int, truth: str | None) -> bytes:
    # A key may have other braces, for example in JSON, so str.format cannot be used.
    return template.replace("{n}", str(number)).replace("{truth}", truth or "").encode()
