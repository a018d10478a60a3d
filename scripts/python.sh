# What the scripts share that install Python packages; to be sourced. It sets missing, the exit status for a program
# that is not there.
readonly missing=3

# find_python prints a Python that can make environments. Debian's own comes first: what PATH offers may be a
# developer's choice for something else.
find_python() {
    local candidate
    for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
        if [[ -x $candidate ]] &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "no Python >= 3.11 with venv and ensurepip; on Debian: apt-get install python3-venv" >&2
    return "$missing"
}

# test_cache prints the folder of what is kept between runs of the tests.
test_cache() {
    printf '%s\n' "${LATCHKEY_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set, nor is LATCHKEY_TEST_CACHE}/.cache}/latchkey-test}"
}
