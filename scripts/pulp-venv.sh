#!/usr/bin/env bash
# Makes the two Python environments that the end-to-end tests need, a real Pulp and the real `pulp` client, and prints
# the folder that holds them:
#
#   <folder>/pulp/bin/pulpcore-manager   and the rest of Pulp
#   <folder>/cli/bin/pulp                the client
#
# The versions are those of pulp-requirements.txt and pulp-cli-requirements.txt beside this script. The folder lies in
# the cache (LATCHKEY_TEST_CACHE, or latchkey-test in the user's cache folder) and has a name of its own for every set
# of versions, so a changed list never breaks tests that are running, and nothing is installed twice. Folders of older
# versions are not removed; the whole cache may be deleted whenever no test runs.
#
# Exit status: 0; 3 if Python or one of its modules is missing, with the reason on standard error; else 1.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# shellcheck source=scripts/python.sh
source "$here/python.sh"

# make_environment NAME REQUIREMENTS installs a complete list, so pip has nothing to choose; `pip check` then confirms
# that the list is complete.
make_environment() {
    local environment=$folder/$1 requirements=$here/$2
    "$python" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
        --requirement "$requirements"
    "$environment/bin/python" -m pip check
}

for program in flock git; do # Pulp wants git as soon as it is imported
    if ! command -v "$program" >/dev/null; then
        echo "$program is missing; on Debian: apt-get install git util-linux" >&2
        exit "$missing"
    fi
done
python=$(find_python)
cache=$(test_cache)
key=$({
    "$python" -VV # an environment does not survive an upgrade of its Python
    cat "$here/pulp-requirements.txt" "$here/pulp-cli-requirements.txt"
} | sha256sum | cut -c1-16)
folder=$cache/pulp-$key

if [[ ! -e $folder/complete ]]; then
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    if [[ ! -e $folder/complete ]]; then # nobody else has made it meanwhile
        echo "installing Pulp and its client into $folder" >&2
        rm -rf "$folder"
        make_environment pulp pulp-requirements.txt >&2
        make_environment cli pulp-cli-requirements.txt >&2
        touch "$folder/complete"
    fi
fi
printf '%s\n' "$folder"
