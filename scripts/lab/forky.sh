#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Unpacks the Janus of Debian 14 (forky: 1.4) with all that it needs into a folder, beside the machine's own:
#
#     scripts/lab/forky.sh .cache/forky
#
# Nothing is installed: apt works out what belongs to it from lists, a state and a cache of their own in that folder, without a look at what
# the machine has; the packages are unpacked and their maintainer scripts never run. So it takes no root, and leaves the
# machine's apt as it is. The lab runs that Janus through its own loader (lab.FromFolder). With the Janus there it does nothing.
#
# LAB_FORKY_MIRROR names another mirror than the one the machine has Debian from. LAB_SKIP_INSTALL=1 skips all of it; then
# LAB_FORKY, which the tests read, names a folder with such a system.
set -eu

say() { printf 'forky: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

[ $# -eq 1 ] || fail "name the folder"
[ "${LAB_SKIP_INSTALL:-}" = "" ] || exit 0
[ ! -e "$1/usr/bin/janus" ] || exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
	fail "this is no Debian: unpack its package janus of forky, and what that depends on, into $1"

mkdir -p "$1"
target=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/parts" "$work/root"
: >"$work/status"

mirror=${LAB_FORKY_MIRROR:-$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 '/debian/*$' || true)}
mirror=${mirror:-http://deb.debian.org/debian}
echo "deb $mirror forky main" >"$work/sources.list"

# The machine's proxies and keys hold here, too. A folder below /root or such is closed to apt's own user.
private() {
	apt-get -q -y \
		-o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/parts" -o Dir::Etc::Preferences=/dev/null \
		-o Dir::Etc::PreferencesParts="$work/parts" -o Dir::State="$work" -o Dir::State::Lists="$work/lists" \
		-o Dir::State::status="$work/status" -o Dir::Cache="$work" -o Dir::Cache::archives="$work/archives" \
		-o APT::Sandbox::User=root -o APT::Install-Recommends=false -o Acquire::Languages=none -o Debug::NoLocking=true "$@" >&2
}

say "unpacking the Janus of $mirror into $1"
private update || fail "no package lists from $mirror: is this machine offline?"
private install --download-only janus || fail "could not download janus of forky from $mirror"
for package in "$work"/archives/*.deb; do
	dpkg-deb -x "$package" "$work/root" || fail "could not unpack $package"
done
# The links that the first installation of a system makes: /lib is /usr/lib.
for folder in bin lib lib64 sbin; do
	[ ! -d "$work/root/usr/$folder" ] || [ -e "$work/root/$folder" ] || ln -s "usr/$folder" "$work/root/$folder"
done
# The program last: it says that all is there.
mv "$work/root/usr/bin/janus" "$work/janus"
cp -a "$work/root/." "$target/"
cp "$work/janus" "$target/usr/bin/janus"
say "done"
