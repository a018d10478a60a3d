#!/usr/bin/env bash
# Builds the container image latchkey:VERSION, also named latchkey:latest, with podman, buildah or docker, whichever is
# there.
#
#   VERSION            of the program; default: what git describes
#   BUILDER            podman, buildah or docker
#   BUILDER_FLAGS      given to it before the command, such as "--root DIR"
#   BUILD_FLAGS        given to it after the command, such as "--isolation chroot"
#   SOURCE_DATE_EPOCH  the time of the image; default: that of the commit
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

go=${GO:-go}
version=${VERSION:-$(git describe --tags --always --dirty)}
stamp=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
builder=${BUILDER:-}
for candidate in podman buildah docker; do
    [[ -n $builder ]] || ! command -v "$candidate" >/dev/null || builder=$candidate
done
if [[ -z $builder ]]; then
    echo "building an image needs podman, buildah or docker; on Debian: apt-get install podman" >&2
    exit 3
fi

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
mkdir "$context/empty" "$context/bin"
ln -s latchkey "$context/bin/docker-credential-latchkey"
CGO_ENABLED=0 GOOS=linux $go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$context/bin/latchkey" ./cmd/latchkey
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    [[ ! -e $context/ca-certificates.crt && -e $bundle ]] && install -m 0644 "$bundle" "$context/ca-certificates.crt"
done
[[ -e $context/ca-certificates.crt ]] || { echo "no certificates of authorities were found on this machine" >&2; exit 1; }

# A health check is no part of the OCI's form of an image, only of Docker's.
form=(--format docker --timestamp "$stamp")
[[ ${builder##*/} == docker ]] && form=()
tag=${version#v}
# shellcheck disable=SC2086 # the flags are lists
"$builder" ${BUILDER_FLAGS:-} build ${BUILD_FLAGS:-} "${form[@]}" -t "latchkey:$tag" -t latchkey:latest -f packaging/Containerfile "$context"
