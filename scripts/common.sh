# Shared by the scripts: paths, messages, privileges. Source it; it has no effect of its own.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=${HULLFT_DEPS:-$root/.deps}       # wheels and other set-up results; may be shared by several clones
data=${HULLFT_DATA:-$root/data}        # models, corpora, indexes and runs of the scripts
wheels=$deps/wheels

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "need root to run: $* (run as root, or install sudo)"; fi
}

# download_wheels LOCK_FILE FOLDER: fetches the wheels a lock file names, refusing any whose hash differs.
download_wheels() {
  python3 -m pip --disable-pip-version-check download -q --no-deps --only-binary=:all: --require-hashes -r "$1" -d "$2" \
    --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64 \
    --platform manylinux_2_27_x86_64 --platform manylinux_2_18_x86_64 --platform manylinux2014_x86_64 \
    --platform manylinux2010_x86_64 --platform any
}
