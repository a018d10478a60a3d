#!/usr/bin/env bash
# Makes the Python environment with the real djangorestframework-simplejwt, for the end-to-end tests and for recording,
# and prints the folder with its programs. The versions are those of internal/dialect/simplejwt/testdata/requirements.txt.
# It lies in the cache, as the ones of pulp-venv.sh.
#
# Exit status: 0; 3 if Python or one of its modules is missing, with the reason on standard error; else 1.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# shellcheck source=scripts/python.sh
source "$here/python.sh"
readonly requirements=$here/../internal/dialect/simplejwt/testdata/requirements.txt

command -v flock >/dev/null || { echo "flock is missing; on Debian: apt-get install util-linux" >&2; exit "$missing"; }
python=$(find_python)
cache=$(test_cache)
key=$({
    "$python" -VV
    cat "$requirements"
} | sha256sum | cut -c1-16)
folder=$cache/simplejwt-$key

if [[ ! -e $folder/complete ]]; then
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    if [[ ! -e $folder/complete ]]; then
        echo "installing djangorestframework-simplejwt into $folder" >&2
        rm -rf "$folder"
        "$python" -m venv "$folder" >&2
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
            --requirement "$requirements" >&2
        "$folder/bin/python" -m pip check >&2
        touch "$folder/complete"
    fi
fi
printf '%s\n' "$folder/bin"
