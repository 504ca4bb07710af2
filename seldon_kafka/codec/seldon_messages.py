"""Defines Seldon's protobuf messages in a separate descriptor pool.

Other code in the process (seldon_core, TensorFlow) may register messages of the same names in the
default pool, in any version. Field names and numbers are those of `prediction.proto` of Seldon Core
1.17.1
(https://docs.seldon.io/projects/seldon-core/en/v1.17.1/reference/apis/prediction.html) and of
TensorFlow's `tensor.proto`.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Dict, Iterable, Mapping, Sequence, Tuple

from google.protobuf import any_pb2, empty_pb2, message_factory, struct_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool

from seldon_kafka.messages import Json

NAME = "seldon.protos.SeldonMessage"
ProtoMessage = Any
"""A protobuf message, or its class, which is created at run time."""

ANY_NAME = "google.protobuf.Any"
_MODULE = "seldon_core.proto.prediction_pb2"

# Name, number and type of each field of a message.
_Fields = Sequence[Tuple[str, int, str]]
_MAP = re.compile(r"^map<(\S+), (\S+)>$")

# TensorFlow's types, in the order of their numbers from 0. The number of a reference to a type is
# 100 more than that of the type.
_DATA_TYPES = (
    *("INVALID", "FLOAT", "DOUBLE", "INT32", "UINT8", "INT16", "INT8", "STRING", "COMPLEX64"),
    *("INT64", "BOOL", "QINT8", "QUINT8", "QINT32", "BFLOAT16", "QINT16", "QUINT16", "UINT16"),
    *("COMPLEX128", "HALF", "RESOURCE", "VARIANT", "UINT32", "UINT64"),
    *("FLOAT8_E5M2", "FLOAT8_E4M3FN"),
)
_REFERENCE = 100
_TENSORFLOW: Mapping[str, _Fields] = {
    "TensorShapeProto": (
        ("dim", 2, "repeated .tensorflow.TensorShapeProto.Dim"),
        ("unknown_rank", 3, "bool"),
    ),
    "TensorShapeProto.Dim": (("size", 1, "int64"), ("name", 2, "string")),
    "ResourceHandleProto": (
        ("device", 1, "string"),
        ("container", 2, "string"),
        ("name", 3, "string"),
        ("hash_code", 4, "uint64"),
        ("maybe_type_name", 5, "string"),
        ("dtypes_and_shapes", 6, "repeated .tensorflow.ResourceHandleProto.DtypeAndShape"),
    ),
    "ResourceHandleProto.DtypeAndShape": (
        ("dtype", 1, "enum .tensorflow.DataType"),
        ("shape", 2, ".tensorflow.TensorShapeProto"),
    ),
    "TensorProto": (
        ("dtype", 1, "enum .tensorflow.DataType"),
        ("tensor_shape", 2, ".tensorflow.TensorShapeProto"),
        ("version_number", 3, "int32"),
        ("tensor_content", 4, "bytes"),
        ("half_val", 13, "repeated int32"),
        ("float_val", 5, "repeated float"),
        ("double_val", 6, "repeated double"),
        ("int_val", 7, "repeated int32"),
        ("string_val", 8, "repeated bytes"),
        ("scomplex_val", 9, "repeated float"),
        ("int64_val", 10, "repeated int64"),
        ("bool_val", 11, "repeated bool"),
        ("dcomplex_val", 12, "repeated double"),
        ("resource_handle_val", 14, "repeated .tensorflow.ResourceHandleProto"),
        ("variant_val", 15, "repeated .tensorflow.VariantTensorDataProto"),
        ("uint32_val", 16, "repeated uint32"),
        ("uint64_val", 17, "repeated uint64"),
        ("float8_val", 18, "bytes"),
    ),
    "VariantTensorDataProto": (
        ("type_name", 1, "string"),
        ("metadata", 2, "bytes"),
        ("tensors", 3, "repeated .tensorflow.TensorProto"),
    ),
}
_ONE_OF = "data_oneof"
_SELDON: Mapping[str, _Fields] = {
    "SeldonMessage": (
        ("status", 1, ".seldon.protos.Status"),
        ("meta", 2, ".seldon.protos.Meta"),
        ("data", 3, "oneof .seldon.protos.DefaultData"),
        ("binData", 4, "oneof bytes"),
        ("strData", 5, "oneof string"),
        ("jsonData", 6, "oneof .google.protobuf.Value"),
        ("customData", 7, "oneof .google.protobuf.Any"),
    ),
    "DefaultData": (
        ("names", 1, "repeated string"),
        ("tensor", 2, "oneof .seldon.protos.Tensor"),
        ("ndarray", 3, "oneof .google.protobuf.ListValue"),
        ("tftensor", 4, "oneof .tensorflow.TensorProto"),
    ),
    "Tensor": (("shape", 1, "repeated int32"), ("values", 2, "repeated double")),
    "Meta": (
        ("puid", 1, "string"),
        ("tags", 2, "map<string, .google.protobuf.Value>"),
        ("routing", 3, "map<string, int32>"),
        ("requestPath", 4, "map<string, string>"),
        ("metrics", 5, "repeated .seldon.protos.Metric"),
    ),
    "Metric": (
        ("key", 1, "string"),
        ("type", 2, "enum .seldon.protos.Metric.MetricType"),
        ("value", 3, "float"),
        ("tags", 4, "map<string, string>"),
    ),
    "Status": (
        ("code", 1, "int32"),
        ("info", 2, "string"),
        ("reason", 3, "string"),
        ("status", 4, "enum .seldon.protos.Status.StatusFlag"),
    ),
}
_ENUMS: Mapping[str, Mapping[str, int]] = {
    "Metric.MetricType": {"COUNTER": 0, "GAUGE": 1, "TIMER": 2},
    "Status.StatusFlag": {"SUCCESS": 0, "FAILURE": 1},
}


def _described(file: str, package: str, messages: Mapping[str, _Fields]) -> FileDescriptorProto:
    described = FileDescriptorProto(name=file, package=package, syntax="proto3")
    made: Dict[str, DescriptorProto] = {}
    for path, fields in messages.items():
        parent, _, name = path.rpartition(".")
        inside = made[parent].nested_type if parent else described.message_type
        made[path] = message = inside.add(name=name)
        for field in fields:
            _add_field(message, f".{package}.{path}", *field)
    for path, values in _ENUMS.items():
        parent, _, name = path.rpartition(".")
        if parent in made:
            _fill(made[parent].enum_type.add(name=name), values.items())
    return described


def _fill(enum: EnumDescriptorProto, values: Iterable[Tuple[str, int]]) -> None:
    for name, number in values:
        enum.value.add(name=name, number=number)


def _add_field(message: DescriptorProto, path: str, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number)
    words = kind.split() if not kind.startswith("map") else ["repeated", kind]
    is_repeated = words[0] == "repeated"
    field.label = FieldDescriptorProto.Label.Value(
        "LABEL_REPEATED" if is_repeated else "LABEL_OPTIONAL"
    )
    if words[0] == "oneof":
        if not message.oneof_decl:
            message.oneof_decl.add(name=_ONE_OF)
        field.oneof_index = 0
    pair = _MAP.match(kind)
    if pair:
        entry = message.nested_type.add(name=f"{name[0].upper()}{name[1:]}Entry")
        entry.options.map_entry = True
        _add_field(entry, "", "key", 1, pair[1])
        _add_field(entry, "", "value", 2, pair[2])
        words[-1] = f"{path}.{entry.name}"
    if words[0] == "enum":
        field.type, field.type_name = FieldDescriptorProto.Type.Value("TYPE_ENUM"), words[-1]
    elif words[-1].startswith("."):
        field.type, field.type_name = FieldDescriptorProto.Type.Value("TYPE_MESSAGE"), words[-1]
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{words[-1].upper()}")


def _filled_pool() -> DescriptorPool:
    pool = DescriptorPool()
    for module in (any_pb2, empty_pb2, struct_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    tensor = _described("seldon_kafka/tensor.proto", "tensorflow", _TENSORFLOW)
    numbered = [(f"DT_{name}", number) for number, name in enumerate(_DATA_TYPES)]
    references = [(f"{name}_REF", number + _REFERENCE) for name, number in numbered[1:]]
    _fill(tensor.enum_type.add(name="DataType"), [*numbered, *references])
    pool.AddSerializedFile(tensor.SerializeToString())
    prediction = _described("seldon_kafka/prediction.proto", "seldon.protos", _SELDON)
    for module in (any_pb2, struct_pb2):
        prediction.dependency.append(module.DESCRIPTOR.name)
    prediction.dependency.append(tensor.name)
    pool.AddSerializedFile(prediction.SerializeToString())
    return pool


_POOL = _filled_pool()


def _class_of(name: str) -> ProtoMessage:
    descriptor = _POOL.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    # protobuf before 4.22.
    return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)


SeldonMessage: ProtoMessage = _class_of(NAME)
DefaultData: ProtoMessage = _class_of("seldon.protos.DefaultData")
ListValue: ProtoMessage = _class_of("google.protobuf.ListValue")
TensorProto: ProtoMessage = _class_of("tensorflow.TensorProto")


def is_seldon_message(value: Json) -> bool:
    """Returns whether a value is a `SeldonMessage` from any descriptor pool."""
    return _name_of(value) == NAME


def is_any(value: Json) -> bool:
    """Returns whether a value is protobuf's `Any` from any descriptor pool."""
    return _name_of(value) == ANY_NAME


def _name_of(value: Json) -> str:
    descriptor = getattr(type(value), "DESCRIPTOR", None)
    name = getattr(descriptor, "full_name", "")
    return name if isinstance(name, str) else ""


def own_copy(message: ProtoMessage) -> ProtoMessage:
    """Returns a copy of a `SeldonMessage`, of the class in this module's descriptor pool."""
    if not isinstance(message, SeldonMessage):
        return SeldonMessage.FromString(message.SerializeToString())
    copied = SeldonMessage()
    copied.CopyFrom(message)
    return copied


def for_user_model(message: ProtoMessage) -> ProtoMessage:
    """Returns a `SeldonMessage` for raw methods of the user model.

    If seldon_core is imported, the message is a copy of seldon_core's class. Otherwise it is
    `message` itself.
    """
    theirs = getattr(sys.modules.get(_MODULE), "SeldonMessage", None)
    return message if theirs is None else theirs.FromString(message.SerializeToString())


def any_for_user_model(value: ProtoMessage) -> ProtoMessage:
    """Returns a copy of an `Any`, of the class `any_pb2.Any` that user models import."""
    return any_pb2.Any(type_url=value.type_url, value=value.value)
