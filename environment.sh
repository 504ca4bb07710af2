#!/bin/sh
# environment.sh FOLDER PYTHON LOCK [LARGER_LOCK]...
#
# Makes the virtual environment FOLDER of what LOCK names, with this repository's package from its folder
# where LOCK has what builds it. Does nothing if that is there already, or what a larger lock names.
#
# environment.sh --uv PYTHON
#
# Prints the path of the uv that does it.
#
# uv installs in a tenth of pip's time; where uv can't be had, or can't reach what pip reaches, pip does.
set -eu
root=$(cd "$(dirname "$0")" && pwd)
uv_version=0.13.9
# Beside the environments, and once for all of them.
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

contents() { { "$python" -VV; cat "$1" "$root/pyproject.toml"; } | cksum; }

# Two at once would make one folder.
if command -v flock >/dev/null; then
    exec 9>"$folder.lock"
    flock 9
fi
installed=$(cat "$stamp" 2>/dev/null || true)
for each; do
    if [ "$installed" = "$each $(contents "$each")" ]; then exit 0; fi
    # One that has become old is renewed, and does not shrink.
    if [ "${installed%% *}" = "$each" ]; then lock=$each; fi
done

began=$(date +%s)
ticker=
tick() {
    printf 'installing %s from %s ' "$folder" "$lock" >&2
    if [ -t 2 ]; then
        while sleep 1; do printf . >&2; done &
        ticker=$!
    fi
}
quiet() { if [ -n "$ticker" ]; then kill "$ticker" 2>/dev/null || true; ticker=; fi; }
stopped() {
    quiet
    say
    say "stopped; the next run goes on with this step"
    exit 130
}
failed() {
    quiet
    say
    say "error: $*"
    exit 1
}
trap stopped INT TERM
trap quiet EXIT

tick
rm -f "$stamp"
# An interrupted `venv` leaves a Python whose pip is incomplete.
if [ ! -e "$folder/created" ] || [ "$("$folder/bin/python" -VV 2>/dev/null)" != "$("$python" -VV)" ]; then
    "$python" -m venv --clear "$folder" >/dev/null ||
        failed "can't make a virtual environment with $python; on Debian and Ubuntu: apt install python3-venv"
    : >"$folder/created"
fi
pip="$folder/bin/python -m pip --disable-pip-version-check"
get_uv "$folder/bin/python"
if [ ! -x "$uv" ] || ! "$uv" pip sync --quiet --python "$folder/bin/python" --require-hashes "$lock"; then
    say "uv can't do it here; pip takes some minutes instead"
    $pip install --quiet --no-input --no-deps --require-hashes -r "$lock" ||
        failed "what $folder needs can't be installed. If that is the network or a proxy, mend it and run" \
            "the same command again."
fi
if grep -q '^editables==' "$lock"; then
    $pip install --quiet --no-input --no-deps --no-build-isolation --editable "$root" ||
        failed "the package can't be installed from $root"
fi
printf '%s %s\n' "$lock" "$(contents "$lock")" >"$stamp"
quiet
say "in $(($(date +%s) - began)) s"
