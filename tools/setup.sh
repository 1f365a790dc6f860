#!/usr/bin/env bash
# Install what the Makefile's targets need: Debian packages and a virtual environment. Does nothing when all is there.
# Usage: setup.sh <python> <virtual environment>
set -euo pipefail

python=$1
venv=$2
uv_version=0.13.9
# The controller's own needs; roles install what their programs need.
packages=(ca-certificates git iproute2 iptables mmdebstrap podman python3-apt runc shellcheck strace)

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Golden Goose needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1). Set PYTHON=… to one." >&2
  exit 1
fi
"$python" -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || echo absent)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "Run as root, or install these Debian packages first: ${missing[*]}" >&2
    exit 1
  fi
  echo "Installing Debian packages: ${missing[*]}"
  apt-get update -qq
  # No service is started: the tests and roles start their own.
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

stamp="$venv/.requirements"
wanted=$(sha256sum requirements-dev.txt tools/setup.sh | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null || echo none)" != "$wanted" ]; then
  echo "Preparing the virtual environment $venv"
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
  "$venv/bin/uv" pip sync --quiet --python "$venv/bin/python" requirements-dev.txt <(echo "uv==$uv_version"; echo "pip")
  echo "$wanted" > "$stamp"
fi
