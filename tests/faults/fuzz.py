"""Fuzzes the decoder with atheris: `python -m tests.faults.fuzz CORPUS -max_total_time=60`.

For any bytes, decoding must end in a payload or in a rejection with a known reason, within limits
of time and memory. Anything else ends the fuzzer, which prints the bytes.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from seldon_kafka.errors import REASONS, Rejected
from seldon_kafka.messages import Headers, Record

_MAX_BYTES = 1_000_000
# The first byte of the fuzzer's data selects the headers.
_HEADERS: tuple[Headers, ...] = (
    (),
    (("content-type", b"application/json"),),
    (("content-type", b"image/png"),),
    (("content-type", b"application/octet-stream"),),
    (("proto-name", b"seldon.protos.SeldonMessage"),),
)
_SEEDS = (
    b'\x00{"data":{"names":["a"],"ndarray":[[1,2.5e3],[-3,4]]},"meta":{"puid":"p"}}',
    b'\x01{"data":{"tensor":{"shape":[2,2],"values":[1,2,3,4]}}}',
    b'\x00{"binData":"iVBORw0KGgo="}',
    b'\x00{"inputs":[{"name":"x","shape":[1,2],"datatype":"UINT8","data":[0,1]}]}',
    b'\x00{"instances":[[1,2],[3,4]]}',
    b'\x00{"strData":"text","jsonData":{"a":null}}',
    b"\x04\x1a\x12\x0a\x05\x0a\x03t:0\x12\x09\x0a\x01\x01\x12\x08\x00\x00\x00\x00\x00\x00\xf0?",
)
_TIMEOUT_S = 5
_RSS_MIB = 2048


def why_impossible() -> str | None:
    """Returns why atheris cannot run here, or None."""
    if importlib.util.find_spec("atheris") is None:
        return "atheris has no package for this Python and machine"
    return None


def main() -> None:
    """Fuzzes for the given time; the first argument is a folder for the corpus."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["seldon_kafka.codec"]):
        codec = importlib.import_module("seldon_kafka.codec")

    def decode(data: bytes) -> None:
        if not data:
            return
        headers = _HEADERS[data[0] % len(_HEADERS)]
        try:
            codec.decode(Record("in", 0, 0, 0, None, data[1:], headers), _MAX_BYTES)
        except Rejected as error:
            assert error.reason in REASONS, error.reason

    for index, text in enumerate(_SEEDS):
        Path(sys.argv[1], f"seed-{index}").write_bytes(text)
    limits = (f"-timeout={_TIMEOUT_S}", f"-rss_limit_mb={_RSS_MIB}")
    atheris.Setup([*sys.argv, *limits, f"-artifact_prefix={sys.argv[1]}/"], decode)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
