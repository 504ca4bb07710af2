"""`seldon-kafka request-log`: writes the request log to OpenSearch or Elasticsearch."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
from typing import Dict, Mapping

from seldon_kafka.config.arguments import positive_integer
from seldon_kafka.config.refusal import one_shot_client
from seldon_kafka.config.rights import LOG_READER_GROUP
from seldon_kafka.config.settings import Settings, SettingsError, load_settings
from seldon_kafka.config.stop_signals import stop_signals_calling
from seldon_kafka.request_log.documents import INDEX, document_of_entry, document_of_feedback
from seldon_kafka.request_log.search import Access, SearchEngine
from seldon_kafka.request_log.sink import Reading, Sink

_EXAMPLES = """
examples:
  seldon-kafka request-log --url http://localhost:9200
  seldon-kafka request-log --url https://search:9200 --ca-file ca.pem --feedback
  seldon-kafka request-log --print-index > index.json    for a Kafka Connect sink

Every record becomes a document in index `model_log` (or --index). The id of the document is
stable, so a record that is read twice replaces its own document. A missing index is created. If the
search engine refuses a document, index `model_log-refused` gets the record as text or base64, with
the reason. The reason also goes to stderr.

Variables: REQUEST_LOG_URL; REQUEST_LOG_USERNAME with REQUEST_LOG_PASSWORD, or REQUEST_LOG_API_KEY;
REQUEST_LOG_CA_FILE. Brokers and topics come from KAFKA_BROKER,
KAFKA_LOG_TOPIC and KAFKA_FEEDBACK_TOPIC.

exit status: 0 asked to stop; 1 the topics can't be read, or the search engine refuses everything;
2 wrong use.
"""
# https://docs.opensearch.org/latest/api-reference/index-apis/create-index/#index-naming-restrictions
_INDEX_NAME = re.compile(r"^[a-z0-9.][a-z0-9._-]{0,199}$")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to the parser."""
    parser.description = "Writes the request log to OpenSearch or Elasticsearch."
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=_write_request_log)
    parser.add_argument("--url", help="URL of the search engine (REQUEST_LOG_URL)")
    parser.add_argument("--index", help="index for the request log (the topic's name)")
    parser.add_argument(
        "--feedback", action="store_true", help="write the feedback topic too, to a separate index"
    )
    parser.add_argument("--group", default=LOG_READER_GROUP, help="consumer group (%(default)s)")
    parser.add_argument(
        "--batch",
        type=positive_integer,
        default=500,
        metavar="N",
        help="largest number of documents in a request (%(default)s)",
    )
    parser.add_argument(
        "--ca-file", metavar="FILE", help="certificate authority as PEM (REQUEST_LOG_CA_FILE)"
    )
    parser.add_argument(
        "--print-index",
        action="store_true",
        help="print the settings and mappings of the index, and exit",
    )


def _write_request_log(options: argparse.Namespace) -> int:
    """Writes records until SIGTERM or Ctrl-C; returns the exit status."""
    if options.print_index:
        sys.stdout.write(json.dumps(INDEX, indent=2) + "\n")
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    access = _access(options, os.environ)
    readings = _readings(options, load_settings())
    with one_shot_client() as settings:
        return _run(options, settings, access, readings)


def _run(
    options: argparse.Namespace, settings: Settings, access: Access, readings: Dict[str, Reading]
) -> int:
    engine = SearchEngine(access)
    sink = Sink(settings, options.group, readings, engine, options.batch)
    with stop_signals_calling(sink.stop):
        sys.stderr.write(f"{', '.join(readings)} -> {access.url}\n")
        try:
            sink.run()
        finally:
            engine.close()
        sys.stderr.write(f"{sink.written:,} documents written, {sink.refused:,} refused\n")
    return 0


def _access(options: argparse.Namespace, environ: Mapping[str, str]) -> Access:
    url = options.url or environ.get("REQUEST_LOG_URL", "")
    if not url:
        raise SettingsError("no search engine is set: set REQUEST_LOG_URL or use --url")
    ca_file = options.ca_file or environ.get("REQUEST_LOG_CA_FILE", "")
    if ca_file and not os.access(ca_file, os.R_OK):
        raise SettingsError(f"{ca_file} can't be read; it must be a certificate authority (PEM)")
    return Access(
        url,
        environ.get("REQUEST_LOG_USERNAME", ""),
        environ.get("REQUEST_LOG_PASSWORD", ""),
        environ.get("REQUEST_LOG_API_KEY", ""),
        ca_file,
    )


def _readings(options: argparse.Namespace, settings: Settings) -> Dict[str, Reading]:
    index = options.index or settings.log_topic.lower()
    readings: Dict[str, Reading] = {settings.log_topic: (index, document_of_entry)}
    if options.feedback:
        readings[settings.feedback_topic] = (settings.feedback_topic.lower(), document_of_feedback)
    for name, _ in readings.values():
        if not _INDEX_NAME.match(name):
            raise SettingsError(
                f"{name!r} is not an index name: use lower-case letters, digits, - and _"
            )
    return readings
