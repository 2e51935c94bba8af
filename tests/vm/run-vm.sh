#!/usr/bin/env bash
# run-vm.sh - runs a command in a throw-away virtual machine whose kernel has IPVS.
#
#   run-vm.sh [-b uml|tcg] [-t SECONDS] [-m MB] [-d DIR] [-v] [--] COMMAND [ARG...]
#
#   -b  uml (default): user-mode Linux, kernel 6.1.176, profile "classic"
#       tcg: stock cloud kernel under qemu's software emulation, 6.1.192 or later, profile "current"
#   -t  limit for the whole run (default 120); status 124 when it is hit
#   -m  memory; the default suits small jobs
#   -d  directory whose contents appear as /job, the command's working directory
#   -v  show the guest's console and the times on stderr
#
# The command's output and exit status become this script's.  Status 77: this machine cannot run it,
# with one line that says why.  Nothing is installed: every file of the guest comes out of Debian
# packages fetched with `apt-get download` into ${IPVS_VM_CACHE:-${XDG_CACHE_HOME:-~/.cache}/equipoise-vm}.
# The guest has dash, busybox, ipvsadm, ip, iptables (legacy), glibc, and all of IPVS's modules.
set -euo pipefail
{   # one compound command: the file may change while this runs
PATH=$PATH:/usr/sbin:/sbin
backend=uml limit=120 mem='' dir='' verbose=0
usage() { sed -n 2,12p "$0" | cut -c3- >&2; exit 2; }
while getopts b:t:m:d:v o; do case $o in
  b) backend=$OPTARG;; t) limit=$OPTARG;; m) mem=$OPTARG;; d) dir=$OPTARG;; v) verbose=1;; *) usage;;
esac; done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage

log() { [ $verbose = 0 ] || echo "run-vm: $*" >&2; }
cannot() { echo "run-vm.sh: $*" >&2; exit 77; }

tools="apt-get dpkg-deb cpio depmod modprobe objdump tar flock"
case $backend in
  uml) tools="$tools gcc";;
  tcg) tools="$tools qemu-system-x86_64";;
  *) echo "run-vm.sh: unknown backend $backend: uml or tcg" >&2; exit 2;;
esac
missing=''
for t in $tools; do command -v "$t" >/dev/null || missing="$missing $t"; done
[ -z "$missing" ] || cannot "missing:$missing; tests/vm/setup.sh installs them on Debian"
[ "$(uname -m)" = x86_64 ] || cannot "needs an x86-64 machine"

here=$(cd "$(dirname "$0")" && pwd)
cache=${IPVS_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/equipoise-vm}
mkdir -p "$cache"; cache=$(cd "$cache" && pwd)
exec 9>"$cache/.lock"; flock 9

programs="busybox-static dash ipvsadm iproute2 iptables libip4tc2 libip6tc2 libnl-3-200 libnl-genl-3-200 libpopt0
 libc6 libgcc-s1 libbpf1 libelf1 libmnl0 libbsd0 libmd0 libcap2 zlib1g libxtables12 libnftnl11 libtinfo6"
modules="ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_fo ip_vs_ovf ip_vs_lblc ip_vs_lblcr ip_vs_dh ip_vs_sh
 ip_vs_mh ip_vs_sed ip_vs_nq xt_mark xt_tcpudp xt_multiport iptable_mangle ip6table_mangle tun ipv6
 libcrc32c crc32c_generic"
[ $backend = uml ] || modules="$modules virtio_pci virtio_blk"

fetch() { # fetch PACKAGE...: into $cache/debs unless there
  local p want=()
  mkdir -p "$cache/debs"
  for p; do compgen -G "$cache/debs/${p}_*.deb" >/dev/null || want+=("$p"); done
  [ ${#want[@]} = 0 ] && return 0
  log "apt-get download ${want[*]}"
  (cd "$cache/debs" && apt-get -qq -o APT::Sandbox::User=root download "${want[@]}" >&2) ||
    cannot "cannot download ${want[*]}: a network and Debian's package lists (apt-get update) are needed"
}
deb() { local f=("$cache"/debs/"$1"_*.deb); echo "${f[0]}"; }

# ---- programs: one directory, rebuilt when this script changes
user="$cache/user-$(sha256sum < "$here/run-vm.sh" | cut -c1-12)"
if [ ! -e "$user/.ok" ]; then
  fetch $programs
  x="$cache/x"
  rm -rf "$cache"/user-* "$cache"/kernel-* "$x"
  mkdir -p "$user"/{bin,sbin,lib,lib64,proc,sys,dev,tmp,run,etc,out,job,usr/lib/x86_64-linux-gnu} "$x"
  for p in $programs; do dpkg-deb -x "$(deb "$p")" "$x"; done
  cp -L "$x/bin/busybox" "$user/bin/"
  cp -L "$x/bin/dash" "$user/bin/sh"   # busybox's own shell would shadow ip with its applet
  for b in ipvsadm ip xtables-legacy-multi; do
    f=$(find "$x" -type f -name "$b" -path '*bin/*' | head -1)
    [ -n "$f" ] || cannot "none of the packages has $b"
    cp "$f" "$user/sbin/"
  done
  for b in iptables ip6tables; do ln -s xtables-legacy-multi "$user/sbin/$b"; done
  cp -a "$x/usr/lib/x86_64-linux-gnu/xtables" "$user/usr/lib/x86_64-linux-gnu/"
  cp -L "$(find "$x" -name ld-linux-x86-64.so.2 | head -1)" "$user/lib64/"
  todo=("$user"/sbin/* "$user/bin/sh")
  while [ ${#todo[@]} -gt 0 ]; do   # shared libraries: all that is needed, and needed by those
    next=()
    for s in $(objdump -p "${todo[@]}" 2>/dev/null | awk '$1 == "NEEDED" { print $2 }' | sort -u); do
      if [ -e "$user/lib/$s" ] || [ "$s" = ld-linux-x86-64.so.2 ]; then continue; fi
      f=$(find "$x" -name "$s" | head -1)
      [ -n "$f" ] || { log "note: none of the packages has $s"; continue; }
      cp -L "$f" "$user/lib/$s"; next+=("$user/lib/$s")
    done
    todo=(${next[@]+"${next[@]}"})
  done
  rm -rf "$x"
  cat > "$user/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/sbin:/bin HOME=/ LD_LIBRARY_PATH=/lib
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/net; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
for m in $(cat /etc/modules.load); do modprobe -q $m 2>/dev/null; done
ip link set lo up
read up _ < /proc/uptime; echo "$up" > /out/ready
cd /job
timeout -k 2 $(cat /etc/limit) /bin/sh /etc/command >/out/stdout 2>/out/stderr </dev/null; rc=$?
[ $rc = 143 ] && rc=124; echo $rc > /out/rc
cd /
for d in /dev/vda /dev/ubda; do
  [ -b $d ] && { tar -cf $d -C /out . && sync; break; }
done
poweroff -f
INIT
  chmod +x "$user/init"; echo 'root:x:0:0::/:/bin/sh' > "$user/etc/passwd"; touch "$user/.ok"
fi

# ---- kernel and modules
if [ $backend = uml ]; then package=user-mode-linux
else
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '$1 == "Depends:" { print $2; exit }')
  [ -n "$package" ] || cannot "apt knows no linux-image-cloud-amd64: run apt-get update"
fi
fetch "$package"
kernel="$cache/kernel-$( { deb "$package"; echo "$user"; cat "$here/src/uml-xstate-shim.c"; } | sha256sum | cut -c1-12)"
if [ ! -e "$kernel/.ok" ]; then
  log "preparing $(basename "$(deb "$package")")"
  x="$cache/x"
  rm -rf "$kernel" "$x"; mkdir -p "$kernel/root/lib/modules" "$kernel/root/etc" "$x/lib/modules"
  dpkg-deb -x "$(deb "$package")" "$x"
  if [ $backend = uml ]; then
    cp "$x/usr/bin/linux.uml" "$kernel/linux"
    mv "$x"/usr/lib/uml/modules/* "$x/lib/modules/"
    gcc -O2 -shared -fPIC -o "$kernel/shim.so" "$here/src/uml-xstate-shim.c"
  else
    cp "$x"/boot/vmlinuz-* "$kernel/vmlinuz"
  fi
  version=$(ls "$x/lib/modules"); echo "$version" > "$kernel/version"
  depmod -b "$x" "$version"
  for m in $modules; do modprobe -d "$x" -S "$version" --show-depends "$m" 2>/dev/null || log "no module $m"; done |
    awk '$1 == "insmod" { print $2 }' | sed 's|.*/lib/modules/|lib/modules/|' | sort -u |
    (cd "$x" && cpio -pdm --quiet "$kernel/root")
  cp "$x/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$kernel/root/lib/modules/$version/" 2>/dev/null || true
  depmod -b "$kernel/root" "$version"
  echo $modules > "$kernel/root/etc/modules.load"
  for r in "$user" "$kernel/root"; do
    (cd "$r" && find . ! -name .ok | cpio -o -H newc --quiet -R 0:0)
  done > "$kernel/initrd"
  rm -rf "$x"; touch "$kernel/.ok"
fi
flock -u 9; exec 9>&-

# ---- this run
run=$(mktemp -d "${TMPDIR:-/tmp}/equipoise-vm.XXXXXX"); pid=''
cleanup() { [ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$run"; }
trap cleanup EXIT; trap 'exit 130' INT TERM
mkdir -p "$run/in/etc" "$run/in/job" "$run/out"
printf '%q ' "$@" > "$run/in/etc/command"
inner=$((limit * 9 / 10 - 6)); echo $((inner > 2 ? inner : 2)) > "$run/in/etc/limit"   # so that a slow command's output still comes out
[ -z "$dir" ] || cp -a "$dir/." "$run/in/job/"
cp "$kernel/initrd" "$run/initrd"
(cd "$run/in" && find . | cpio -o -H newc --quiet -R 0:0) >> "$run/initrd"
truncate -s 512M "$run/disk"
: "${mem:=$(($(stat -c %s "$run/initrd") / 1048576 * 2 + 160))}"
start=$(date +%s.%N) rc=0
if [ $backend = uml ]; then
  LD_PRELOAD="$kernel/shim.so" timeout -k 5 "$limit" "$kernel/linux" mem="${mem}M" initrd="$run/initrd" \
    ubd0="$run/disk" con=null con0=null,fd:1 ssl=null quiet umid=v$$ uml_dir="$run/" \
    </dev/null >"$run/console" 2>&1 & pid=$!
else
  timeout -k 5 "$limit" qemu-system-x86_64 -M q35,accel=tcg -cpu max -smp 1 -m "$mem" \
    -nodefaults -no-user-config -display none -serial stdio -no-reboot \
    -kernel "$kernel/vmlinuz" -initrd "$run/initrd" -drive file="$run/disk",format=raw,if=virtio,cache=unsafe \
    -append "console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off" </dev/null >"$run/console" 2>&1 & pid=$!
fi
wait "$pid" || rc=$?; pid=''
tar -xf "$run/disk" -C "$run/out" 2>/dev/null || true
if [ $verbose = 1 ]; then
  sed 's/^/console: /' "$run/console" >&2
  log "kernel $(cat "$kernel/version"), ${mem} MB, $(awk "BEGIN { printf \"%.1f\", $(date +%s.%N) - $start }") s, command ran from $(cat "$run/out/ready" 2>/dev/null) s of guest time"
fi
if [ ! -e "$run/out/rc" ]; then
  echo "run-vm.sh: the guest left no result (status $rc); the end of its console:" >&2
  tail -30 "$run/console" >&2
  [ $rc = 124 ] && exit 124
  exit 125
fi
cat "$run/out/stdout"; cat "$run/out/stderr" >&2
exit "$(cat "$run/out/rc")"
}
