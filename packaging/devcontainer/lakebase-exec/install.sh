#!/bin/sh
# Installs both programs of a release and refuses an archive with a wrong checksum. The
# devcontainer feature runs it as root, action.yml runs it in a job.
#
#   VERSION      the release, such as 1.0.0
#   SHA256       the archive's checksum, if it is to be compared with more than checksums.txt
#   ATTESTATION  true: gh must verify that the release workflow built the archive at this version's tag
#   INSTALL_DIR  the directory for the programs (/usr/local/bin)
#   RELEASES     the URL of the releases, for a mirror
set -eu
repository=lakebase-exec/lakebase-exec

fail() {
  echo "install.sh: error: $*" >&2
  exit 1
}

version=${VERSION:-}
version=${version#v}
case $version in
  '') fail "no version: set it to a release, such as 1.0.0" ;;
  *[!0-9A-Za-z.-]* | [!0-9]*) fail "invalid version \"$version\"" ;;
esac
os=linux extension=tar.gz suffix=""
case $(uname -s) in
  Linux) ;;
  Darwin) os=darwin ;;
  MINGW* | MSYS* | CYGWIN*) os=windows extension=zip suffix=.exe ;;
  *) fail "no release for $(uname -s)" ;;
esac
case $(uname -m) in
  x86_64 | amd64) arch=amd64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) fail "no release for $(uname -m)" ;;
esac
archive=lakebase-exec_${version}_${os}_$arch.$extension
url=${RELEASES:-https://github.com/$repository/releases/download}/v$version

# Debian's smallest images can download nothing.
if ! command -v curl >/dev/null && ! command -v wget >/dev/null; then
  command -v apt-get >/dev/null || fail "curl or wget is required"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates curl; } >/dev/null || fail "apt-get cannot install curl"
fi
download() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --retry 3 --output "$dir/$1" "$url/$1"
  else
    wget -q -O "$dir/$1" "$url/$1"
  fi || fail "cannot download $url/$1"
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
download "$archive"
download checksums.txt
if command -v sha256sum >/dev/null; then
  sum=$(sha256sum "$dir/$archive")
else
  sum=$(shasum -a 256 "$dir/$archive")
fi
sum=$(echo "${sum#\\}" | cut -d ' ' -f 1)
want=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1 }' "$dir/checksums.txt")
[ "$sum" = "$want" ] || fail "$archive has the SHA-256 checksum $sum, want ${want:-one in checksums.txt}"
[ "$sum" = "${SHA256:-$sum}" ] || fail "$archive has the SHA-256 checksum $sum, want $SHA256"
case ${ATTESTATION:-false} in
  true)
    command -v gh >/dev/null || fail "gh is required to verify the attestation"
    gh attestation verify "$dir/$archive" --repo "$repository" --signer-workflow "$repository/.github/workflows/release.yml" \
      --source-ref "refs/tags/v$version" --deny-self-hosted-runners >&2 || fail "$archive has no valid attestation"
    ;;
  false) ;;
  *) fail "attestation must be true or false, not \"$ATTESTATION\"" ;;
esac

bin=${INSTALL_DIR:-/usr/local/bin}
mkdir -p "$bin"
for program in lakebase-exec$suffix lakebase-credential-helper$suffix; do
  case $extension in
    zip) unzip -q -o "$dir/$archive" "$program" -d "$dir" ;;
    *) tar -xzf "$dir/$archive" -C "$dir" "$program" ;;
  esac
  chmod 755 "$dir/$program"
  mv -f "$dir/$program" "$bin/$program"
done
"$bin/lakebase-exec$suffix" --version
