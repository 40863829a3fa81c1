# What the jail costs a start: beside an installation whose machines have no wall but KVM's (`make unjailed`), in turns. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # bench, raw, rounds, store: session's.

begin_plan
if [ -x "$bench/unjailed/bin/swiftlet" ]; then
    # The same container, confined alike, from the same disk. The discarded rounds unpack it.
    plan jailed any "SWIFTLET_STORE=$store/jail" "$bench/bin/swiftlet" run "oci:$bench/image" echo started
    plan unjailed any "SWIFTLET_STORE=$store/jail" "$bench/unjailed/bin/swiftlet" run --cgroups=disabled "oci:$bench/image" echo started
else
    leave_out 'the cost of the jail' 'there is no installation without it: make unjailed'
fi
# Waits end with ticks of the kernel, so that only many rounds tell a millisecond.
time_plan 'starts with and without the jail' "$((rounds * 2))" jail
