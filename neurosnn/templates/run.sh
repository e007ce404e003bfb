#!/bin/sh
# Runs the simulation. Results appear as a whole or not at all; any error gives a non-zero exit.
set -u

usage() {
  echo "Usage: ./run [--out FOLDER]"
  echo "  --out FOLDER   where the results go (default: results, beside this file)"
  echo "Build first with: make"
}

fail() {
  echo "run: $*" >&2
  exit 1
}

started_in=$(pwd)
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || fail "cannot enter the project's folder"
out=$here/results
while [ $# -gt 0 ]; do
  case $1 in
    --out)
      [ $# -ge 2 ] && [ -n "$2" ] || { echo "run: --out needs a folder" >&2; exit 2; }
      out=$2
      shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "run: unknown argument: $1" >&2; usage >&2; exit 2 ;;
  esac
done
case $out in
  /*) ;;
  *) out=$started_in/$out ;;
esac

[ -x "$here/main" ] || fail "there is no program yet: run make in $here"
[ -f "$here/manifest.json" ] || fail "manifest.json is missing in $here: export the project again"
if [ -e "$out" ] && [ ! -f "$out/manifest.json" ]; then
  fail "$out exists and does not hold results of such a project: choose another --out"
fi

part=$out.part.$$
trap 'rm -rf "$part"' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$(dirname -- "$out")" || fail "cannot write into $(dirname -- "$out")"
mkdir "$part" && mkdir "$part/raw" || fail "cannot write into $(dirname -- "$out")"

cd "$here" || fail "cannot enter $here"
./main --results_dir "$part/raw/" >"$part/messages" 2>&1
status=$?
cat "$part/messages" >&2
[ $status -eq 0 ] || fail "the simulation failed with exit code $status"
completed=
read -r _ completed <"$part/raw/last_run_info.txt" || fail "the program wrote no results"
[ "$completed" = 1 ] || fail "the simulation was stopped before its end"

while read -r raw name; do
  mv "$part/raw/$raw" "$part/$name" || fail "the program did not write $name"
done <"$here/results.list"
cp "$here/manifest.json" "$part/manifest.json" || fail "cannot write $part/manifest.json"
rm -rf "$part/raw" "$part/messages"

mkdir "$out.lock" 2>/dev/null || fail "another run is writing $out (if not, remove $out.lock)"
[ ! -e "$out" ] || mv "$out" "$part.old"
mv "$part" "$out" || { rmdir "$out.lock"; fail "cannot write $out"; }
rm -rf "$part.old"
rmdir "$out.lock"
echo "results are in $out"
