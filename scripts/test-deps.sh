#!/usr/bin/env bash
# Sees to the programs that the tests need and that Go does not bring along. As root on Debian it installs what is
# missing, and only that, without starting any service; otherwise it says what is missing and which tests are left out
# because of it.
#
# With CI=true nothing may be left out: the exit status is 1 if something is still missing at the end. Else it is 0.
set -euo pipefail

# One line for each package: its name, a command that succeeds when it is there, and what is left out without it.
readonly dependencies='
postgresql       | have_postgresql                  | all tests on PostgreSQL, and those with a real Pulp
python3-venv     | /usr/bin/python3 -c "import ensurepip" | all tests with a real Pulp or its client
git              | command -v git                   | all tests with a real Pulp, which wants it at its start
ca-certificates  | test -e /etc/ssl/certs/ca-certificates.crt | installing Pulp and its client
gcc              | command -v gcc                   | the race detector
libc6-dev        | test -e /usr/include/stdlib.h    | the race detector
curl             | curl --json x --version          | the tests with real clients
nginx-light      | PATH=$PATH:/usr/sbin command -v nginx   | the tests behind nginx
caddy            | command -v caddy                 | the tests behind Caddy
haproxy          | PATH=$PATH:/usr/sbin command -v haproxy | the tests behind HAProxy
skopeo           | command -v skopeo                | the tests with clients of container registries
podman           | command -v podman                | the tests with clients of container registries
buildah          | command -v buildah               | the test of the container image
docker-registry  | command -v docker-registry       | the tests with a registry of the second generation
skopeo           | command -v skopeo                | the tests with real registries
podman           | command -v podman                | the tests with real registries
containerd       | command -v containerd            | the tests with real registries that pull as Kubernetes does
docker.io        | command -v dockerd               | the tests with real registries that pull as Docker does
systemd          | command -v systemd-analyze       | the test of the unit of the service
man-db           | command -v man                   | the test of the Debian package
'

have_postgresql() {
    command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb'
}

# each_missing prints "package|what is left out" for what is not there.
each_missing() {
    local package probe without
    while IFS='|' read -r package probe without; do
        package=${package// /}
        [[ -n $package ]] || continue
        eval "$probe" >/dev/null 2>&1 || printf '%s|%s\n' "$package" "${without# }"
    done <<<"$dependencies"
}

# install PACKAGE... runs apt-get so that no package starts a service: policy-rc.d is how Debian lets an administrator
# forbid that, and the other file keeps postgresql from making a cluster, which the tests do themselves.
install() {
    local policy=/usr/sbin/policy-rc.d no_cluster=/etc/postgresql-common/createcluster.d/latchkey-test.conf
    undo=()
    trap '(( ${#undo[@]} == 0 )) || rm -f "${undo[@]}"' EXIT
    if [[ ! -e $policy ]]; then
        undo+=("$policy")
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    mkdir -p "${no_cluster%/*}"
    undo+=("$no_cluster")
    echo 'create_main_cluster = false' >"$no_cluster"

    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends "$@"
}

missing=$(each_missing)
if [[ -n $missing && $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    mapfile -t packages < <(cut -d'|' -f1 <<<"$missing")
    echo "installing ${packages[*]}" >&2
    install "${packages[@]}" >&2 || echo "apt-get failed" >&2
    missing=$(each_missing)
fi
if [[ -z $missing ]]; then
    echo "all that the tests need is installed" >&2
    exit 0
fi
while IFS='|' read -r package without; do
    echo "missing: $package; left out: $without" >&2
done <<<"$missing"
echo "as root on Debian: apt-get install $(cut -d'|' -f1 <<<"$missing" | tr '\n' ' ')" >&2
[[ ${CI:-} != true ]]
