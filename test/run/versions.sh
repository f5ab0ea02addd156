#!/bin/bash
# PostgreSQL 17 and 18 without touching the machine: one extracted root holds
# both (their libraries have different sonames), made once from the packages of
# the newer suites, kept in a cache outside the tree and keyed by what is in it.
#
#	versions.sh prepare			make the root if it is not there
#	versions.sh run SUITE...	build and run suites on each version
#	versions.sh shell			look around inside
#
# Works through a private mount namespace, so every mount disappears by itself.
# The root becomes the root of that namespace by pivot_root: in a chroot the
# kernel refuses the user namespaces that sandboxes are made of.
set -eu
cd "$(dirname "$0")/../.."
. test/run/lib.sh

suite=forky
second=trixie
packages="base-files bash dash coreutils sed grep mawk diffutils findutils perl
	util-linux mount libc-bin libc6-dev hostname tzdata make gcc tar procps openssl
	libcurl4-openssl-dev libssl-dev libjansson-dev libvectorscan-dev libmicrohttpd-dev libipc-run-perl
	bubblewrap python3 nodejs theazo-stub"
for n in $MAJORS; do
	packages="$packages postgresql-$n postgresql-server-dev-$n postgresql-$n-cron"
done
# Bump when the steps below change.
recipe=2

key=$(printf '%s\n' "$recipe $suite $second" "$packages" | tr -s ' \t\n' ' ' | sha256sum | cut -c1-16)
cache=$(cache_dir)
root=$cache/versions-$key

# The mirror the machine already uses.
mirror() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
		grep -v -i security | head -n 1 | sed 's,/*$,,'
}

# Debian's server-dev packages depend on a compiler we never call; a stub that
# says it is there keeps 700 MB out.
make_stub() {
	local d=$1
	mkdir -p "$d/theazo-stub/DEBIAN"
	cat > "$d/theazo-stub/DEBIAN/control" << 'END'
Package: theazo-stub
Version: 1
Architecture: all
Maintainer: nobody <nobody@localhost>
Provides: clang-19, llvm-19-dev, clang-21, llvm-21-dev
Description: stands in for a compiler that is not used
END
	dpkg-deb --root-owner-group -b "$d/theazo-stub" "$d/theazo-stub_1_all.deb" > /dev/null
	rm -rf "$d/theazo-stub"
	(cd "$d" && {
		dpkg-deb -f theazo-stub_1_all.deb
		echo "Filename: ./theazo-stub_1_all.deb"
		echo "Size: $(stat -c %s theazo-stub_1_all.deb)"
		echo "SHA256: $(sha256sum theazo-stub_1_all.deb | cut -d' ' -f1)"
		echo
	} > Packages)
}

prepare() {
	if [ -f "$root/.complete" ]; then
		return 0
	fi
	is_root || die "no extracted root in $cache: run \`make deps\` once as root"
	command -v mmdebstrap > /dev/null || die "mmdebstrap is missing: run \`make deps\`"

	local m tmp include
	m=$(mirror)
	[ -n "$m" ] || die "apt knows no mirror: run apt-get update"
	mkdir -p "$cache"
	exec 9> "$cache/.lock"
	flock 9
	if [ -f "$root/.complete" ]; then
		return 0
	fi
	tmp=$(mktemp -d "$cache/.making.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf --one-file-system '$tmp'" EXIT
	chmod 755 "$tmp"
	say "making the root of PostgreSQL $MAJORS (once)"
	mkdir "$tmp/stub"
	make_stub "$tmp/stub"
	chmod -R a+rX "$tmp/stub"
	include=$(echo "$packages" | tr -s ' \t\n' ',' | sed 's/^,//; s/,$//')
	mmdebstrap --quiet --mode=root --variant=extract \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='APT::Install-Recommends "0"' \
		--include="$include" \
		"$suite" "$tmp/root" \
		"deb [trusted=yes] copy:$tmp/stub ./" \
		"deb $m $suite main" \
		"deb $m $second main"

	# No maintainer script ran: do by hand the little that is needed.
	local r=$tmp/root
	printf '%s\n' 'root:x:0:0:root:/root:/bin/bash' \
		'postgres:x:5432:5432:PostgreSQL:/tmp:/bin/bash' \
		'nobody:x:65534:65534:nobody:/:/usr/sbin/nologin' > "$r/etc/passwd"
	printf '%s\n' 'root:x:0:' 'postgres:x:5432:' 'nogroup:x:65534:' > "$r/etc/group"
	printf '127.0.0.1 localhost\n::1 localhost\n' > "$r/etc/hosts"
	ln -sf mawk "$r/usr/bin/awk"
	chroot "$r" ldconfig
	rm -rf "$r/usr/share/doc" "$r/usr/share/man" "$r/usr/share/locale" \
		"$r/var/lib/apt/lists" "$r/var/cache/apt" "$r/etc/apt"
	mkdir -p "$r/build" "$r/proc" "$r/dev" "$r/sys" "$r/tmp" "$r/old" "$r/run"
	touch "$r/.complete"
	mv "$r" "$root"
	# Roots of other package lists are of no more use.
	local o
	for o in "$cache"/versions-*; do
		if [ "$o" != "$root" ] && ! grep -q " $o/" /proc/self/mountinfo; then
			rm -rf --one-file-system "$o"
		fi
	done
	say "made: $(du -sh "$root" | cut -f1)"
	rm -rf "$tmp"
	trap - EXIT
}

# Runs a command as `postgres` with the extracted root as /, $work as /build.
enter() {
	local work=$1
	shift
	local ns=(unshare --mount --propagation private) user=root
	if ! is_root; then
		ns=(unshare --user --map-root-user --mount --propagation private)
		user=mapped
	fi
	# shellcheck disable=SC2016
	"${ns[@]}" env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME=/tmp USER=postgres LOGNAME=postgres \
		TESTS="${TESTS:-}" THEAZO_CHAOS="${THEAZO_CHAOS:-}" \
		THEAZO_CHAOS_SEED="${THEAZO_CHAOS_SEED:-}" PROVE_FLAGS="${PROVE_FLAGS:-}" \
		bash -c '
		set -eu
		root=$1 work=$2 user=$3
		shift 3
		mount --bind "$root" "$root"
		mount --rbind /proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount --rbind /sys "$root/sys"
		mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
		mount --bind "$work" "$root/build"
		cd "$root"
		pivot_root . old
		umount -l /old
		mount -o remount,bind,ro / || true
		cd /build
		if [ "$user" = root ]; then
			exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"
		fi
		exec unshare --user --map-user=5432 --map-group=5432 "$@"
	' versions "$root" "$work" "$user" "$@"
}

# One suite list on one version; its counts are appended to $counts.
run_on() {
	local major=$1 work
	shift
	work=$(mktemp -d "${TMPDIR:-/var/tmp}/theazo-pg$major.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf --one-file-system '$work'" EXIT
	chmod 755 "$work"
	copy_tree "$work"
	if is_root; then
		chown -R 5432:5432 "$work"
	fi
	say "PostgreSQL $major: $*"
	local rc=0
	enter "$work" test/run/suites.sh "$major" "$@" || rc=$?
	if [ -f "$work/.build/counts" ]; then
		cat "$work/.build/counts" >> "$counts"
	else
		echo "build-$major 0 1 0" >> "$counts"
	fi
	if [ "$rc" != 0 ]; then
		cat "$work/.build/failures" >> "$failures" || true
		rm -rf ".build/failed-$major"
		mkdir -p ".build/failed-$major"
		cp -r "$work/.build/out" ".build/failed-$major/" 2> /dev/null || true
	fi
	rm -rf --one-file-system "$work"
	trap - EXIT
	return "$rc"
}

case ${1:-} in
	prepare)
		prepare
		;;
	run)
		shift
		prepare
		counts=${THEAZO_COUNTS:-$PWD/.build/counts-versions}
		failures=${THEAZO_FAILURES:-$PWD/.build/failures-versions}
		mkdir -p .build
		rc=0
		for n in $MAJORS; do
			(run_on "$n" "$@") || rc=1
		done
		exit "$rc"
		;;
	shell)
		prepare
		mkdir -p .build/empty
		shift
		enter "$PWD/.build/empty" "${@:-bash}"
		;;
	*)
		die "usage: versions.sh prepare | run SUITE... | shell"
		;;
esac
