"""The routes for pictures, downloads and uploads."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from PIL import Image

from consumer.dashboard.context import DashboardContext
from consumer.dashboard.inputs import png
from consumer.dashboard.rows import as_csv, as_json, filter_of
from consumer.dashboard.selection import Selection
from consumer.dashboard.uploads import MOST_ZIP_BYTES, Picture, pictures
from consumer.labels import HIRAGANA
from producer.bundled_samples import SAMPLES, Samples
from producer.formats import FORMATS
from producer.picture import PICTURE_FORMATS

_CONVERTING = 2
_SHOWN = 12
_THUMB = 96
_MOST_NAMES = 1000
# Messages never change, so browsers may cache their pictures.
_CACHED = {"Cache-Control": "private, max-age=86400, immutable"}


def routes(context: DashboardContext, samples: Samples) -> APIRouter:
    """Returns the routes.

    Args:
        context: the state and services that all pages share.
        samples: the images that a user can choose on the page.
    """
    router = APIRouter()
    _add_pictures(router, context, samples)
    _add_downloads(router, context)
    _add_sending(router, context, samples)
    return router


def _add_pictures(router: APIRouter, context: DashboardContext, samples: Samples) -> None:
    @router.get("/picture/{topic}/{partition}/{offset}/{row}.png")
    async def picture(topic: str, partition: int, offset: int, row: int) -> Response:
        if topic not in context.topics:
            return Response(status_code=404)
        images = await context.inputs.images((topic, partition, offset))
        if images is None or not 0 <= row < len(images):
            return Response(status_code=404)
        return Response(png(images[row]), media_type="image/png", headers=_CACHED)

    @router.get("/sample/{number}.png")
    async def sample(number: int) -> Response:
        if not 0 <= number < len(samples.images):
            return Response(status_code=404)
        return Response(png(samples.images[number]), media_type="image/png", headers=_CACHED)


def _add_downloads(router: APIRouter, context: DashboardContext) -> None:
    @router.get("/api/results.{kind}")
    async def results(kind: str, request: Request) -> Response:
        made = {"csv": as_csv, "json": as_json}.get(kind)
        try:
            chosen = filter_of(request.query_params)
        except ValueError:
            return PlainTextResponse("below must be a number from 0 to 1\n", 400)
        if made is None:
            return Response(status_code=404)
        lines: Iterator[str] = made(Selection(context.results, chosen).all(), context.results)
        return StreamingResponse(
            lines,
            media_type={"csv": "text/csv", "json": "application/json"}[kind],
            headers={"Content-Disposition": f'attachment; filename="results.{kind}"'},
        )


def _add_sending(router: APIRouter, context: DashboardContext, samples: Samples) -> None:
    converting = asyncio.Semaphore(_CONVERTING)
    sample_at = {name: number for number, name in enumerate(samples.names)}
    names = list(HIRAGANA)

    @router.post("/api/pictures")
    async def send_file(request: Request, name: str = "", format: str = "png") -> Response:  # noqa: A002
        if format not in FORMATS:
            return PlainTextResponse(f"no format is named {format}\n", 400)
        content = await _bounded(request, MOST_ZIP_BYTES)
        if content is None:
            return PlainTextResponse(f"more than {MOST_ZIP_BYTES // 2**20} MiB\n", 413)
        async with converting:
            found = await asyncio.to_thread(lambda: list(pictures(name, content)))
        good = [each for each in found if isinstance(each, Picture)]
        for each in found:
            if not isinstance(each, Picture):
                context.sender.refuse(each)
        sent = await asyncio.to_thread(context.sender.send_all, good, format, [None] * len(good))
        return await _upload_response(sent, len(found))

    @router.post("/api/samples")
    async def send_samples(request: Request) -> Response:
        content = await _bounded(request, 2**20)
        wanted, wire_format = _chosen(content or b"", sample_at)
        if wanted is None or wire_format not in FORMATS:
            return PlainTextResponse(
                f"the body must be JSON with names of at most {_MOST_NAMES} samples and a format\n",
                400,
            )
        made = [
            Picture(
                samples.names[at], samples.images[at], (SAMPLES / samples.names[at]).read_bytes()
            )
            for at in wanted
        ]
        truths = [names[int(samples.labels[at])] for at in wanted]
        sent = await asyncio.to_thread(context.sender.send_all, made, wire_format, truths)
        return await _upload_response(sent, len(made))


async def _bounded(request: Request, most: int) -> bytes | None:
    """Returns the body of a request; None if it, or its announced size, exceeds `most` bytes."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > most:
        return None
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


def _chosen(content: bytes, known: dict[str, int]) -> tuple[list[int] | None, str]:
    try:
        document = orjson.loads(content)
        names, wire_format = document["names"], document["format"]
        if len(names) > _MOST_NAMES:
            return None, ""
        return [known[name] for name in names], str(wire_format)
    except (ValueError, KeyError, TypeError):
        return None, ""


async def _upload_response(sent: Sequence[Picture], given: int) -> Response:
    """Returns the response to an upload: counts of files, and the first converted pictures."""
    turned = await asyncio.to_thread(_conversions, sent[:_SHOWN])
    document = {"sent": len(sent), "refused": given - len(sent), "turned": turned}
    return Response(orjson.dumps(document), media_type="application/json")


def _conversions(made: Sequence[Picture]) -> list[dict[str, Any]]:
    """Returns pictures before and after their conversion to 28 x 28 pixels, as data URLs."""
    return [
        {"name": each.name, "before": _thumb(each.content), "after": _data_url(png(each.image))}
        for each in made
    ]


def _thumb(content: bytes) -> str:
    """Returns a small PNG of a picture as a data URL.

    The picture is safe to open: it is a bundled sample, or `pictures` has decoded it within the
    limits.
    """
    picture = Image.open(io.BytesIO(content), formats=PICTURE_FORMATS)
    picture.thumbnail((_THUMB, _THUMB))
    buffer = io.BytesIO()
    picture.convert("RGBA").save(buffer, "PNG")
    return _data_url(buffer.getvalue())


def _data_url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")
