"""Wire formats: the values that each accepts, rejects and writes."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from seldon_core.proto import prediction_pb2

from seldon_kafka.codec import decode
from seldon_kafka.codec.limits import count_fields
from seldon_kafka.errors import REASONS, Rejected
from seldon_kafka.messages import UNREADABLE_HEADERS, Prediction
from tests.support.records import record

MAX_BYTES = 1_000_000
PROTO = (("proto-name", b"seldon.protos.SeldonMessage"),)
PNG = b"\x89PNG\r\n\x1a\n and so on"


def payload_of(document: Any) -> Any:
    return decode(record(json.dumps(document).encode()), MAX_BYTES).payload


def refused(value: Any, headers: Any = ()) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode(record(value, headers=headers), MAX_BYTES)
    assert caught.value.reason in REASONS
    return caught.value


def prediction(rows: Any) -> Prediction:
    tags = {"label": ["x"] * len(rows), "model": "m-1"}
    return Prediction(np.asarray(rows), ["a", "b"], tags, ("label",), [])


def test_ndarray_and_tensor_give_the_same_rows() -> None:
    ndarray = payload_of({"data": {"names": ["p", "q"], "ndarray": [[1, 2], [3, 4]]}})
    tensor = payload_of({"data": {"tensor": {"shape": [2, 2], "values": [1, 2, 3, 4]}}})
    assert ndarray.names == ("p", "q")
    np.testing.assert_array_equal(ndarray.data, tensor.data)


def test_bin_str_and_json_data_are_taken_as_seldon_takes_them() -> None:
    assert payload_of({"binData": base64.b64encode(b"\x00\xff").decode()}).data == b"\x00\xff"
    assert payload_of({"strData": "text"}).data == "text"
    assert payload_of({"jsonData": {"any": [1]}}).data == {"any": [1]}


def test_of_duplicate_keys_the_last_one_wins() -> None:
    value = b'{"data":{"ndarray":[[1]]},"data":{"ndarray":[[2]]}}'
    assert decode(record(value), MAX_BYTES).payload.data.tolist() == [[2]]


def test_open_inference_json_is_typed_as_it_says() -> None:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "UINT8", "data": [0, 255]}
    decoded = payload_of({"id": "42", "inputs": [tensor]})
    assert decoded.data.dtype == np.uint8
    assert decoded.data.tolist() == [[0, 255]]
    assert decoded.meta == {"puid": "42"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": [0, 256]}, "bad_value"),
        ({"data": [0, -1]}, "bad_value"),
        ({"data": [0, 0.5]}, "bad_value"),
        ({"data": [0, "x"]}, "bad_value"),
        ({"datatype": "COMPLEX"}, "bad_value"),
        ({"datatype": "UINT64", "data": [0, 1.8446744073709552e19]}, "bad_value"),
        ({"datatype": "FP16", "data": [0, 1e6]}, "bad_value"),
        ({"datatype": None}, "bad_value"),
        ({"shape": [3]}, "bad_shape"),
        ({"shape": "2"}, "bad_shape"),
        ({"data": "AAA="}, "bad_shape"),
    ],
)
def test_open_inference_json_that_contradicts_itself_is_refused(
    change: dict[str, Any], reason: str
) -> None:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "UINT8", "data": [0, 1], **change}
    assert refused(json.dumps({"inputs": [tensor]}).encode()).reason == reason


def test_more_than_one_input_is_unsupported() -> None:
    assert refused(b'{"inputs":[{},{}]}').reason == "unsupported"
    assert refused(b'{"inputs":7}').reason == "unsupported"


def test_tensorflow_serving_json_is_taken() -> None:
    assert payload_of({"instances": [[1, 2]]}).data.tolist() == [[1, 2]]
    picture = {"b64": base64.b64encode(PNG).decode()}
    assert payload_of({"instances": [picture]}).data == PNG
    assert refused(json.dumps({"instances": [picture, picture]}).encode()).reason == "unsupported"


def test_protobuf_tensor_and_bin_data_are_taken() -> None:
    message = prediction_pb2.SeldonMessage()
    message.data.tensor.shape.extend([1, 2])
    message.data.tensor.values.extend([1.5, 2.5])
    message.meta.puid = "p-1"
    decoded = decode(record(message.SerializeToString(), headers=PROTO), MAX_BYTES).payload
    assert decoded.data.tolist() == [[1.5, 2.5]]
    assert decoded.meta["puid"] == "p-1"
    binary = prediction_pb2.SeldonMessage(binData=PNG).SerializeToString()
    assert decode(record(binary, headers=PROTO), MAX_BYTES).payload.data == PNG


def test_images_and_raw_bytes_go_to_the_class_as_they_are() -> None:
    assert decode(record(PNG), MAX_BYTES).payload.data == PNG
    for content_type in (b"image/png", b"IMAGE/JPEG; x=y", b"application/octet-stream"):
        decoded = decode(record(b"\x00\x01", headers=(("Content-Type", content_type),)), MAX_BYTES)
        assert decoded.payload.data == b"\x00\x01"


@pytest.mark.parametrize(
    ("value", "reason", "part"),
    [
        (None, "tombstone", "null"),
        (b"", "empty", "no bytes"),
        (b"x" * (MAX_BYTES + 1), "too_large", str(MAX_BYTES)),
        (b"hello", "not_json", "character 0"),
        (b"\x00" * 5000, "not_json", "character 0"),
        (b'{"data":{"ndarray":[[1,2', "not_json", "character"),
        (b'{"strData":"\xff"}', "invalid_utf8", "byte 12"),
        (b"[" * 100_000, "too_deep", "nested"),
        (b'{"data":{"ndarray":' + b"[" * 40 + b"1" + b"]" * 40 + b"}}", "too_deep", "32"),
        (b"[[1,2]]", "no_payload", "an array"),
        (b"null", "no_payload", "null"),
        (b"{}", "no_payload", "binData"),
        (b'{"data":7}', "no_payload", "object"),
        (b'{"data":{"ndarray":[[1,2],[3]]}}', "ragged", "not rectangular"),
        (b'{"data":{"ndarray":[[1,2],3]}}', "ragged", "not rectangular"),
        (b'{"data":{"tensor":{"shape":[2,2],"values":[1]}}}', "bad_shape", "needs 4 values, got 1"),
        (b'{"data":{"tensor":{"shape":[-2],"values":[1]}}}', "bad_shape", "whole numbers"),
        (b'{"data":{"tensor":[1]}}', "no_payload", "shape and values"),
        (b'{"binData":7}', "bad_base64", "base64"),
        (b'{"binData":"A"}', "bad_base64", "base64"),
        (b'{"meta":[1],"strData":"x"}', "no_payload", "meta"),
        (b'{"meta":[],"strData":"x"}', "no_payload", "meta"),
        (b'{"meta":"","strData":"x"}', "no_payload", "meta"),
        (b'{"meta":false,"strData":"x"}', "no_payload", "meta"),
        (b'{"meta":{"requestPath":[1]},"strData":"x"}', "bad_value", "meta.requestPath"),
        (b'{"data":{"tftensor":{"dtype":"NONSENSE"}}}', "bad_value", "tftensor"),
    ],
)
def test_an_invalid_request_is_refused_with_a_reason_and_a_message(
    value: Any, reason: str, part: str
) -> None:
    error = refused(value)
    assert error.reason == reason
    assert part in error.message


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ("[[1,null],[2.5,3]]", [[1, np.nan], [2.5, 3]]),
        ("[[NaN,1]]", [[np.nan, 1]]),
        ("[[-Infinity,1e400]]", [[-np.inf, np.inf]]),
        ("[[true,null,2]]", [[1, np.nan, 2]]),
    ],
)
def test_missing_and_infinite_values_among_numbers_are_floats(values: str, wanted: Any) -> None:
    found = decode(record(f'{{"data":{{"ndarray":{values}}}}}'.encode()), MAX_BYTES).payload.data
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("values", ["[null,null]", '["a",null]', "[true,null]"])
def test_null_among_anything_else_stays_none(values: str) -> None:
    found = decode(record(f'{{"data":{{"ndarray":{values}}}}}'.encode()), MAX_BYTES).payload.data
    assert found.dtype == object
    assert found.tolist() == json.loads(values)


def test_integers_are_exact_and_refused_where_null_would_round_them() -> None:
    exact = decode(record(b'{"data":{"ndarray":[73786976294838206465,1]}}'), MAX_BYTES).payload.data
    assert exact.tolist() == [73786976294838206465, 1]
    error = refused(b'{"data":{"ndarray":[[1,null],[9007199254740993,3]]}}')
    assert (error.reason, "[1, 0]" in error.message) == ("bad_value", True)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (b'{"data":{}}', (0,)),
        (b'{"data":{"ndarray":7}}', ()),
        (b'{"data":{"tensor":{"shape":[-1,2],"values":[1,2,3,4]}}}', (2, 2)),
    ],
)
def test_arrays_of_any_shape_that_numpy_makes_are_taken_as_seldon_takes_them(
    value: bytes, shape: Any
) -> None:
    assert decode(record(value), MAX_BYTES).payload.data.shape == shape


def test_names_reach_the_class_as_they_were_sent() -> None:
    assert decode(record(b'{"data":{"names":7,"ndarray":[[1]]}}'), MAX_BYTES).payload.names == 7


def test_the_error_for_an_unknown_content_type_lists_the_known_ones() -> None:
    error = refused(b"a,b", headers=(("content-type", b"text/csv"),))
    assert error.reason == "unknown_content_type"
    assert "application/json" in error.message


def test_invalid_protobuf_is_refused() -> None:
    assert refused(b"\x0a\xff", headers=PROTO).reason == "not_protobuf"
    empty = prediction_pb2.SeldonMessage().SerializeToString() or b"\x12\x00"
    assert refused(empty, headers=PROTO).reason == "no_payload"
    for no_text in (b"\x1a\x02\x0a\x00" + b"\x2a\x01\xe5", b"\x1a\x05\x0a\x03\xe5\xe5\xe5"):
        assert refused(no_text, headers=PROTO).reason == "invalid_utf8"
    other = (("proto-name", b"tensorflow.serving.PredictRequest"),)
    assert refused(b"\x0a", headers=other).reason == "unknown_proto_name"


def test_an_answer_has_the_form_of_the_request() -> None:
    rows = [[0.25, 0.75]]
    decoded = decode(record(b'{"data":{"ndarray":[[1]]}}'), MAX_BYTES)
    reply = json.loads(decoded.wire_format.encode(decoded.payload, prediction(rows), "p"))
    assert reply["data"] == {"names": ["a", "b"], "ndarray": rows}
    assert reply["meta"] == {"puid": "p", "tags": {"label": ["x"], "model": "m-1"}}
    decoded = decode(record(b'{"data":{"tensor":{"shape":[1],"values":[1]}}}'), MAX_BYTES)
    reply = json.loads(decoded.wire_format.encode(decoded.payload, prediction(rows), "p"))
    assert reply["data"]["tensor"] == {"shape": [1, 2], "values": [0.25, 0.75]}


def test_open_inference_answers_carry_tags_as_outputs_and_parameters() -> None:
    tensor = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}
    decoded = decode(record(json.dumps({"inputs": [tensor]}).encode()), MAX_BYTES)
    reply = json.loads(decoded.wire_format.encode(decoded.payload, prediction([[0.5, 0.5]]), "p"))
    assert reply["id"] == "p"
    assert reply["parameters"] == {"model": "m-1"}
    predict, label = reply["outputs"]
    assert predict["shape"] == [1, 2]
    assert predict["datatype"] == "FP64"
    assert predict["data"] == [0.5, 0.5]
    assert label == {"name": "label", "shape": [1], "datatype": "BYTES", "data": ["x"]}


def test_protobuf_answers_are_seldon_messages() -> None:
    message = prediction_pb2.SeldonMessage()
    message.data.tensor.shape.extend([1])
    message.data.tensor.values.extend([1])
    decoded = decode(record(message.SerializeToString(), headers=PROTO), MAX_BYTES)
    value = decoded.wire_format.encode(decoded.payload, prediction([[0.5, 0.5]]), "p")
    reply = prediction_pb2.SeldonMessage.FromString(value)
    assert list(reply.data.tensor.values) == [0.5, 0.5]
    assert list(reply.data.names) == ["a", "b"]
    assert reply.meta.puid == "p"
    assert reply.meta.tags["model"].string_value == "m-1"
    assert dict(decoded.wire_format.headers)["proto-name"] == b"seldon.protos.SeldonMessage"


@pytest.mark.parametrize(
    ("data", "field"), [("text", "strData"), (b"\x00", "binData"), ({"a": 1}, "jsonData")]
)
def test_other_answers_than_rows_are_carried_too(data: Any, field: str) -> None:
    answer = Prediction(data, (), {}, (), [])
    decoded = decode(record(b'{"strData":"x"}'), MAX_BYTES)
    assert field in json.loads(decoded.wire_format.encode(decoded.payload, answer, "p"))
    proto = prediction_pb2.SeldonMessage(strData="x").SerializeToString()
    decoded = decode(record(proto, headers=PROTO), MAX_BYTES)
    value = decoded.wire_format.encode(decoded.payload, answer, "p")
    assert prediction_pb2.SeldonMessage.FromString(value).WhichOneof("data_oneof") == field


ARRAYS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=4),
    elements=st.floats(-1e6, 1e6, allow_nan=False),
)


@given(array=ARRAYS)
def test_any_array_comes_through_every_json_format_unchanged(array: np.ndarray[Any, Any]) -> None:
    shape: list[int] = list(array.shape)
    flat = array.ravel().tolist()
    documents = [
        {"data": {"ndarray": array.tolist()}},
        {"data": {"tensor": {"shape": shape, "values": flat}}},
        {"inputs": [{"name": "x", "shape": shape, "datatype": "FP64", "data": flat}]},
        {"inputs": [{"name": "x", "shape": shape, "datatype": "FP64", "data": array.tolist()}]},
        {"instances": array.tolist()},
    ]
    for document in documents:
        np.testing.assert_array_equal(payload_of(document).data, array)


@given(value=st.binary(max_size=200))
def test_no_bytes_make_the_decoder_raise_anything_but_a_rejection(value: bytes) -> None:
    for headers in ((), PROTO, (("content-type", b"application/json"),)):
        try:
            decode(record(value, headers=headers), MAX_BYTES)
        except Rejected as error:
            assert error.reason in REASONS


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=4)
    | st.dictionaries(
        st.sampled_from(["data", "ndarray", "tensor", "shape", "values", "names", "meta", "inputs",
                         "instances", "binData", "jsonData", "b64", "datatype", "tftensor"]),
        children,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(document=JSON)
def test_no_json_makes_the_decoder_raise_anything_but_a_rejection(document: Any) -> None:
    try:
        decode(record(json.dumps(document).encode()), MAX_BYTES)
    except Rejected as error:
        assert error.reason in REASONS


def test_unreadable_headers_are_reported_for_any_value() -> None:
    good = b'{"data":{"ndarray":[[1]]}}'
    assert refused(good, UNREADABLE_HEADERS).reason == "bad_headers"


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (b'{"data":{"tensor":{"shape":[0,1000000000],"values":[]}}}', (), "bad_shape"),
        (b'{"data":{"tensor":{"shape":[1000000000,0],"values":[]}}}', (), "bad_shape"),
        (b'{"data":{"tensor":{"shape":[0,9223372036854775807,9],"values":[]}}}', (), "bad_shape"),
        (b'{"data":{"ndarray":[%s]}}' % b",".join([b"[1]"] * 400_000), (), "too_large"),
        (b'{"data":{"ndarray":["%s"%s]}}' % (b"x" * 50_000, b',""' * 16_000), (), "too_large"),
        (b"\x1a\xe0\xd4\x03\x1a\xdc\xd4\x03" + b"\x0a\x00" * 150_010, PROTO, "too_large"),
    ],
)
def test_a_message_that_would_take_much_more_memory_than_its_bytes_is_refused(
    value: bytes, headers: Any, reason: str
) -> None:
    with pytest.raises(Rejected) as caught:
        decode(record(value, headers=headers), 8 * MAX_BYTES)
    assert caught.value.reason == reason


def test_brackets_in_strings_are_not_counted_as_arrays() -> None:
    text = '[{"\\' * 300_000
    value = json.dumps({"strData": text}).encode()
    assert decode(record(value), 8 * MAX_BYTES).payload.data == text
    texts = ["x" * 20_000] * 100
    value = json.dumps({"data": {"names": ["a"], "ndarray": [texts]}}).encode()
    assert decode(record(value), 8 * MAX_BYTES).payload.data.tolist() == [texts]


def test_an_empty_tensor_may_have_a_width() -> None:
    assert payload_of({"data": {"tensor": {"shape": [0, 784], "values": []}}}).data.shape == (
        0,
        784,
    )


def test_fields_of_protobuf_are_counted_as_they_are_written() -> None:
    descriptor = prediction_pb2.SeldonMessage.DESCRIPTOR
    message = prediction_pb2.SeldonMessage()
    message.meta.tags["a"].number_value = 1  # meta, its entry, key and value, the number
    message.data.names.extend(["x", "y"])
    message.data.tensor.shape.extend([1, 300])  # three bytes of numbers
    message.data.tensor.values.extend([0.5] * 300)
    assert count_fields(message.SerializeToString(), descriptor, 1000) == 5 + 1 + 2 + 1 + 1 + 3 + 1
    assert count_fields(message.SerializeToString(), descriptor, 3) == 4


@given(st.binary(max_size=400))
def test_counting_the_fields_of_any_bytes_ends(value: bytes) -> None:
    assert count_fields(value, prediction_pb2.SeldonMessage.DESCRIPTOR, 10**6) <= 4 * len(value)
