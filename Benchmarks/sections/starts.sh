# A start to its end, beside QEMU's microvm machine and two runtimes without virtual machines. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # bench, raw, rounds, store: session's.

# Beside what each needs for its own end and its own devices, both kernels get the same parameters.
parameters="quiet loglevel=3 noreplace-smp tsc=reliable no-kvmapf panic=-1 reboot=t"
machine=microvm,accel=kvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=off,x-option-roms=off,auto-kernel-cmdline=off
# The discarded rounds unpack the images into it.
started=SWIFTLET_STORE=$store/started

plan_situation() {
    plan swiftlet-tiny "$1" "$started" "$bench/bin/swiftlet" run "--timeline=$raw/timeline-tiny-$1-%r.json" "oci:$bench/tiny" /started
    plan swiftlet "$1" "$started" "$bench/bin/swiftlet" run "--timeline=$raw/timeline-$1-%r.json" "oci:$bench/image" echo started
    plan qemu "$1" /usr/bin/qemu-system-x86_64 -M "$machine" -cpu host -smp 1 -m 512M -nodefaults -no-user-config \
        -display none -no-reboot -kernel "$bench/share/swiftlet/vmlinux" -initrd "$bench/qemu.initrd" -append "$parameters"
    # The machine as it comes: interrupt controller, timer, clock and serial port of a PC, its own additions to the parameters.
    plan qemu-plain "$1" /usr/bin/qemu-system-x86_64 -M microvm,accel=kvm -cpu host -smp 1 -m 512M -nodefaults -no-user-config \
        -display none -no-reboot -kernel "$bench/share/swiftlet/vmlinux" -initrd "$bench/qemu.initrd" -append "$parameters"
}

# A runtime that can't run here at all (an old cgroup layout) is left out, and the report says so.
plan_runtime() {
    if "$2" run --bundle "$bench/bundle" bench-trial >/dev/null 2>"$raw/$1.log"; then
        rm -f "$raw/$1.log"
        plan "$1" any "$2" run --bundle "$bench/bundle" "bench-$1"
    else
        leave_out "$1" "$(tail -n 1 "$raw/$1.log")"
    fi
}

begin_plan
plan_situation alone
plan_situation beside
plan_runtime crun /usr/bin/crun
plan_runtime runc /usr/sbin/runc
plan echo any "$bench/root/bin/busybox" echo started
time_plan 'starts' "$rounds" starts
