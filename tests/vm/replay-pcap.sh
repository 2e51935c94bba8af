#!/usr/bin/env bash
# replay-pcap.sh [-b uml|tcg] [-t SECONDS] [-v] JOBDIR
#
# Boots a kernel once and puts the packets of every JOBDIR/*.job through its IPVS, as fast as
# possible and one at a time, each job with an IPVS of its own; prints JSON lines.  The formats of
# job files and lines are in README.md.  Status 77: this machine cannot run it.
set -euo pipefail
usage() { sed -n 2p "$0" | cut -c3- >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd) backend=uml limit=600 verbose=''
while getopts b:t:v o; do case $o in
  b) backend=$OPTARG;; t) limit=$OPTARG;; v) verbose=-v;; *) usage;;
esac; done
shift $((OPTIND - 1))
[ $# = 1 ] || usage
compgen -G "$1/*.job" >/dev/null || { echo "replay-pcap.sh: no *.job in $1" >&2; exit 2; }
command -v gcc >/dev/null || { echo "replay-pcap.sh: missing: gcc; tests/vm/setup.sh installs it on Debian" >&2; exit 77; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cp -L "$1"/*.job "$1"/*.pcap "$here"/guest/*.sh "$work/"
gcc -O2 -static -o "$work/inject" "$here/src/inject.c"
"$here/run-vm.sh" -b "$backend" -t "$limit" -m 512 $verbose -d "$work" -- sh ./run-jobs.sh
