# Starts from the store of disks, of four images in turns, warm and with a page cache that has been dropped. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # bench, raw, rounds, store: session's.

begin_plan
situations=alone
if [ -w /proc/sys/vm/drop_caches ]; then situations='alone cold'; fi
for situation in $situations; do
    for image in busybox debian nginx java; do
        plan "swiftlet-cached-$image" "$situation" "SWIFTLET_STORE=$store/loaded" \
            "$bench/bin/swiftlet" run "--timeline=$raw/timeline-cached-$image-$situation-%r.json" "$image" echo started
    done
done
if [ -s "$raw/plan" ]; then
    SWIFTLET_STORE=$store/loaded "$bench/bin/swiftlet" load -i "$bench/images" >/dev/null 2>"$raw/load.log"
fi
time_plan 'starts from the store of disks' "$rounds" cached
