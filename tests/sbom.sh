#!/usr/bin/env bash
# A release with its bill of materials: builds the program, with the list of its packages inside (cargo auditable), and lays a
# CycloneDX 1.5 SBOM of exactly what is linked into it, and the SHA-256 of both, beside it. The same commit gives the same bytes
# in whatever directory: tests/reproducible.sh shows it.
# Usage: tests/sbom.sh [DIRECTORY]    target/dist by default
#        tests/sbom.sh --only FILE    the SBOM alone, without a build
#        tests/sbom.sh --records PROGRAM [SBOM]    the packages that a program names in itself; compared with an SBOM, if given
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The packages are those of `cargo tree` for a build of the program for this machine: no tests, no build scripts' own. What is
# known of each is in `cargo metadata`, which alone would list a few more that only tests switch on.
sbom() {
  local target linked
  target=$(rustc -vV | sed -n 's/^host: //p')
  linked=$(cargo tree --locked --edges normal --target "$target" --prefix none --no-dedupe --format '{p}')
  cargo metadata --locked --format-version 1 --filter-platform "$target" --no-default-features |
    LINKED=$linked python3 -c '
import json, os, sys, hashlib, tomllib
# What only writes code for the compiler is in the compiler, and not in the program.
linked = {tuple(line.split()[:2]) for line in os.environ["LINKED"].splitlines() if line and "(proc-macro)" not in line}
meta = json.load(sys.stdin)
lock = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(open("Cargo.lock", "rb"))["package"]}
nodes = {node["id"]: node for node in meta["resolve"]["nodes"]}
packages = {package["id"]: package for package in meta["packages"]}
root = meta["resolve"]["root"] or meta["workspace_members"][0]
normal = lambda dep: any(kind["kind"] is None for kind in dep["dep_kinds"])
used, todo = set(), [root]
while todo:
    this = todo.pop()
    package = packages[this]
    if this not in used and (package["name"], "v" + package["version"]) in linked:
        used.add(this)
        todo += [dep["pkg"] for dep in nodes[this]["deps"] if normal(dep)]
purl = lambda p: "pkg:cargo/%s@%s" % (p["name"], p["version"])
def component(p, kind):
    one = {"type": kind, "bom-ref": purl(p), "name": p["name"], "version": p["version"], "purl": purl(p), "scope": "required"}
    if p.get("description"): one["description"] = " ".join(p["description"].split())
    if p.get("license"): one["licenses"] = [{"expression": p["license"].replace("/", " OR ")}]
    checksum = lock.get((p["name"], p["version"]))
    if checksum: one["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if p.get("repository"): one["externalReferences"] = [{"type": "vcs", "url": p["repository"]}]
    return one
order = sorted(used, key=lambda i: purl(packages[i]))
bom = {
    "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
    "metadata": {"component": {key: value for key, value in component(packages[root], "application").items() if key != "scope"}},
    "components": [component(packages[i], "library") for i in order if i != root],
    "dependencies": [{"ref": purl(packages[i]), "dependsOn": sorted(purl(packages[d["pkg"]]) for d in nodes[i]["deps"] if normal(d) and d["pkg"] in used)} for i in order],
}
# The same inputs give the same serial number: a build can be repeated byte by byte.
digest = hashlib.sha256(json.dumps(bom, sort_keys=True).encode()).hexdigest()
bom["serialNumber"] = "urn:uuid:%s-%s-5%s-8%s-%s" % (digest[:8], digest[8:12], digest[13:16], digest[17:20], digest[20:32])
missing = [c["purl"] for c in bom["components"] if "hashes" not in c or "licenses" not in c]
if missing: sys.exit("no checksum or licence: " + ", ".join(missing))
json.dump(bom, sys.stdout, indent=1)
print()
'
}

if [ "${1:-}" = --only ]; then
  sbom >"${2:?a file to write}"
  exit
fi
# The section .dep-v0 that cargo auditable writes: JSON behind zlib. One line for each package that is linked in.
records() {
  local section
  section=$(mktemp)
  objcopy --dump-section ".dep-v0=$section" "$1" /dev/null
  python3 -c '
import json, sys, zlib
raw = zlib.decompressobj().decompress(open(sys.argv[1], "rb").read(), 8 << 20)
for package in json.loads(raw)["packages"]:
    if package.get("kind", "runtime") == "runtime" and not package.get("root"):
        print(package["name"], package["version"])
' "$section" | sort
  rm -f "$section"
}
if [ "${1:-}" = --records ]; then
  program=${2:?a program}
  [ -n "${3:-}" ] || { records "$program"; exit; }
  listed=$(python3 -c 'import json, sys
for one in json.load(open(sys.argv[1]))["components"]: print(one["name"], one["version"])' "$3" | sort)
  lacking=$(comm -13 <(records "$program") <(printf '%s\n' "$listed"))
  [ -z "$lacking" ] || { printf '%s does not name what %s lists:\n%s\n' "$program" "$3" "$lacking" >&2; exit 1; }
  # It counts a few that only the tests switch on.
  more=$(comm -23 <(records "$program") <(printf '%s\n' "$listed") | paste -sd , -)
  printf '%s names the %s packages of %s%s\n' "$program" "$(wc -l <<<"$listed")" "$3" "${more:+, and $more}"
  exit
fi

out=${1:-target/dist}
mkdir -p "$out"
command -v cargo-auditable >/dev/null || cargo install --locked cargo-auditable@0.7.7
# Nothing of this machine in the program: no path of its crates or its compiler, no time.
home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
export RUSTFLAGS="--remap-path-prefix=$home=/cargo --remap-path-prefix=$sysroot=/rust"
export CARGO_INCREMENTAL=0 CFLAGS="-ffile-prefix-map=$home=/cargo"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
cargo auditable build --locked --release --bin runbook
cp "${CARGO_TARGET_DIR:-target}/release/runbook" "$out/runbook"
sbom >"$out/runbook.cdx.json"
tests/sbom.sh --records "$out/runbook" "$out/runbook.cdx.json"
(cd "$out" && sha256sum runbook runbook.cdx.json >SHA256SUMS)
printf '%s: the program, its SBOM with %s components, checksums\n' "$out" "$(grep -c '"type": "library"' "$out/runbook.cdx.json")"
