#!/usr/bin/env bash
# Boots a machine of its own within this one: its file system is what is installed here, with an upper layer that is
# thrown away; its processes, users, network (the loopback alone) and host name are its own; PID 1 is systemd. Argument:
# a folder for the upper layer. To be run by `unshare` (machine.ts), which makes the namespaces; ends when PID 1 does.
set -euo pipefail

folder=$1
root=$folder/root
mount --make-rprivate /
mkdir -p "$root" "$folder/upper" "$folder/work"
# An overlay cannot be the upper layer of another: there memory has to do.
overlay() { mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$root"; }
if ! overlay "$folder" 2>/dev/null; then
  mount -t tmpfs -o mode=755 tmpfs "$folder"
  mkdir -p "$root" "$folder/upper" "$folder/work"
  overlay "$folder"
fi

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
  mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  mkdir "$root/sys/fs/cgroup/systemd"
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
fi
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${n%:*}" "$root/dev/${n#*:}"; done

# What is of the kernel is not ours to set.
for unit in sysctl modules-load remount-fs update-utmp; do
  ln -sf /dev/null "$root/etc/systemd/system/systemd-$unit.service"
done

ip link set lo up
hostname machine
: >"$root/etc/machine-id"
echo machine >"$root/etc/hostname"
echo '127.0.0.1 localhost machine log.example monitor.example' >"$root/etc/hosts"

cd "$root"
mkdir run/old
pivot_root . run/old
umount --lazy /run/old
rmdir /run/old
# As systemd makes it outside of containers: what it mounts for a service is seen by that.
mount --make-rshared /
exec env -i container=dslog PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --log-target=journal --show-status=no --unit=basic.target </dev/null
