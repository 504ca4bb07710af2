"""Makes the environments that `make` needs, from nothing but a Python and pip.

`python install.py .venv requirements-dev.txt` makes the folder `.venv` and installs what the
file names, once: a second run sees that nothing changed.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import List, Tuple

OLDEST, NEWEST = (3, 10), (3, 12)
OLDEST_OF_ALL = (3, 8)
STAMP = "installed.sha256"
# Lines that pip prints for each package that a file names, those that it brings along counted
# in. Only the pace of the bar depends on it.
LINES_A_PACKAGE = 12
BAR_WIDTH = 30


class Trouble(Exception):
    """Something that the user can mend; the message says how."""


def check_version(oldest: Tuple[int, int]) -> None:
    """Refuses a Python that is too old or too new.

    Raises:
        Trouble: it is.
    """
    found = sys.version_info[:2]
    if oldest <= found <= NEWEST:
        return
    word = "old" if found < oldest else "new"
    raise Trouble(
        f"Python {found[0]}.{found[1]} is too {word}: 3.10, 3.11 or 3.12 is needed. "
        "Name one that you have: make PYTHON=python3.11"
    )


def with_included(requirements: Path) -> List[Path]:
    """The requirement file and those that it includes with `-r`."""
    files = [requirements]
    for line in requirements.read_text("utf-8").splitlines():
        if line.startswith("-r "):
            files += with_included(requirements.parent / line[3:].strip())
    return files


def make_environment(folder: Path, requirements: Path) -> None:
    """Makes or completes the environment in `folder`.

    Raises:
        Trouble: it can't be made, or pip fails.
    """
    contents = [path.read_bytes() for path in with_included(requirements)]
    wanted = hashlib.sha256(b"".join([sys.version.encode("utf-8"), *contents])).hexdigest()
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    command = [sys.executable, "-m", "venv", "--clear", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Trouble(
            f"can't make a virtual environment with {sys.executable}; on Debian and Ubuntu: "
            "apt install python3-venv"
        )
    named = sum(line[:1].isalpha() for content in contents for line in content.decode().split("\n"))
    install(folder, requirements, named * LINES_A_PACKAGE)
    stamp.write_text(wanted, "utf-8")


def install(folder: Path, requirements: Path, expected_lines: int) -> None:
    """Runs pip behind a progress bar.

    Raises:
        Trouble: pip fails; the message has its last words.
    """
    started = time.monotonic()
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(requirements)]
    said: List[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as pip:
        assert pip.stdout is not None
        try:
            for raw in pip.stdout:
                said.append(raw.decode("utf-8", "replace").strip())
                show(folder, min(0.99, len(said) / expected_lines), said[-1])
        except KeyboardInterrupt:
            pip.terminate()
            raise
    if pip.returncode:
        errors = [line for line in said if line.startswith("ERROR")] or said
        raise Trouble(
            f"pip could not install what {folder} needs:\n  "
            + "\n  ".join(
                line if len(line) < 200 else f"{line[:90]} … {line[-90:]}" for line in errors[-3:]
            )
            + "\n"
            "If that is the network or a proxy, mend it and run the same command again."
        )
    show(folder, 1.0, "")
    sys.stderr.write(f"\ninstalled {folder} in {time.monotonic() - started:.0f} s\n")


def show(folder: Path, share: float, doing: str) -> None:
    """Draws the bar, if somebody looks."""
    if sys.stderr.isatty():
        bar = ("━" * int(share * BAR_WIDTH)).ljust(BAR_WIDTH)
        sys.stderr.write(f"\r\x1b[Kinstalling {folder!s:<11} {bar} {share:4.0%} {doing:.36}")
        sys.stderr.flush()


def main() -> int:
    """Returns the exit status: 0 done, 1 trouble, 2 wrong Python, 130 Ctrl-C."""
    parser = argparse.ArgumentParser(description="Makes a virtual environment.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--any-python", action="store_true", help="take also Python 3.8 and 3.9")
    options = parser.parse_args()
    try:
        check_version(OLDEST_OF_ALL if options.any_python else OLDEST)
    except Trouble as trouble:
        sys.stderr.write(f"error: {trouble}\n")
        return 2
    try:
        make_environment(options.folder, options.requirements)
    except Trouble as trouble:
        sys.stderr.write(f"\nerror: {trouble}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the next run starts this step again\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
