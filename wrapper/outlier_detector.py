"""Marks pictures that are no kuzushiji, on their way to any model of an inference graph."""

from __future__ import annotations

from typing import Any, Dict, List

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from seldon_core.proto import prediction_pb2

from model.artefacts import ArtefactError
from model.chosen import chosen_artefact
from model.loader import Answers, Classifier
from wrapper.judgement import judge
from wrapper.loaded import HoldsModel, parsed, tags_of
from wrapper.payload import to_rows


class KmnistOutlierDetector(HoldsModel):
    """A node of type TRANSFORMER: messages pass as they are, with two tags more.

    Seldon's server 1.17.1 makes no difference between its service types TRANSFORMER and
    OUTLIER_DETECTOR, and the operator knows only the first: both call `transform_input_raw`.
    The executor hands tags on from node to node into the reply.
    """

    _read = staticmethod(chosen_artefact)
    _kind = Classifier

    def _check(self, answers: Answers) -> None:
        if answers.outlier is None:
            raise ArtefactError(
                f"{self._artefact.name} tells no outliers: choose another with MODEL_VARIANT or "
                "MODEL_URI"
            )

    def transform_input_raw(self, msg: Any) -> Any:
        """Add tags to a message.

        Args:
            msg: Seldon's message, a parsed JSON or a `SeldonMessage`, with a payload that
                `wrapper.payload.to_rows` takes.

        Returns:
            The same message, with the tags `outlier` (bool) and `outlier_score` (0 to 1), an
            entry for each image.

        Raises:
            BadPayload: The payload can't be taken.
        """
        if isinstance(msg, prediction_pb2.SeldonMessage):
            for name, entries in self._tags(parsed(msg)).items():
                msg.meta.tags[name].CopyFrom(json_format.ParseDict(entries, Value()))
            return msg
        tags = self._tags(parsed(msg))
        meta = msg.get("meta")
        return {**msg, "meta": {**(meta or {}), "tags": {**tags_of(meta), **tags}}}

    def _tags(self, payload: Any) -> Dict[str, List[Any]]:
        return judge(self._loaded().answers(to_rows(payload)), self._artefact).outlier_tags()
