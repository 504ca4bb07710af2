"""Wrapper classes that expect much of the process that they live in."""

from __future__ import annotations

import asyncio
import concurrent.futures
import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np


class LivesInOneThread:
    """Holds what belongs to the thread that made it, and the process's main thread only may do."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.signals: list[int] = []

    def load(self) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.connection = sqlite3.connect(":memory:")
        self.connection.execute("CREATE TABLE seen (value REAL)")
        signal.signal(signal.SIGTERM, self.on_signal)

    def on_signal(self, number: int, frame: Any) -> None:
        Path(os.environ["HANDLER_CALLED"]).write_text(str(number))

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        assert threading.get_ident() == self.thread
        self.connection.execute("INSERT INTO seen VALUES (?)", (float(X[0][0]),))
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        return asyncio.run(self._double(X))

    async def _double(self, rows: Any) -> Any:
        await asyncio.sleep(0)
        return rows * 2


class Holds:
    """Spends a while in one step of C, with the interpreter's lock or without it."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        if os.environ["HOLDS"] == "lock":
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                sum(range(3_000_000))
        else:
            time.sleep(0.3)
        return X * 2


class LeavesThread:
    """Leaves a thread behind that never ends."""

    def load(self) -> None:
        threading.Thread(target=threading.Event().wait).start()

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X * 2


class LeavesProcess(LeavesThread):
    """Leaves a process behind that goes on for long."""

    def load(self) -> None:
        multiprocessing.Process(target=time.sleep, args=(600,)).start()


class LeavesPool(LeavesThread):
    """Leaves a pool of processes at work."""

    def load(self) -> None:
        self.pool = concurrent.futures.ProcessPoolExecutor(1)
        self.pool.submit(time.sleep, 600)


class Buffered:
    """Returns one buffer again and again."""

    def __init__(self) -> None:
        self.answer = np.zeros((1, 2))

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        self.answer[:] = X * 2
        return self.answer


class Unavailable(Exception):
    status_code = 503


class Upstream:
    """Needs another service, which is away while a file is there, and always for row 1013."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        if X[0][0] == 1013 or Path(os.environ["UPSTREAM_DOWN"]).exists():
            raise Unavailable("the feature store is away")
        return X * 2


class Measured:
    """Reports metrics of all types."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X * 2

    def metrics(self) -> Any:
        return [
            {"type": "COUNTER", "key": "seen", "value": 1, "tags": {"kind": "row"}},
            {"type": "GAUGE", "key": "height", "value": 7.5},
            {"type": "TIMER", "key": "took", "value": 20},
        ]


class Adds:
    """A transformer: adds one to what comes in."""

    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: N803
        return X + 1


class Halves:
    """A transformer: halves what goes out."""

    def transform_output(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X / 2


class Awaits:
    """Can't be served yet."""

    async def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X


class Explains(Exception):
    status_code = 422
    application_error_code = "E7"

    def to_dict(self) -> dict[str, Any]:
        return {"status": {"app_code": "E7", "info": str(self)}}


class Refuses:
    """Raises with much to say."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        raise Explains("no such customer")
