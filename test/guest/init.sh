#!/usr/bin/busybox sh
# The guest's first process: mounts what programs expect, runs the test, says how it ended, switches off.
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/opt/busybox HOME=/root NO_COLOR=1
export NODE_COMPILE_CACHE=/tmp/node-compile-cache
export CALICO_KIT_PROGRAMS=/opt/calico CALICO_KIT_ETCD=/usr/local/bin/etcd
/usr/bin/busybox mkdir -p /opt/busybox
/usr/bin/busybox --install -s /opt/busybox
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /run/netns
mount -t tmpfs tmp /tmp
mount --make-rshared /
ip link set lo up
echo /usr/sbin/modprobe > /proc/sys/kernel/modprobe
# How much slower than a machine this one is right now: by the time that node takes to start (50 ms there).
hundredths() { read -r up _ < /proc/uptime; echo "${up%.*}${up#*.}"; }
node -e 0
began=$(hundredths)
node -e 0
slowness=$((($(hundredths) - began) / 5))
echo "node starts $slowness times slower than on a machine" > /dev/ttyS1
[ "$slowness" -ge 6 ] || slowness=6
[ "$slowness" -le 20 ] || slowness=20
export CALICO_KIT_SLOWNESS=$slowness
# This form tells why a test failed at once, not in the end.
node --test-reporter=tap /opt/test/inside.mjs > /dev/ttyS1 2>&1
echo "guest: exit $?" > /dev/ttyS1
sync
echo o > /proc/sysrq-trigger
sleep 60
