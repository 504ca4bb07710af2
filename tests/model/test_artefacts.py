"""Artefacts in folders: shipped ones, damaged ones, and the choice between them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from model import dataset
from model.artefacts import LIMIT, SHIPPED, ArtefactError, read_artefact, write_artefact
from model.chosen import VARIANTS, chosen_artefact

FAST = SHIPPED / "fast"
ALL = sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a shipped artefact, for tests that damage it."""
    return Path(shutil.copytree(FAST, tmp_path / "copy"))


def change(folder: Path, **fields: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **fields}))


def refusal(folder: Path) -> str:
    with pytest.raises(ArtefactError) as refused:
        read_artefact(folder)
    assert "\n" not in str(refused.value)
    assert not refused.value.retriable
    return str(refused.value)


def test_the_default_variant_ships() -> None:
    assert VARIANTS[0] in ALL
    assert set(ALL) <= {*VARIANTS, "baseline"}


@pytest.mark.parametrize("variant", ALL)
def test_a_shipped_artefact_matches_its_manifest(variant: str) -> None:
    artefact = read_artefact(SHIPPED / variant)
    found = hashlib.sha256(artefact.content).hexdigest()
    assert artefact.sha256 == found
    assert artefact.name == f"kmnist-{variant}-{found[:8]}"
    assert artefact.variant == variant
    assert artefact.made_by["data_md5"] == dataset.MD5


@pytest.mark.parametrize("variant", ALL)
def test_a_shipped_file_is_small_enough_for_a_repository(variant: str) -> None:
    assert max(file.stat().st_size for file in (SHIPPED / variant).iterdir()) < 4_000_000


def test_a_written_artefact_can_be_read(tmp_path: Path) -> None:
    written = write_artefact(
        tmp_path / "new", "model.tflite", b"x", variant="own", abstain_below=0.7, made_by={"a": 1}
    )
    assert read_artefact(tmp_path / "new") == written
    assert written.name == "kmnist-own-2d711642"


def test_the_error_for_a_damaged_file_shows_both_checksums(folder: Path) -> None:
    content = bytearray((folder / "model.tflite").read_bytes())
    content[1000] ^= 1
    (folder / "model.tflite").write_bytes(content)
    message = refusal(folder)
    assert str(folder / "model.tflite") in message
    assert hashlib.sha256(content).hexdigest() in message
    assert read_artefact(FAST).sha256 in message
    assert "copy both files again" in message


def test_the_error_for_a_truncated_file_shows_both_sizes(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"cut")
    size = (FAST / "model.tflite").stat().st_size
    assert f"has 3 bytes, its manifest says {size:,}" in refusal(folder)


def test_a_longer_file_is_not_read_to_its_end(folder: Path) -> None:
    size = (FAST / "model.tflite").stat().st_size
    with (folder / "model.tflite").open("r+b") as file:
        file.truncate(2**40)  # a sparse file, larger than the memory
    assert f"has more than the {size:,} bytes of its manifest" in refusal(folder)


@pytest.mark.parametrize("name", ["manifest.json", "model.tflite"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"cannot read {folder / name} (No such file or directory)" in refusal(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "\udcff", "[" * 100_000])
def test_an_invalid_manifest_is_named(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text, errors="surrogateescape")
    message = refusal(folder)
    assert str(folder / "manifest.json") in message
    assert "write the manifest again" in message


def test_a_huge_manifest_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b" " * 2_000_000)
    assert "not a manifest" in refusal(folder)


@pytest.mark.parametrize(
    "field", ["name", "variant", "file", "sha256", "size_bytes", "abstain_below", "made_by"]
)
def test_a_field_that_is_missing_or_has_another_type_is_named(folder: Path, field: str) -> None:
    change(folder, **{field: None})
    assert f"{field!r} must be" in refusal(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest[field]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert f"has no {field!r}" in refusal(folder)


@pytest.mark.parametrize(
    "fields",
    [
        {"file": "../model.tflite"},
        {"file": "/etc/hostname"},
        {"file": "."},
        {"size_bytes": LIMIT + 1},
        {"size_bytes": True},
        {"sha256": "E" * 64},
        {"abstain_below": 1.5},
        {"abstain_below": float("nan")},
        {"name": "two\nlines"},
    ],
    ids=str,
)
def test_a_field_with_an_invalid_value_is_refused(folder: Path, fields: Any) -> None:
    change(folder, **fields)
    assert f"{next(iter(fields))!r} must be" in refusal(folder)


def test_unknown_fields_of_a_manifest_are_ignored(folder: Path) -> None:
    change(folder, means=[0.1], other=1)
    assert read_artefact(folder) == read_artefact(FAST)


@pytest.mark.parametrize("environ", [{}, {"MODEL_VARIANT": ""}, {"MODEL_VARIANT": "fast"}])
def test_the_fast_network_is_served_by_default(environ: dict[str, str]) -> None:
    assert chosen_artefact(environ).variant == "fast"


@pytest.mark.parametrize("variant", [each for each in VARIANTS if each in ALL])
def test_a_shipped_variant_is_served_by_its_name(variant: str) -> None:
    assert chosen_artefact({"MODEL_VARIANT": variant}).variant == variant


def test_the_error_for_an_unknown_variant_lists_the_known_ones() -> None:
    with pytest.raises(ArtefactError, match="'slow': expected fast or accurate"):
        chosen_artefact({"MODEL_VARIANT": "slow"})


def test_a_model_uri_precedes_the_variant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(folder, name="kmnist-mine")
    monkeypatch.chdir(folder.parent)
    for uri in (str(folder), folder.name, folder.as_uri(), f"file://localhost{folder}"):
        chosen = chosen_artefact({"MODEL_URI": uri, "MODEL_VARIANT": "slow"})
        assert chosen.name == "kmnist-mine"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file://models/fast", "three slashes"),
        ("ftp://host/fast", "s3://bucket/prefix or gs://bucket/prefix"),
        ("s3://", "s3://bucket/prefix or gs://bucket/prefix"),
        ("https://host/fast", "s3://bucket/prefix or gs://bucket/prefix"),
        ("/no/such/folder", "cannot read /no/such/folder/manifest.json"),
    ],
)
def test_an_invalid_uri_is_refused(uri: str, message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        chosen_artefact({"MODEL_URI": uri})
