#!/bin/sh
# environment.sh FOLDER PYTHON LOCK [LARGER_LOCK]...
#
# Creates the virtual environment FOLDER with the packages of LOCK, a requirements file. If LOCK has
# `editables`, this repository's package is installed too, in editable mode. Does nothing if FOLDER is
# up to date with LOCK or with a LARGER_LOCK, which must have all packages of LOCK.
#
# environment.sh --uv PYTHON
#
# Installs uv for PYTHON if necessary, and prints the path of uv.
#
# uv installs packages in a tenth of pip's time. If uv cannot be installed, or fails, pip installs them.
set -eu
root=$(cd "$(dirname "$0")" && pwd)
uv_version=0.13.9
# All environments share this copy of uv.
tools=$root/.cache/uv-$uv_version
uv=$tools/bin/uv

say() { printf '%s\n' "$*" >&2; }

get_uv() {
    if [ -x "$uv" ]; then return; fi
    mkdir -p "$root/.cache"
    "$1" -m pip install --disable-pip-version-check --quiet --no-input --target "$tools" \
        "uv==$uv_version" >/dev/null 2>&1 || rm -rf "$tools"
}

if [ "$1" = --uv ]; then
    get_uv "$2"
    if [ ! -x "$uv" ]; then
        say "error: uv $uv_version can't be installed with pip"
        exit 1
    fi
    printf '%s\n' "$uv"
    exit 0
fi

folder=$1 python=$2 lock=$3
shift 2
stamp=$folder/installed

# Prints a checksum of the inputs of an environment: the Python version, a lock and pyproject.toml.
checksum() { { "$python" -VV; cat "$1" "$root/pyproject.toml"; } | cksum; }

# Only one process at a time may change the folder.
if command -v flock >/dev/null; then
    exec 9>"$folder.lock"
    flock 9
fi
installed=$(cat "$stamp" 2>/dev/null || true)
for each; do
    if [ "$installed" = "$each $(checksum "$each")" ]; then exit 0; fi
    # An outdated environment is renewed from the lock that it has, and so keeps all its packages.
    if [ "${installed%% *}" = "$each" ]; then lock=$each; fi
done

began=$(date +%s)
dots=
start_progress() {
    printf 'installing %s from %s ' "$folder" "$lock" >&2
    if [ -t 2 ]; then
        while sleep 1; do printf . >&2; done &
        dots=$!
    fi
}
stop_progress() { if [ -n "$dots" ]; then kill "$dots" 2>/dev/null || true; dots=; fi; }
stopped() {
    stop_progress
    say
    say "stopped; run the same command again to continue"
    exit 130
}
failed() {
    stop_progress
    say
    say "error: $*"
    exit 1
}
trap stopped INT TERM
trap stop_progress EXIT

start_progress
rm -f "$stamp"
# An interrupted `venv` leaves a Python whose pip is incomplete.
if [ ! -e "$folder/created" ] || [ "$("$folder/bin/python" -VV 2>/dev/null)" != "$("$python" -VV)" ]; then
    "$python" -m venv --clear "$folder" >/dev/null ||
        failed "can't create a virtual environment with $python; on Debian and Ubuntu: apt install python3-venv"
    : >"$folder/created"
fi
pip="$folder/bin/python -m pip --disable-pip-version-check"
get_uv "$folder/bin/python"
if [ ! -x "$uv" ] || ! "$uv" pip sync --quiet --python "$folder/bin/python" --require-hashes "$lock"; then
    say "uv can't install the packages; pip tries now, which takes some minutes"
    $pip install --quiet --no-input --no-deps --require-hashes -r "$lock" ||
        failed "the packages of $lock can't be installed. Check the network and the proxy, and run the same" \
            "command again."
fi
if grep -q '^editables==' "$lock"; then
    $pip install --quiet --no-input --no-deps --no-build-isolation --editable "$root" ||
        failed "the package can't be installed from $root"
fi
printf '%s %s\n' "$lock" "$(checksum "$lock")" >"$stamp"
stop_progress
say "in $(($(date +%s) - began)) s"
