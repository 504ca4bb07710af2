"""The dialog that shows one result: probabilities, explanation, correction and raw messages."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from pathlib import Path

import numpy as np
from nicegui import ui
from numpy.typing import NDArray

from consumer.dashboard.console import Program
from consumer.dashboard.context import DashboardContext
from consumer.dashboard.elements import Table
from consumer.dashboard.inputs import png
from consumer.dashboard.panels import button
from consumer.dashboard.results import Result
from consumer.dashboard.rows import in_ms, picture_address
from consumer.labels import HIRAGANA
from seldon_kafka.messages import Record

_RAW_CHARACTERS = 6000


class Detail:
    """The dialog of one browser.

    Args:
        context: the state and services that all pages share.
    """

    def __init__(self, context: DashboardContext) -> None:
        self._context = context
        self._opened = 0
        with ui.dialog() as self._dialog, ui.card().classes("panel detail"):
            self._content = ui.column().classes("w-full gap-3")

    async def open(self, result: Result) -> None:
        """Fetches the messages of a result, and shows the result."""
        answer = result.answer
        self._opened += 1
        this_opening = self._opened
        output, source = await asyncio.gather(
            self._record(result.at), self._record(None if answer.dead else answer.input_position)
        )
        if this_opening != self._opened:
            return  # another result was opened meanwhile
        self._content.clear()
        with self._content:
            self._head(result)
            with ui.row().classes("w-full gap-4"):
                self._picture(result)
                self._probabilities(result)
            self._correction(result)
            self._raw("Reply" if not answer.dead else "Dead letter", output)
            if not answer.dead:
                self._raw("Request", source)
        self._dialog.open()

    async def _record(self, position: tuple[str, int, int] | None) -> Record | None:
        return None if position is None else await self._context.inputs.record(position)

    def _head(self, result: Result) -> None:
        answer, label = result.answer, result.label
        with ui.row().classes("w-full items-center justify-between"):
            if label is None:
                ui.label(f"{answer.reason or 'unreadable'}: {answer.message}").classes("error-text")
            else:
                with ui.row().classes("items-baseline gap-2"):
                    ui.label(label.hiragana).classes("kana big-kana").props("lang=ja")
                    ui.label(f"{label.name}, {100 * label.confidence:.2f} %").classes("big")
            button("Close", self._dialog.close)
        position = (
            "-" if answer.input_position is None else "{} {}:{}".format(*answer.input_position)
        )
        facts = {
            "from": position,
            "to": "-" if result.at is None else "{} {}:{}".format(*result.at),
            "row": str(result.row),
            "key": answer.key if answer.key is not None else "-",
            "worker": answer.worker or "-",
            "puid": answer.puid or "-",
            "latency": in_ms(result.latency_ms) or "-",
            "truth": self._context.results.truth(result) or "unknown",
        }
        with ui.element("div").classes("facts"):
            for name, value in facts.items():
                ui.label(f"{name}: {value}")

    def _picture(self, result: Result) -> None:
        position = result.at if result.answer.dead else result.answer.input_position
        if position is None:
            return
        with ui.column().classes("gap-2"):
            ui.element("img").props(
                f'src="{picture_address(position, result.row)}" alt=""'
            ).classes("big-picture")
            if result.label is not None and self._context.explains:
                ask = button("Why this label?", lambda: self._explain(result, ask, why))
                why = ui.column()

    async def _explain(self, result: Result, ask: ui.button, why: ui.column) -> None:
        assert result.answer.input_position is not None
        ask.disable()
        why.clear()
        with why:
            ui.spinner()
        images = await self._context.inputs.images(result.answer.input_position)
        if images is None or result.row >= len(images):
            address, message = None, "The picture can't be fetched."
        else:
            address, message = await asyncio.to_thread(self._run_explain, images[result.row])
        if why.is_deleted:
            return  # the dialog shows another result now
        ask.enable()
        why.clear()
        with why:
            if address is None:
                ui.label(message).classes("error-text")
            else:
                ui.element("img").props(
                    f'src="{address}" alt="Red pixels support the label, blue pixels oppose it"'
                ).classes("explanation")
                ui.label("red supports the label, blue opposes it").classes("soft")

    def _run_explain(self, image: NDArray[np.uint8]) -> tuple[str | None, str]:
        try:
            return self._explained(image)
        except OSError as error:
            return None, f"The explanation failed: {error}"

    def _explained(self, image: NDArray[np.uint8]) -> tuple[str | None, str]:
        with tempfile.TemporaryDirectory() as folder:
            picture, out = Path(folder) / "picture.png", Path(folder) / "why.png"
            picture.write_bytes(png(image))
            program = Program(["wrapper.explain", str(picture), "--out", str(out)])
            future = self._context.console.run(program.action)
            if future.result() or not out.exists():
                return None, "The explanation failed; see the console."
            content = base64.b64encode(out.read_bytes()).decode("ascii")
            return f"data:image/png;base64,{content}", ""

    def _probabilities(self, result: Result) -> None:
        label = result.label
        if label is None:
            return
        table = Table("class", "", "probability").classes("grow")
        table.show(
            rows=[
                {"key": at, "cells": [name, HIRAGANA.get(name, ""), f"{100 * share:.2f} %"]}
                for at, (name, share) in enumerate(label.probabilities)
            ]
        )

    def _correction(self, result: Result) -> None:
        label = result.label
        if label is None or result.image is None:
            return
        rows = len(result.answer.labels)
        this_opening = self._opened
        known = {name: f"{kana} {name}" for name, kana in HIRAGANA.items()}
        with ui.row().classes("items-center gap-2"):
            ui.label("Right label")
            chosen = ui.select(known, value=label.name if label.name in known else None).props(
                'dense outlined options-dense aria-label="Right label"'
            )

            async def correct() -> None:
                if not chosen.value:
                    ui.notify("Choose the right label first.", type="warning")
                    return
                position = result.answer.input_position
                images = None if position is None else await self._context.inputs.images(position)
                image = images[result.row] if images is not None and rows == len(images) else None
                error = await asyncio.to_thread(
                    self._context.corrections.correct, result, chosen.value, image
                )
                with self._content:  # exists even if the dialog shows another result by now
                    ui.notify(error or "The correction is in the feedback topic.")
                if not error and this_opening == self._opened:
                    self._dialog.close()

            button("Correct the label", correct, primary=True)

    def _raw(self, title: str, record: Record | None) -> None:
        with ui.expansion(f"{title}: headers and value").classes("w-full"):
            if record is None:
                ui.label("The message does not exist, or no broker answers.").classes("soft")
                return
            table = Table("header", "value")
            table.show(
                rows=[
                    {"key": at, "cells": [name, _text(value)[:_RAW_CHARACTERS]]}
                    for at, (name, value) in enumerate(record.headers)
                ]
            )
            value = _text(record.value)
            cut = f"… ({len(record.value or b''):,} bytes)" if len(value) > _RAW_CHARACTERS else ""
            ui.label(value[:_RAW_CHARACTERS] + cut).classes("raw")


def _text(value: bytes | None) -> str:
    if value is None:
        return "(null)"
    return value[: 4 * _RAW_CHARACTERS].decode("utf-8", "backslashreplace")
