"""The images that others are built on, made of Debian's packages: no registry is asked for any.

Each stands for one that a registry has, and is made once for an engine: its tag has a digest of
what it is made by.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from tests.support.image_engine import build, docker, exists

FOLDER = Path(__file__).resolve().parents[1] / "image"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_SUITE = "bookworm"
_PACKAGES = (
    "ca-certificates",
    "libssl3",
    "libffi8",
    "libsqlite3-0",
    "libbz2-1.0",
    "liblzma5",
    "libexpat1",
    "libuuid1",
    "libreadline8",
    "libncursesw6",
    "zlib1g",
    "libgomp1",
    "libstdc++6",
)
_LEFT_OUT = (
    "site-packages/*",
    "bin/pip*",
    "*/test",
    "*/__pycache__",
    "*.a",
    "*/idlelib",
    "*/tkinter",
    "*/turtledemo",
)
_HOOKS = (
    'chroot "$1" ldconfig',
    'chroot "$1" /usr/local/bin/python3 -m ensurepip',
    'ln -sf python3 "$1"/usr/local/bin/python; ln -sf pip3 "$1"/usr/local/bin/pip',
    'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*',
    # What this machine trusts: a proxy's authority may be among it.
    f'cp {AUTHORITIES} "$1"{AUTHORITIES}',
)


def python_home(version: str) -> Path | None:
    """Where pyenv has a Python of a version (`3.8`), or None."""
    found = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*"))
    return found[-1] if found else None


def python_base(version: str) -> str:
    """The tag of an image that stands for `python:VERSION-slim-bookworm`."""
    home = python_home(version)
    assert home, f"pyenv has no Python {version}"
    tag = f"local/python:{version}-{_digest(home.name, *_PACKAGES, *_LEFT_OUT, *_HOOKS)}"
    if not exists(tag):
        _import(tag, home)
    return tag


def builder(version: str) -> str:
    """The tag of an image that stands for `seldonio/seldon-core-s2i-python38:1.17.1`."""
    base = python_base(version)
    folder = FOLDER / "builder"
    parts = sorted(path.read_text("utf-8") for path in folder.rglob("*") if path.is_file())
    tag = f"local/s2i-builder:{version}-{_digest(base, *parts)}"
    if not exists(tag):
        docker("build", "--network", "host", "--build-arg", f"BASE={base}", "-t", tag, folder)
    return tag


def served(version: str, source: Path, tag: str) -> None:
    """Builds the image that is served, by our Dockerfile, from a copy of the source."""
    build("Dockerfile", source, tag, PYTHON_IMAGE=python_base(version))


def _import(tag: str, home: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        python, root = Path(folder) / "python.tar", Path(folder) / "root.tar"
        left_out = [f"--exclude={each}" for each in _LEFT_OUT]
        subprocess.run(
            ["tar", "-C", home, *left_out, "-cf", python, "bin", "lib", "include"], check=True
        )
        hooks = [f"tar-in {python} /usr/local", *_HOOKS]
        quiet = ("doc", "man", "locale", "info")
        subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(_PACKAGES)}",
                *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in quiet),
                *(f"--customize-hook={each}" for each in hooks),
                _SUITE,
                root,
            ],
            check=True,
            timeout=600,
        )
        changes = (
            "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
            f"ENV LANG=C.UTF-8 PIP_CERT={AUTHORITIES}",
            'CMD ["python3"]',
        )
        docker("import", *(part for each in changes for part in ("--change", each)), root, tag)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
