#!/usr/bin/env bash
# setup.sh - installs what run-vm.sh and replay-pcap.sh need on a Debian machine; run as root.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
packages=''
add() { command -v "$1" >/dev/null || packages="$packages $2"; }
add gcc gcc; add cpio cpio; add depmod kmod; add objdump binutils; add python3 python3
add qemu-system-x86_64 qemu-system-x86
[ -e /usr/include/stdio.h ] || packages="$packages libc6-dev"
[ -n "$packages" ] || { echo "setup.sh: nothing is missing"; exit 0; }
command -v apt-get >/dev/null || { echo "setup.sh: needs Debian's apt-get to install$packages" >&2; exit 77; }
[ "$(id -u)" = 0 ] || { echo "setup.sh: run as root to install$packages" >&2; exit 77; }
echo "setup.sh: installing$packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends $packages >/dev/null
