#!/usr/bin/env bash
# Installs the ActiveMQ that `make oracle` asks, and what it writes advisories and statistics with, from the
# distribution's packages. Its own service need not run.
set -euo pipefail
packages=(activemq libxstream-java libjettison-java)
missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "oracle: ${packages[*]} are installed"
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "oracle: missing, and only root can install them: apt-get install ${missing[*]}"
  exit 1
fi
echo "oracle: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=(apt-get -q -y install --no-install-recommends "${missing[@]}")
"${install[@]}" </dev/null || { apt-get -q update </dev/null && "${install[@]}" </dev/null; }
