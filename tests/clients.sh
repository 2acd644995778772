#!/usr/bin/env bash
# Installs other people's programs for tests/interop, tests/browser and tests/security from the distribution's packages,
# if they are missing and this is root. It says what it does. Without them their
# tests are skipped; with CI=true they fail.
set -euo pipefail
packages=(python3-stomp python3-websocket libnet-stomp-perl libio-socket-ssl-perl chromium openssl curl slapd)
# Who has these from elsewhere keeps them.
for program in node:nodejs npm:npm; do
  command -v "${program%%:*}" >/dev/null || packages+=("${program##*:}")
done

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "clients: ${packages[*]} are installed"
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "clients: missing, and only root can install them: apt-get install ${missing[*]}"
  exit 1
fi
echo "clients: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The tests run a directory of their own; none is to be set up and started here.
if [[ " ${missing[*]} " == *" slapd "* ]]; then
  echo "slapd slapd/no_configuration boolean true" | debconf-set-selections
fi
install=(apt-get -q -y install --no-install-recommends "${missing[@]}")
"${install[@]}" </dev/null || { apt-get -q update </dev/null && "${install[@]}" </dev/null; }
