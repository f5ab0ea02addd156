#!/bin/bash
# A container engine for tests: Podman's service with storage of its own and one
# image, made of a static busybox, so that no registry is asked.
#
#	engine.sh start DIR USER	DIR/engine.sock, which USER may open; prints nothing
#	engine.sh stop DIR		ends what start began, and removes what containers left
#
# Needs root. The service runs in the background; its id is in DIR/pid.
set -eu
cd "$(dirname "$0")/../.."
. test/run/lib.sh

image=localhost/theazo-test:1

configure() {
	mkdir -p "$1/conf" "$1/graph" "$1/run" "$1/tmp"
	# runc also where control groups are of both versions; names of limits because not every root may raise them
	cat > "$1/conf/containers.conf" <<- CONF
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
		log_driver = "k8s-file"
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "none"
		runtime = "runc"
		tmp_dir = "$1/tmp"
	CONF
	cat > "$1/conf/storage.conf" <<- CONF
		[storage]
		driver = "overlay"
		graphroot = "$1/graph"
		runroot = "$1/run"
	CONF
}

engine() {
	local dir=$1
	shift
	CONTAINERS_CONF=$dir/conf/containers.conf CONTAINERS_STORAGE_CONF=$dir/conf/storage.conf podman "$@"
}

import_image() {
	tar -C "$1/image" -cf "$1/image.tar" .
	engine "$1" import "$1/image.tar" "$2" > "$1/import.log" 2>&1 || {
		cat "$1/import.log" >&2
		die "the engine did not take the image"
	}
}

make_image() {
	local at=$1/image name
	mkdir -p "$at/bin" "$at/etc" "$at/tmp" "$at/proc" "$at/sys" "$at/dev"
	chmod 1777 "$at/tmp"
	cp /bin/busybox "$at/bin/busybox"
	for name in $(/bin/busybox --list); do
		[ "$name" = busybox ] || ln -s busybox "$at/bin/$name"
	done
	echo 'root:x:0:0::/:/bin/sh' > "$at/etc/passwd"
	echo 'root:x:0:' > "$at/etc/group"
	import_image "$1" "$image"
	# its timeout holds the output back for up to a second, so bench has one without
	rm "$at/bin/timeout"
	import_image "$1" "$image-bare"
	rm -rf "$at" "$1/image.tar"
}

start() {
	local dir=$1 user=$2
	command -v podman > /dev/null || die "podman is missing: run make deps"
	/bin/busybox true || die "busybox-static is missing: run make deps"
	is_root || die "the engine needs root"
	chmod 755 "$dir"
	configure "$dir"
	make_image "$dir"
	CONTAINERS_CONF=$dir/conf/containers.conf CONTAINERS_STORAGE_CONF=$dir/conf/storage.conf \
		setsid podman system service --time=0 "unix://$dir/engine.sock" > "$dir/service.log" 2>&1 < /dev/null &
	echo $! > "$dir/pid"
	timeout 20 bash -c 'until [ -S "$1" ]; do sleep 0.1; done' wait "$dir/engine.sock" || true
	[ -S "$dir/engine.sock" ] || {
		cat "$dir/service.log" >&2
		die "the engine did not come up"
	}
	chown "$user" "$dir/engine.sock"
}

stop() {
	local dir=$1 pid
	[ -f "$dir/pid" ] || return 0
	engine "$dir" rm --all --force --time 0 > /dev/null 2>&1 || true
	# what watched a command stays for minutes, to clean up what is gone by then; only that of this engine
	for pid in $(pgrep -x conmon || true); do
		if grep -q -a -F "$dir/graph" "/proc/$pid/cmdline" 2> /dev/null; then
			kill -KILL "$pid" 2> /dev/null || true
		fi
	done
	kill "$(cat "$dir/pid")" 2> /dev/null || true
	rm -f "$dir/pid"
	umount "$dir/graph/overlay" 2> /dev/null || true
}

case ${1:-} in
	start) start "$2" "$3" ;;
	stop) stop "$2" ;;
	*) die "usage: engine.sh start DIR USER | stop DIR" ;;
esac
