#!/bin/sh
# Installs the Debian packages named as arguments, if any is missing:
#
#     scripts/lab/install.sh janus janus-demos chromium          run, or
#     . scripts/lab/install.sh janus janus-demos chromium        sourced (bash), with the same effect
#
# It takes root, or sudo. With everything there it asks nobody and changes nothing. A service that a package brings along is
# neither started nor enabled: Janus is run by januscloud with a configuration of its own, and Debian's would take its ports.
# LAB_SKIP_INSTALL=1 skips all of it, for machines that have the programs from elsewhere.

(
	set -eu

	say() { printf 'install: %s\n' "$*" >&2; }
	fail() { say "$*"; exit 1; }

	missing() {
		for package in "$@"; do
			status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=none
			[ "$status" = installed ] || printf '%s ' "$package"
		done
	}

	[ "${LAB_SKIP_INSTALL:-}" = "" ] || exit 0
	[ $# -gt 0 ] || fail "name the packages that are needed"
	command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
		fail "this is no Debian: install what the packages $* contain, and set LAB_SKIP_INSTALL=1"

	wanted=$(missing "$@")
	[ "$wanted" != "" ] || exit 0

	as_root=""
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || fail "missing: $wanted— no root and no sudo here; as root: apt-get install $wanted"
		as_root=sudo
	fi
	say "installing $wanted"

	# Maintainer scripts ask this program whether a service may be started (101: no). One that says no already is left alone;
	# one that says yes gets its place back.
	policy=/usr/sbin/policy-rc.d
	saved=""
	placed=""
	# shellcheck disable=SC2329 # called by trap
	restore() {
		[ "$placed" = "" ] || $as_root rm -f "$policy"
		[ "$saved" = "" ] || $as_root mv "$saved" "$policy"
	}
	answer=0
	[ ! -x "$policy" ] || "$policy" janus start >/dev/null 2>&1 || answer=$?
	if [ "$answer" -ne 101 ]; then
		trap restore EXIT
		trap 'exit 1' HUP INT TERM
		if [ -e "$policy" ]; then
			$as_root mv "$policy" "$policy.januscloud" || fail "could not move $policy"
			saved="$policy.januscloud"
		fi
		placed=1
		printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null && $as_root chmod 755 "$policy" ||
			fail "could not write $policy, which keeps services from starting"
	fi

	# shellcheck disable=SC2086 # a list of words
	install() {
		$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $wanted >&2
	}
	# Images of containers come without package lists, others with old ones.
	if ! install; then
		$as_root apt-get update -q >&2 || fail "apt-get update failed: is this machine offline?"
		install || fail "apt-get could not install $wanted"
	fi

	# Packages enable their services for the next boot.
	disable() {
		if command -v systemctl >/dev/null; then
			$as_root systemctl disable "$1.service" >/dev/null 2>&1 || fail "could not disable Debian's $1.service"
		elif command -v update-rc.d >/dev/null; then
			$as_root update-rc.d "$1" disable >/dev/null 2>&1 || fail "could not disable Debian's $1 service"
		fi
	}
	case " $wanted" in *" janus "*) disable janus ;; esac
	case " $wanted" in *" nginx-light "*) disable nginx ;; esac

	wanted=$(missing "$@")
	[ "$wanted" = "" ] || fail "still missing: $wanted"
	say "done"
)
# Not "( … ) || return": that would switch set -e off inside.
install_status=$?
[ "$install_status" -eq 0 ] || return "$install_status" 2>/dev/null || exit "$install_status"
