#!/usr/bin/env bash
# Builds the Debian package: dist/latchkey_VERSION_ARCH.deb, with nothing but Go and dpkg-deb. The last line that it
# prints is the package's path.
#
#   VERSION            of the program; default: what git describes
#   COMPRESSION        xz, or gzip, which is quicker; default: xz
#   GOARCH             for another architecture than this machine's
#   SOURCE_DATE_EPOCH  the time of all files in it; default: that of the commit. The same source, Go and dpkg-deb give
#                      the same package, bit for bit.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

go=${GO:-go}
version=${VERSION:-$(git describe --tags --always --dirty)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

# debian_version turns what git describes into a version that sorts as it should: v1.2.0-rc.1 before v1.2.0, and that
# before the commits after it. Without a tag, it is the day and the commit.
debian_version() {
    local clean=${1%-dirty} dirty=
    [[ $clean == "$1" ]] || dirty=+dirty
    if [[ $clean =~ ^v([0-9]+\.[0-9]+\.[0-9]+)(-([A-Za-z][0-9A-Za-z.]*))?(-([0-9]+)-g([0-9a-f]+))?$ ]]; then
        local m=("${BASH_REMATCH[@]}")
        echo "${m[1]}${m[3]:+~${m[3]}}${m[5]:++${m[5]}.g${m[6]}}$dirty"
    else
        echo "0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d.%H%M%S).${clean//[^0-9A-Za-z.]/.}$dirty"
    fi
}

goarch=$($go env GOARCH)
case $goarch in
amd64 | arm64 | riscv64 | s390x) arch=$goarch ;;
386) arch=i386 ;;
arm) arch=armhf ;;
ppc64le) arch=ppc64el ;;
*)
    echo "no Debian architecture is known for GOARCH=$goarch" >&2
    exit 1
    ;;
esac

deb_version=$(debian_version "$version")
if [[ ${1:-} == --version ]]; then
    echo "$deb_version"
    exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{DEBIAN,etc/latchkey,lib/systemd/system,usr/bin,usr/share/{man/man1,doc/latchkey,bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}}

CGO_ENABLED=0 $go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$root/usr/bin/latchkey" ./cmd/latchkey
ln -s latchkey "$root/usr/bin/docker-credential-latchkey"
# The manual and the completions come out of a program that runs here.
tool=$root/usr/bin/latchkey
if [[ $goarch != "$($go env GOHOSTARCH)" ]]; then
    tool=$work/latchkey
    GOARCH=$($go env GOHOSTARCH) CGO_ENABLED=0 $go build -trimpath -o "$tool" ./cmd/latchkey
fi
"$tool" man | gzip -9n >"$root/usr/share/man/man1/latchkey.1.gz"
"$tool" completion bash >"$root/usr/share/bash-completion/completions/latchkey"
"$tool" completion zsh >"$root/usr/share/zsh/vendor-completions/_latchkey"
"$tool" completion fish >"$root/usr/share/fish/vendor_completions.d/latchkey.fish"

install -m 0644 packaging/latchkey.service "$root/lib/systemd/system/"
install -m 0640 packaging/latchkey.yaml "$root/etc/latchkey/"
install -m 0644 packaging/debian/copyright docs/*.md "$root/usr/share/doc/latchkey/"
gzip -9n <CHANGELOG.md >"$root/usr/share/doc/latchkey/changelog.gz"
install -m 0755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
install -m 0644 packaging/debian/conffiles "$root/DEBIAN/"
sed -e "s/@VERSION@/$deb_version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$(du -sk --apparent-size "$root" | cut -f1)/" \
    packaging/debian/control.in >"$root/DEBIAN/control"
(cd "$root" && find etc lib usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -depth -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p dist
package=dist/latchkey_${deb_version}_${arch}.deb
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$root" "$package" >&2
echo "$package"
