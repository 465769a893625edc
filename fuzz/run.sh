#!/bin/sh
# Builds one fuzz target with coverage and the address sanitizer, and runs it: run.sh TARGET [libFuzzer arguments].
set -eu
target=${1:?usage: run.sh TARGET [libFuzzer arguments]}
shift
root=$(cd "$(dirname "$0")" && pwd)
triple=$(rustc -vV | sed -n 's/^host: //p')
# Coverage as libFuzzer wants it; only code for the target triple is instrumented, not build scripts.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Zsanitizer=address --cfg fuzzing"
export RUSTFLAGS RUSTC_BOOTSTRAP=1
mkdir -p "$root/corpus/$target" "$root/artifacts/$target"
exec cargo run --manifest-path "$root/Cargo.toml" --target "$triple" --bin "$target" -- \
    "$root/corpus/$target" "-artifact_prefix=$root/artifacts/$target/" "$@"
