#!/bin/bash
# Installs, runs, upgrades, removes and purges the package, on a copy of this machine's file system that is gone at the
# end. Run by TestDeb, as root, in a mount namespace of its own:
#
#   unshare --mount deb.sh FOLDER OLD.deb NEW.deb OLD-VERSION NEW-VERSION PORT
#
# FOLDER is empty. What is wrong ends it, with the line on standard error.
set -euo pipefail

if [[ ${1:-} != --inside ]]; then
    folder=$1
    mount -t tmpfs tmpfs "$folder" || exit 77
    mkdir "$folder"/{upper,work,root}
    mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root" || exit 77
    mount -t proc proc "$folder/root/proc" || exit 77
    mount --rbind /dev "$folder/root/dev" || exit 77
    mount -t tmpfs tmpfs "$folder/root/run"
    mount -t tmpfs tmpfs "$folder/root/tmp"
    cp "$0" "$folder/root/tmp/deb.sh"
    cp "$2" "$folder/root/tmp/old.deb"
    cp "$3" "$folder/root/tmp/new.deb"
    chroot "$folder/root" /bin/bash /tmp/deb.sh --inside "${@:4}"
    # What dpkg and the tools beside it write down about every package is no trace of ours.
    left=$(cd "$folder/upper" && find . -iname '*latchkey*' ! -path './tmp/*' ! -type c)
    [[ -z $left ]] || { echo "left after the purge: $left" >&2; exit 1; }
    exit
fi

old=$2 new=$3 listen=127.0.0.1:$4
config=/etc/latchkey/latchkey.yaml
trap 'echo "deb.sh: line $LINENO: $BASH_COMMAND" >&2' ERR
is() { [[ $1 == "$2" ]] || { echo "deb.sh: line ${BASH_LINENO[0]}: got $1, want $2" >&2; exit 1; }; }
on() { stat -c '%U:%G %a' "$1"; }

# serve starts the installed service as its unit does.
serve() {
    local line
    if [[ -e /etc/latchkey/first-start.env ]]; then
        while read -r line; do export "${line?}"; done </etc/latchkey/first-start.env
    fi
    LATCHKEY_LISTEN=$listen runuser -u latchkey -- /usr/bin/latchkey serve --config $config >/tmp/out 2>&1 &
    server=$!
    for _ in {1..300}; do
        if /usr/bin/latchkey health --ready --config $config --listen "$listen" 2>/dev/null; then return; fi
        kill -0 $server 2>/dev/null || break
        sleep 0.1
    done
    cat /tmp/out >&2
    exit 1
}
stop() {
    kill "$(pgrep -P $server)" 2>/dev/null || kill $server
    wait $server
}
status() { curl -s -o /dev/null -w '%{http_code}' "$@"; }

dpkg -i /tmp/old.deb
is "$(dpkg-query -W -f '${Status} ${Version}' latchkey)" "install ok installed $old"
is "$(on /etc/latchkey)" "root:latchkey 750"
[[ $(docker-credential-latchkey version) == "docker-credential-latchkey "* ]]
is "$(on $config)" "root:latchkey 640"
is "$(on /etc/latchkey/first-start.env)" "root:root 600"
is "$(on /var/lib/latchkey)" "latchkey:latchkey 700"
is "$(getent passwd latchkey | cut -d: -f6,7)" "/var/lib/latchkey:/usr/sbin/nologin"
dpkg --verify latchkey
latchkey config check $config
LC_ALL=C MANPATH=/usr/share/man man -w latchkey >/dev/null
bash -c 'source /usr/share/bash-completion/completions/latchkey'

serve
is "$(status "http://$listen/latchkey/healthz")" 200
made=$(curl -s -u "admin:$LATCHKEY_ADMIN_PASSWORD" --json '{"name":"first"}' "http://$listen/latchkey/api/v1/tokens")
[[ $made =~ \"token\":\"([^\"]+)\" ]] || { echo "no token came of it: $made" >&2; exit 1; }
token=${BASH_REMATCH[1]}
is "$(status -H "Authorization: Bearer $token" "http://$listen/latchkey/api/v1/whoami")" 200
! grep -qF "$LATCHKEY_ADMIN_PASSWORD" /tmp/out || { echo "the first password is in the journal" >&2; exit 1; }
is "$(on /var/lib/latchkey/latchkey.db)" "latchkey:latchkey 600"

# As docs/operations.md says: a backup by root while it runs, and a restore by root that the service can use.
latchkey backup --config $config /root/x.backup
is "$(on /root/x.backup)" "root:root 600"
! latchkey restore --config $config --replace --end-tokens /root/x.backup 2>/dev/null || exit 1
stop
is "$(find /var/lib/latchkey ! -user latchkey)" ""
rm /var/lib/latchkey/latchkey.db
latchkey restore --config $config --accept-revived /root/x.backup
is "$(find /var/lib/latchkey ! -user latchkey)" ""
rm /etc/latchkey/first-start.env
serve
is "$(status -H "Authorization: Bearer $token" "http://$listen/latchkey/api/v1/whoami")" 200
stop

# An upgrade keeps what the administrator has changed and taken away.
echo '# mine' >>$config
dpkg -i /tmp/new.deb
is "$(dpkg-query -W -f '${Version}' latchkey)" "$new"
is "$(tail -n 1 $config)" "# mine"
is "$(on $config)" "root:latchkey 640"
[[ ! -e /etc/latchkey/first-start.env ]]
serve
is "$(status -H "Authorization: Bearer $token" "http://$listen/latchkey/api/v1/whoami")" 200
stop

# A removal keeps the data, a purge nothing.
dpkg -r latchkey
[[ ! -e /usr/bin/latchkey && -e /var/lib/latchkey/latchkey.db && -e $config ]]
is "$(getent passwd latchkey | cut -d: -f1)" latchkey
dpkg -P latchkey
[[ ! -e /var/lib/latchkey && ! -e /etc/latchkey ]]
is "$(getent passwd latchkey || true)" ""
is "$(getent group latchkey || true)" ""
rm /root/x.backup
