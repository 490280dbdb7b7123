#!/bin/sh
# Boots systemd as PID 1 of a machine that has this machine's files, on a layer of
# its own that is thrown away, and the network that it was started in. It starts
# journald, D-Bus and logind, and writes a line to the FIFO "booted" when it has.
#
#	systemd.sh <directory> <cgroup> [<directory it shares>]...
#
# <cgroup> exists in each hierarchy; the machine sees nothing above it.
set -eu
dir=$1 cgroup=$2
if [ "${3-}" != inside ]; then
	for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
		[ ! -d "$hierarchy/$cgroup" ] || echo $$ >"$hierarchy/$cgroup/cgroup.procs"
	done
	shift 2
	exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child sh "$0" "$dir" "$cgroup" inside "$@"
fi
shift 3
mkdir -p "$dir/layer"
mount -t tmpfs tmpfs "$dir/layer"
mkdir "$dir/layer/upper" "$dir/layer/work" "$dir/layer/root"
root=$dir/layer/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/layer/upper,workdir=$dir/layer/work" "$root"

units=$root/etc/systemd/system
cat >"$units/machine.target" <<END
[Unit]
Requires=basic.target
Wants=dbus.service systemd-logind.service booted.service
After=basic.target dbus.service systemd-logind.service
END
cat >"$units/booted.service" <<END
[Unit]
After=basic.target dbus.service systemd-logind.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo booted > $dir/booted'
END
ln -sf machine.target "$units/default.target"
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-timesyncd.service systemd-networkd.service; do
	ln -sf /dev/null "$units/$unit"
done
echo machine >"$root/etc/hostname"

mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t sysfs -o ro sysfs "$root/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
	mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
	for hierarchy in memory cpu cpuacct pids name=systemd; do
		[ -d "/sys/fs/cgroup/${hierarchy#name=}/" ] || continue
		mkdir "$root/sys/fs/cgroup/${hierarchy#name=}"
		case $hierarchy in name=*) options=none,$hierarchy ;; *) options=$hierarchy ;; esac
		mount -t cgroup -o "$options" cgroup "$root/sys/fs/cgroup/${hierarchy#name=}"
	done
fi
for shared in "$dir" "$@"; do
	mkdir -p "$root$shared"
	mount --bind "$shared" "$root$shared"
done
cd "$root"
mkdir old
pivot_root . old
umount -l old
exec env -i container=berth-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --log-target=console --show-status=0 </dev/null
