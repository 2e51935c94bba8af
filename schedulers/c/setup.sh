#!/usr/bin/env bash
# setup.sh - installs the C compiler that builds wlc.c, on a Debian machine; run as root.
set -euo pipefail
command -v clang-19 >/dev/null && { echo "setup.sh: clang-19 is there"; exit 0; }
command -v apt-get >/dev/null || { echo "setup.sh: needs Debian's apt-get to install clang-19" >&2; exit 77; }
[ "$(id -u)" = 0 ] || { echo "setup.sh: run as root to install clang-19" >&2; exit 77; }
echo "setup.sh: installing clang-19"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends clang-19 >/dev/null
