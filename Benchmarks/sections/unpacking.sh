# First starts, for which the image has to be unpacked, beside umoci. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # bench, raw, store: session's.

layout=$bench/images
# Fewer rounds: they take long, and agree well.
counted=4

# plan_first NAME STORE IMAGE WORD...: STORE is another one in each round.
plan_first() {
    name=$1 directory=$2
    shift 2
    plan "swiftlet-first-$name" alone "SWIFTLET_STORE=$directory" "$bench/bin/swiftlet" run "--timeline=$raw/timeline-first-$name-alone-%r.json" "$@"
}

# plan_umoci IMAGE: `unpack` makes a bundle and hashes every file for its bookkeeping; `raw unpack` unpacks alone.
plan_umoci() {
    plan "umoci-$1" any /usr/bin/umoci unpack --image "$layout:$1" "$store/umoci-$1-%r"
    plan "umoci-raw-$1" any /usr/bin/umoci raw unpack --image "$layout:$1" "$store/umoci-raw-$1-%r"
}

begin_plan
plan_first tiny "$store/tiny-%r" "oci:$bench/tiny" /started
plan_first busybox "$store/busybox-%r" "oci:$layout:busybox" echo started
plan_umoci busybox
plan_first debian "$store/debian-%r" "oci:$layout:debian" echo started
# As after a pull: the blobs are in the store, and were verified on their way in.
plan_first stored "$store/stored-%r" debian echo started
plan_umoci debian
if grep -q stored- "$raw/plan"; then
    SWIFTLET_STORE=$store/loaded "$bench/bin/swiftlet" load -i "$layout" >/dev/null 2>"$raw/load.log"
    round=0
    while [ "$round" -lt "$counted" ]; do
        cp -a "$store/loaded" "$store/stored-$round"
        round=$((round + 1))
    done
fi
# Everything stays on the disk until the end: removing it is nobody's cost.
time_plan 'first starts' "$counted" unpacking
