# What a start takes beside time: the VMM's memory, then system calls. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # bench, raw, store, only: session's.

memory=536870912

# In the store of disks already.
run_swiftlet() {
    SWIFTLET_STORE=$store/started "$bench/bin/swiftlet" run "$@"
}

watch_memory() {
    echo "watching memory" >&2
    "$bench/bin/stopwatch" memory "$memory" "$raw/memory.tsv" \
        "SWIFTLET_STORE=$store/started" "$bench/bin/swiftlet" run "oci:$bench/image" sh -c 'echo started; sleep 2'

    # Twice at once: what both map from the same file is no longer private to one.
    run_swiftlet "oci:$bench/image" sleep 6 &
    sleep 2
    "$bench/bin/stopwatch" memory "$memory" "$raw/memory-two.tsv" \
        "SWIFTLET_STORE=$store/started" "$bench/bin/swiftlet" run "oci:$bench/image" sh -c 'echo started; sleep 1'
    wait
}

count_system_calls() {
    echo "counting system calls" >&2
    "$bench/bin/stopwatch" clocks "$raw/clocks"
    if SWIFTLET_STORE=$store/started /usr/bin/strace -f -ttt -e signal=none -o "$raw/strace.txt" \
        "$bench/bin/swiftlet" run "--timeline=$raw/timeline-strace.json" "oci:$bench/tiny" /started >/dev/null; then :; else
        rm -f "$raw/strace.txt"
        leave_out 'the count of system calls' 'strace failed'
    fi
}

if [ -z "$only" ]; then
    run_swiftlet "oci:$bench/image" echo unpacked >/dev/null
    run_swiftlet "oci:$bench/tiny" /started >/dev/null
    watch_memory
    count_system_calls
fi
