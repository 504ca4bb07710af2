"""From images to the messages that are sent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from producer.formats import WireFormat, encode
from producer.sources import Source
from producer.spoiled import CONTENT_TYPE, SPOILED, is_spoiled

_SPOILED_HEADERS = [("content-type", CONTENT_TYPE.encode())]


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        key: The key, or None.
        value: The images, encoded.
        headers: What the value is, and what it shows.
        images: How many it holds.
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
    """The messages that a source makes.

    Args:
        source: The images.
        wire_format: How they are encoded.
        batch: Images in a message; the last one may hold fewer.
        key: The key, in which ``{n}`` stands for the message's number from 0 on and
            ``{truth}`` for its label; None sends none.
        count: How many messages at most; None sends all.
        loop: Begin again when the source is used up.
        bad: The share of messages that hold nothing that can be answered, from 0 to 1.

    Raises:
        producer.formats.FormatError: A message of this format cannot hold so many images.
    """
    starts = range(0, len(source.images), batch)
    rounds = itertools.cycle(starts) if loop else iter(starts)
    for number, start in enumerate(itertools.islice(rounds, count)):
        if is_spoiled(number, bad):
            named = None if key is None else _key(key, number, None)
            yield Message(named, SPOILED[number % len(SPOILED)], _SPOILED_HEADERS, images=0)
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
    """How many messages there will be; None if there is no end."""
    if loop:
        return count
    whole = -(-len(source.images) // batch)
    return whole if count is None else min(count, whole)


def _key(template: str, number: int, truth: str | None) -> bytes:
    # Not str.format: a key may hold other braces, JSON for one.
    return template.replace("{n}", str(number)).replace("{truth}", truth or "").encode()
