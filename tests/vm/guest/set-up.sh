# set-up.sh JOB: addresses, routes, switches, marks and IPVS rules of one job, in its own network
# namespace.  Virtual addresses sit on lo, server I behind tap1 with the MAC address 02:00:00:00:00:I
# (permanent, so that nothing is asked), everybody else behind tun0.
set -eu
: > servers; : > vips; : > rules; : > addresses
seen=' '

length() { case $1 in *:*) echo 128;; *) echo 32;; esac; }

server() { # server ADDRESS[:PORT]
  a=$1
  case $a in \[*) a=${a#\[}; a=${a%%\]*};; *.*) a=${a%%:*};; esac
  case $seen in *" $a "*) return;; esac
  echo "route add $a/$(length "$a") dev tap1" >> addresses
  printf 'neigh replace %s lladdr 02:00:00:00:%02x:%02x dev tap1 nud permanent\n' "$a" $((count / 256)) $((count % 256)) >> addresses
  echo "$a" >> servers
  seen="$seen$a "; count=$((count + 1))
}

mark() { # mark N PROTOCOL ADDRESS[/LENGTH] PORT,...
  case $3 in *:*) t=ip6tables;; *) t=iptables;; esac
  $t -t mangle -A PREROUTING -p "$2" -d "$3" -m multiport --dports "$4" -j MARK --set-mark "$1"
}

for f in all default lo tun0 tap1; do echo 0 > /proc/sys/net/ipv4/conf/$f/rp_filter; done
for f in all tun0 tap1; do echo 0 > /proc/sys/net/ipv6/conf/$f/accept_dad; done
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo 0 > /proc/sys/net/ipv4/icmp_ratemask
echo 2 > /proc/sys/net/ipv6/icmp/ratemask

for d in lo tun0 tap1; do echo "link set $d up" >> addresses; done
count=0
while read -r key rest; do
  case $key in
    ''|'#'*|capture) ;;
    vip) echo "$rest" >> vips
      case $rest in *:*) flag=nodad;; *) flag=;; esac
      echo "addr add $rest/$(length "$rest") dev lo $flag" >> addresses;;
    sysctl) sysctl -q -w "$rest";;
    mark) mark $rest;;
    rule) echo "$rest" >> rules
      set -- $rest
      while [ $# -gt 1 ]; do [ "$1" != -r ] || server "$2"; shift; done;;
    *) echo "set-up.sh: $1: unknown line: $key $rest" >&2; exit 1;;
  esac
done < "$1"
ip -b addresses
ip route add default dev tun0
ip -6 route add default dev tun0
ipvsadm -R < rules
