#!/usr/bin/env bash
# The Autobahn WebSocket fuzzing client (sections 1-7, 9 and 10; no compression) against an echo server.
#
#   tests/autobahn/run.sh ws://127.0.0.1:9001 report             all 301 cases
#   tests/autobahn/run.sh ws://127.0.0.1:9001 report '-9.*'      all but these; without `-`: only these
#
# Exit status: 0 none failed, 1 some failed, 2 no verdict. The suite is Python 2; it is taken from PyPI and converted, once,
# into $AUTOBAHN_WORK (default: work/ beside this file). $PYTHON (default: python3) is 3.10 or later and has venv.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=${AUTOBAHN_WORK:-$here/work}
if [[ $# -lt 2 ]]; then
    sed -n '2,/^set/{/^#/p}' "${BASH_SOURCE[0]}" >&2
    exit 2
fi

is_ready() {
    [[ -e $work/ready && ! $here/convert.py -nt $work/ready && ! $here/glue.py -nt $work/ready && ! $here/run.sh -nt $work/ready ]]
}

set_up() {
    rm -rf "$work"/* &&
        "${PYTHON:-python3}" -m venv "$work/venv" &&
        "$work/venv/bin/pip" install -q Twisted==26.10.0 txaio==26.6.1 six==1.17.0 autobahn==0.10.9 fissix==24.4.24 &&
        "$work/venv/bin/pip" download -q --no-deps --no-binary autobahntestsuite -d "$work" autobahntestsuite==25.10.1 &&
        "$work/venv/bin/python" "$here/convert.py" "$work"/autobahntestsuite-*.tar.gz "$work/suite" &&
        touch "$work/ready"
}

mkdir -p "$work"
(
    # Runs that begin together: one sets it up.
    flock 9
    is_ready || set_up
) 9>"$work.lock" >&2 || exit 2
PYTHONPATH=$work/suite PYTHONUTF8=1 exec "$work/venv/bin/python" "$here/client.py" "$@"
