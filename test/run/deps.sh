#!/bin/bash
# Installs what building, testing and the demo need. As root it asks apt for the
# packages that are missing; as anybody else it says which they are. Quick when
# all is there. `deps.sh demo` leaves out what only the tests need.
set -eu
cd "$(dirname "$0")/../.."
. test/run/lib.sh

build="postgresql-15 postgresql-server-dev-15 libcurl4-openssl-dev libssl-dev
	libjansson-dev libvectorscan-dev libmicrohttpd-dev gcc libc6-dev make pkg-config bubblewrap wabt python3 openssl util-linux"
tests="postgresql-15-cron libre2-dev g++ libcmocka-dev libipc-run-perl clang clang-format
	libclang-rt-14-dev mmdebstrap xz-utils shellcheck procps podman netavark iptables runc busybox-static wrk"

what=${1:-all}
wanted=$build
if [ "$what" = all ]; then
	wanted="$build $tests"
fi

missing=
for p in $wanted; do
	if [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2> /dev/null)" != installed ]; then
		missing="$missing $p"
	fi
done
# Any node will do; the sandbox runs whatever the machine has.
if [ "$what" = all ] && ! command -v node > /dev/null; then
	missing="$missing nodejs"
fi
# Fetches the JavaScript engine; the tests' clients come by it too.
if ! command -v npm > /dev/null; then
	missing="$missing npm"
fi

if [ -n "$missing" ]; then
	if ! is_root; then
		echo "missing packages; run this once as root:" >&2
		echo "    apt-get install --no-install-recommends$missing" >&2
		exit 1
	fi
	say "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q -o DPkg::Lock::Timeout=300 update
	# shellcheck disable=SC2086
	apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $missing
fi

if is_root; then
	need_test_user
fi
if [ "$what" = all ]; then
	test/run/versions.sh prepare
	test/run/clients.sh prepare
fi
