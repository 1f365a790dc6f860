#!/usr/bin/env bash
# Run ansible-test sanity on what git knows of this checkout. It insists on a real path that ends in
# ansible_collections/<namespace>/<name>, so that is where a copy goes.
set -euo pipefail

root=$(git rev-parse --show-toplevel)
copy="$root/.cache/sanity/ansible_collections/golden_goose/compliance"
# ansible-test would download this script to put pip into its own environments.
bootstrap="$HOME/.ansible/test/cache/get_pip_24_2.py"
if [ ! -e "$bootstrap" ]; then
  mkdir -p "$(dirname "$bootstrap")"
  printf 'import ensurepip\nensurepip.bootstrap(upgrade=True)\n' > "$bootstrap"
fi

rm -rf "$root/.cache/sanity"
mkdir -p "$copy"
cd "$root"
git ls-files -z --cached --others --exclude-standard -- . ':!collections' ':!tests/fuzz/corpus' ':!tests/vectors' | xargs -0 cp --parents -t "$copy"
cd "$copy"
git init -q
git add -A
exec ansible-test sanity --local --python "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" "$@"
