#!/bin/sh
# Makes a Debian root folder with a real GIMP 3 in it, for tests on a Debian that has only GIMP 2.10.
#
#   gimp3_root.sh [ROOT]     default: $SR_PLUGINS_GIMP_ROOT, else build/gimp3-root in the clone
#
# Needs root and apt; about 460 MB and 1 to 2 minutes, once. Nothing is mounted: GIMP runs in it by plain chroot, without
# /proc, /dev, display or dbus. With GUI=1 also a display to look at (another 210 MB). SUITE picks the Debian release.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
before=/var/cache/sr-plugins/gimp3-root # where earlier versions made it
[ -d "$before" ] || before=$here/build/gimp3-root
root=${1:-${SR_PLUGINS_GIMP_ROOT:-$before}}
suite=${SUITE:-trixie}
packages=gimp${GUI:+,xvfb,xauth,xdotool,imagemagick,openbox,fonts-dejavu-core}

[ -x "$root/usr/bin/gimp-console" ] && exit 0
[ "$(id -u)" = 0 ] || { echo "gimp3_root.sh: only root can make a root folder" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { apt-get update -q && apt-get install -q -y --no-install-recommends mmdebstrap; }

# The Debian mirror that this machine already uses.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}

# Built beside its place and renamed when whole: a broken attempt is never taken for a root.
mkdir -p "$(dirname "$root")"
building=$(mktemp -d "$root.XXXXXX")
trap 'rm -rf "$building"' EXIT
mmdebstrap --mode=root --variant=apt \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="$packages" "$suite" "$building" "$mirror"
chmod 755 "$building"
mv -T "$building" "$root"
