# Runs in the guest: every *.job of the working directory, by name, each in a network namespace of
# its own, which has its own empty IPVS and takes the connections with it when it goes.
for job in *.job; do
  capture=$(sed -n 's/^capture  *//p' "$job")
  unshare -n ./inject "${job%.job}" "$capture" "sh ./set-up.sh $job" || exit 1
done
