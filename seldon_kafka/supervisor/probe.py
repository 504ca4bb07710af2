"""Asks a server on this machine whether it is healthy."""

from __future__ import annotations

import http.client

_WITHIN_S = 1.0


def answers_ok(port: int, path: str) -> bool:
    """Returns whether a GET of this path is answered with status 200 within a second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WITHIN_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
