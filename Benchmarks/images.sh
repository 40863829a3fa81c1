# What images cost: unpacking beside umoci, starts from the store of disks, what a second container of an image takes. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # tree, bench, raw, rounds, memory, store: session's.

layout=$bench/images

# plan_first NAME STORE IMAGE WORD...: a start for which the image has to be unpacked: STORE is another one in each round.
plan_first() {
    name=$1 directory=$2
    shift 2
    plan "swiftlet-first-$name" alone "SWIFTLET_STORE=$directory" "$bench/bin/swiftlet" run "--timeline=$raw/timeline-first-$name-alone-%r.json" "$@"
}

# Fewer rounds: they take long, and agree well. Everything stays on the disk until the end: removing it is nobody's cost.
time_unpacking() {
    counted=$1
    : >"$raw/plan"
    plan_first tiny "$store/tiny-%r" "oci:$bench/tiny" /started
    plan_first busybox "$store/busybox-%r" "oci:$layout:busybox" echo started
    plan umoci-busybox any /usr/bin/umoci unpack --image "$layout:busybox" "$store/umoci-busybox-%r"
    plan_first debian "$store/debian-%r" "oci:$layout:debian" echo started
    # As after a pull: the blobs are in the store, and were verified on their way in.
    plan_first stored "$store/stored-%r" debian echo started
    plan umoci-debian any /usr/bin/umoci unpack --image "$layout:debian" "$store/umoci-debian-%r"
    [ -s "$raw/plan" ] || return 0
    round=0
    while [ "$round" -lt "$counted" ]; do
        cp -a "$store/loaded" "$store/stored-$round"
        round=$((round + 1))
    done
    echo "unpacking images, $counted rounds" >&2
    "$bench/bin/stopwatch" time "$raw/plan" "$counted" "$raw/unpacking.tsv"
    cat "$raw/unpacking.tsv" >>"$raw/samples.tsv"
    rm -rf "$store"/tiny-* "$store"/busybox-* "$store"/debian-* "$store"/stored-* "$store"/umoci-*
}

# In turns, warm and with a page cache that has been dropped.
time_cached() {
    : >"$raw/plan"
    situations=alone
    if [ -w /proc/sys/vm/drop_caches ]; then situations='alone cold'; fi
    for situation in $situations; do
        for image in busybox debian nginx java; do
            plan "swiftlet-cached-$image" "$situation" "SWIFTLET_STORE=$store/loaded" \
                "$bench/bin/swiftlet" run "--timeline=$raw/timeline-cached-$image-$situation-%r.json" "$image" echo started
        done
    done
    [ -s "$raw/plan" ] || return 0
    echo "starting images from the store, $rounds rounds" >&2
    "$bench/bin/stopwatch" time "$raw/plan" "$rounds" "$raw/cached.tsv"
    cat "$raw/cached.tsv" >>"$raw/samples.tsv"
}

# share NAME SCRIPT: two containers of the Debian image, side by side.
share() {
    "$bench/bin/stopwatch" sharing "$memory" "$raw/sharing-$1.tsv" \
        "SWIFTLET_STORE=$store/loaded" "$bench/bin/swiftlet" run debian sh -c "$2"
}

SWIFTLET_STORE=$store/loaded "$bench/bin/swiftlet" load -i "$layout" >/dev/null 2>"$raw/load.log"
time_unpacking 4
time_cached
if [ -z "$only" ] && [ -w /proc/sys/vm/drop_caches ]; then
    echo "watching what two containers share" >&2
    share idle 'echo started; sleep 4'
    share reading 'cat /usr/bin/* /usr/sbin/* /usr/lib/x86_64-linux-gnu/*.so* >/dev/null 2>&1; echo started; sleep 8'
fi
