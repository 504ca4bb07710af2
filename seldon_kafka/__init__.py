"""Serves any Seldon wrapper class between Kafka topics, exactly once and in order.

A class needs nothing of this: what it returns is its answer. Where it wants to say more, there are

- `Response`: an answer with tags and metrics;
- `UserModelError`: what was wrong with a message, and whose fault it is.
"""

from seldon_kafka.errors import UserModelError
from seldon_kafka.messages import Response

__all__ = ["Response", "UserModelError", "__version__"]

__version__ = "0.2.0"
