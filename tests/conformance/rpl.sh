#!/usr/bin/env bash
# The public resolver scenarios: those in Debian's source packages of Unbound and Knot Resolver, fetched from the mirror that
# this machine uses, played, and thrown away. `rpl.least` says how many must pass; what is unsupported does not.
# CATENET_SCENARIOS names a directory that has them already. Without a network it fails under CATENET_NO_SKIP=1 only.
set -euo pipefail
cd "$(dirname "$0")/../.."
least=$(<tests/conformance/rpl.least)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fetch() {
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,sources}
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    sort -u | grep -v -- '-\(security\|updates\)' | while read -r uri release component; do
      echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $release $component"
    done >"$folder/sources.list"
  local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o APT::Sandbox::User=)
  "${apt[@]}" update
  (cd "$folder/sources" && "${apt[@]}" source --download-only unbound knot-resolver)
  for archive in "$folder"/sources/*.orig.tar.?z; do
    tar -C "$folder/sources" -xf "$archive" --wildcards '*.rpl'
  done
}

scenarios=${CATENET_SCENARIOS:-$folder/sources}
if [ -z "${CATENET_SCENARIOS:-}" ] && ! fetch; then
  echo "rpl: the source packages cannot be fetched" >&2
  exit "$([ "${CATENET_NO_SKIP:-}" = 1 ] && echo 1 || echo 0)"
fi

# Statuses 1 and 2 say that some do not pass, or are no scenarios: the count decides.
.venv/bin/python -m catenet.testing.rpl -j 2 "$scenarios" >"$folder/results" || [ $? -le 2 ]
passed=$(grep -c '^pass ' "$folder/results" || true)
tail -1 "$folder/results"
if [ "$passed" -lt "$least" ]; then
  grep -v '^pass ' "$folder/results"
  echo "rpl: $passed scenarios pass, fewer than $least" >&2
  exit 1
fi
