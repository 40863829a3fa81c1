# What two containers of an image share. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # bench, raw, memory, store, only: session's.

# share NAME SCRIPT: two containers of the Debian image, side by side.
share() {
    "$bench/bin/stopwatch" sharing 536870912 "$raw/sharing-$1.tsv" \
        "SWIFTLET_STORE=$store/loaded" "$bench/bin/swiftlet" run debian sh -c "$2"
}

if [ -z "$only" ] && [ -w /proc/sys/vm/drop_caches ]; then
    echo "watching what two containers share" >&2
    SWIFTLET_STORE=$store/loaded "$bench/bin/swiftlet" load -i "$bench/images" >/dev/null 2>"$raw/load.log"
    # Unpacks it.
    SWIFTLET_STORE=$store/loaded "$bench/bin/swiftlet" run debian true
    share idle 'echo started; sleep 4'
    share reading 'cat /usr/bin/* /usr/sbin/* /usr/lib/x86_64-linux-gnu/*.so* >/dev/null 2>&1; echo started; sleep 8'
fi
