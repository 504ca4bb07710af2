"""Flags images that are no kuzushiji, in front of the models of an inference graph."""

from __future__ import annotations

from typing import Any, Dict, List

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from seldon_core.proto import prediction_pb2

from model.artefacts import ArtefactError
from model.chosen import chosen_artefact
from model.loader import Answers, Classifier
from wrapper.judgement import judge
from wrapper.loaded import ModelHolder, parse_payload, tags_of
from wrapper.payload import to_rows


class KmnistOutlierDetector(ModelHolder):
    """A node of type TRANSFORMER in an inference graph, which adds two tags to each message.

    Seldon's server 1.17.1 calls `transform_input_raw` for the service types TRANSFORMER and
    OUTLIER_DETECTOR alike, but Seldon's operator supports only TRANSFORMER. Seldon's executor
    passes the tags from node to node into the reply.
    """

    _read_artefact = staticmethod(chosen_artefact)
    _model_class = Classifier

    def _check(self, answers: Answers) -> None:
        if answers.outlier is None:
            raise ArtefactError(
                f"{self._artefact.name} does not detect outliers: choose another model with "
                "MODEL_VARIANT or MODEL_URI"
            )

    def transform_input_raw(self, msg: Any) -> Any:
        """Adds tags to a message.

        Args:
            msg: Seldon's message, as parsed JSON or `SeldonMessage`, with a payload that
                `wrapper.payload.to_rows` accepts.

        Returns:
            The message, with the tags `outlier` (bool) and `outlier_score` (0 to 1), each with an
            entry for each image.

        Raises:
            BadPayload: the payload or `meta` is not valid.
        """
        if isinstance(msg, prediction_pb2.SeldonMessage):
            for name, entries in self._tags(parse_payload(msg)).items():
                msg.meta.tags[name].CopyFrom(json_format.ParseDict(entries, Value()))
            return msg
        tags = self._tags(parse_payload(msg))
        meta = msg.get("meta")
        return {**msg, "meta": {**(meta or {}), "tags": {**tags_of(meta), **tags}}}

    def _tags(self, payload: Any) -> Dict[str, List[Any]]:
        return judge(self._loaded().answers(to_rows(payload)), self._artefact).outlier_tags()
