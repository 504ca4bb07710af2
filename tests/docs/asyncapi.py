"""The AsyncAPI document, and which of its messages a real one is."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator, RefResolver

from seldon_kafka.codec.seldon_proto import parse
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Headers

Document = dict[str, Any]

PATH = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.yaml"


def load() -> Document:
    return dict(yaml.safe_load(PATH.read_text("utf-8")))


def structure_errors(document: Document) -> list[str]:
    """What the AsyncAPI specification finds wrong: missing and unknown fields, wrong kinds."""
    with warnings.catch_warnings():
        # The package's classes have fields that shadow pydantic's own; it says so at import.
        warnings.simplefilter("ignore", UserWarning)
        from asyncapi3.models.asyncapi import AsyncAPI3
        from pydantic import ValidationError
    try:
        AsyncAPI3.model_validate(document)
    except ValidationError as error:
        return [f"{each['loc']}: {each['msg']}" for each in error.errors()]
    return []


def references(node: Any) -> list[str]:
    """Every `$ref` below a node."""
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for item in node.values() for found in references(item)]


def resolved(document: Document, node: Document) -> Document:
    """What a node that is a reference stands for; any other node is itself.

    Raises:
        LookupError: There is no such thing in the document.
    """
    while "$ref" in node:
        place: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        node = place
    return node


def messages(document: Document, channel: str) -> dict[str, Document]:
    """The messages of a channel by name."""
    listed = document["channels"][channel]["messages"]
    return {name: resolved(document, message) for name, message in listed.items()}


def errors(document: Document, schema: Document, value: Any) -> list[str]:
    """What is wrong with a value by a schema of the document."""
    validator = Draft7Validator(schema, resolver=RefResolver("", document))
    return [
        f"{list(each.absolute_path)}: {each.message[:200]}" for each in validator.iter_errors(value)
    ]


def headers_object(headers: Headers) -> dict[str, str | None]:
    """Headers as the document's schemas see them: of equal names the last one counts."""
    return {
        name.lower(): None if value is None else value.decode("utf-8") for name, value in headers
    }


def payload_value(message: Document, value: bytes | None) -> Any:
    """A value as the document's schemas see it: JSON parsed, else a character for each byte."""
    if value is None:
        return None
    if message.get("contentType") == "application/json":
        return json.loads(value)
    return value.decode("latin-1")


def message_errors(
    document: Document, message: Document, headers: Headers, value: bytes | None
) -> list[str]:
    """What is wrong with a real message by the document's."""
    found = errors(document, message["headers"], headers_object(headers))
    if "schemaFormat" in message["payload"]:
        return found + _protobuf_errors(message["payload"]["schema"], value or b"")
    return found + errors(document, message["payload"], payload_value(message, value))


def _protobuf_errors(text: str, value: bytes) -> list[str]:
    """Whether a value is a `SeldonMessage`, with no fields but those of a proto file."""
    try:
        message = parse(value)
    except Rejected as error:
        return [error.message]
    known = proto_fields(text)
    described = {name for name, _ in known}
    found = [] if message.WhichOneof("data_oneof") else ["it holds no data"]
    pending = [message]
    while pending:
        part = pending.pop()
        for field, content in part.ListFields():
            if (part.DESCRIPTOR.name, field.name) not in known:
                found.append(f"{part.DESCRIPTOR.name}.{field.name} is not described")
            if field.message_type is not None and field.message_type.name in described:
                pending.append(content)
    return found


def kinds(document: Document, channel: str, headers: Headers, value: bytes | None) -> list[str]:
    """Names of the channel's messages that a real message is."""
    found = []
    for name, message in messages(document, channel).items():
        try:
            wrong = message_errors(document, message, headers, value)
        except ValueError:  # not JSON at all
            continue
        if not wrong:
            found.append(name)
    return found


def proto_fields(text: str) -> dict[tuple[str, str], int]:
    """The field numbers in a proto file, by message and field."""
    found = {}
    current = ""
    for line in text.splitlines():
        if begun := re.match(r"message (\w+)", line.strip()):
            current = begun.group(1)
        elif field := re.match(r"(?:[\w.<>, ]+) (\w+) = (\d+)", line.strip()):
            found[current, field.group(1)] = int(field.group(2))
    return found
