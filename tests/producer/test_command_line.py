"""`python -m producer` without a broker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from producer.__main__ import main
from producer.sources import SourceError, best_source, file_source

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KAFKA_BROKER", raising=False)
    monkeypatch.setenv("KAFKA_CLUSTER_DIR", str(tmp_path / "no-cluster"))


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "producer", *arguments], cwd=ROOT, capture_output=True, check=False
    )


def test_without_a_broker_the_error_says_how_to_get_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--samples"]) == 2
    assert "KAFKA_BROKER" in capsys.readouterr().err


def test_standard_output_has_only_lines_with_messages() -> None:
    done = run("--samples", "--stdout", "--count", "3")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("ndarray" in json.loads(each)["data"] for each in lines)


def test_a_reader_that_closes_the_pipe_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "producer", "--samples", "--stdout", "--loop"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as endless:
        assert endless.stdout is not None
        assert endless.stderr is not None
        assert endless.stdout.readline().startswith(b'{"data"')
        endless.stdout.close()
        assert endless.stderr.read() == b""
    assert endless.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--stdout", "--format", "png"], "--format bindata"),
        (["--samples", "--split", "test"], "give only one source"),
        (["--samples", "--headers"], "--headers needs --stdout"),
    ],
)
def test_options_that_cannot_be_combined_are_a_usage_error_with_advice(
    arguments: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert advice in capsys.readouterr().err


def test_the_command_that_reads_the_lines_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_INPUT_TOPIC", "mine")
    assert main(["--print-command", "--key", "{n}"]) == 0
    assert capsys.readouterr().out == (
        "python -m kafka.cluster console-producer --topic mine --reader-property parse.key=true\n"
    )


def picture(path: Path, size: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size, size), 255, np.uint8)
    pixels[size // 4 : size // 2, size // 4 : size // 2] = 0
    Image.fromarray(pixels).save(path)
    return path


def test_folders_are_searched_for_pictures_and_bad_ones_are_reported(tmp_path: Path) -> None:
    picture(tmp_path / "b.png")
    picture(tmp_path / "deep" / "a.jpg")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("not a picture")
    source = file_source([tmp_path])
    assert source.images.shape == (2, 28, 28)
    assert source.truth is None
    (skipped,) = source.skipped
    assert "broken.png" in skipped


def test_the_error_for_a_missing_path_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        file_source([tmp_path / "nowhere"])


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing to send"):
        file_source([tmp_path])


def test_without_the_data_set_the_bundled_samples_are_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KMNIST_DATA", str(tmp_path))
    source = best_source()
    assert source.name == "bundled samples"
    assert source.truth is not None
    assert len(source.truth) == len(source.images) > 0
