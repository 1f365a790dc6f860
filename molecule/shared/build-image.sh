#!/bin/sh
# Build the image IMAGE: Debian 12 with systemd and Python. It says "built" when it was not there before.
# Needs podman and mmdebstrap; no image registry. MOLECULE_DEBIAN_MIRROR is the package mirror, if not Debian's own.
set -eu

image=$1
if podman image exists "$image"; then
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The host's way to its packages (proxy, certificates, clock checks) is the container's way too.
apt-config dump Acquire::http::Proxy Acquire::https::Proxy Acquire::https::CAInfo \
    Acquire::Check-Date Acquire::Check-Valid-Until >"$work/apt.conf"

mmdebstrap --quiet --variant=minbase --aptopt="$work/apt.conf" \
    --include=systemd,systemd-sysv,dbus,python3,python3-apt,python3-venv,ca-certificates,iproute2,procps \
    bookworm "$work/root.tar" ${MOLECULE_DEBIAN_MIRROR:+"$MOLECULE_DEBIAN_MIRROR"}
podman import --quiet --change 'CMD ["/sbin/init"]' "$work/root.tar" "$image" >/dev/null
echo built
