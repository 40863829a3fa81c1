# Disk throughput beside QEMU's microvm machine: one round of fio in the same guest (fio-init) on a disk whose file lies on the store's file system. `rounds` is the round's number. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # bench, raw, rounds, store: session's.

# In seconds of the environment's clock, for one machine: several times what it takes.
fio_limit=120
parameters="quiet loglevel=3 noreplace-smp tsc=reliable no-kvmapf panic=-1 earlyprintk=serial,0x3f8,115200,keep"
export SWIFTLET_STORE="$store/fio" TMPDIR="$store/scratch"

# note NAME ROUND: the figures among what the guest's kernel said, one line each: NAME, round, job, operations per second.
note() {
    tr -d '\r' >"$raw/fio-said"
    sed -n 's/.*figures: *//p' "$raw/fio-said" | tr ' ' '\n' | while IFS='=' read -r job figure; do
        printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$job" "$figure"
    done >"$raw/fio-last"
    if [ -s "$raw/fio-last" ]; then
        cat "$raw/fio-last" >>"$raw/fio.tsv"
        echo "  $1" >&2
    else
        echo "fio under $1 has no figures in round $2: $(tail -n 3 "$raw/fio-said")" >&2
        leave_out "fio under $1, round $2" "the machine gave no figures"
        # QEMU's are the lab's business; ours fail the round.
        [ "$1" != swiftlet ]
    fi
}

# Not the agent boots, so the machine's end is an error to swiftlet, which quotes the kernel's last words.
fio_swiftlet() {
    timeout "$fio_limit" "$bench/bin/swiftlet" run -m 512m --storage-size 64m --initrd "$bench/fio.initrd" "oci:$bench/fio" /bin/sh 2>&1 >/dev/null | note swiftlet "$1"
}

# fio_qemu NAME ROUND DEVICE-OPTIONS OPTION...: cache=writeback is the page cache, as ours; aio=native would need O_DIRECT.
fio_qemu() {
    name=$1 round=$2 device=$3
    shift 3
    rm -f "$TMPDIR/disk"
    truncate -s 64M "$TMPDIR/disk"
    timeout -s KILL "$fio_limit" /usr/bin/qemu-system-x86_64 -M microvm,accel=kvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=on,x-option-roms=off -cpu host -smp 1 -m 512M \
        -nodefaults -no-user-config -display none -no-reboot -kernel "$bench/share/swiftlet/vmlinux" -initrd "$bench/fio.initrd" -serial stdio \
        -global virtio-mmio.force-legacy=false "$@" \
        -drive "id=image,file=$bench/fio.ext4,format=raw,if=none,readonly=on" -device virtio-blk-device,drive=image,serial=image \
        -drive "id=scratch,file=$TMPDIR/disk,format=raw,if=none,cache=writeback,aio=threads" \
        -device "virtio-blk-device,drive=scratch,serial=scratch,queue-size=256$device" -append "$parameters reboot=t" </dev/null 2>&1 | note "$name" "$round"
    rm -f "$TMPDIR/disk"
}

# shellcheck disable=SC2194 # as --only asks for names of commands
case fio in
    *"$only"*)
        mkdir -p "$TMPDIR"
        # Unpacks the image.
        "$bench/bin/swiftlet" run "oci:$bench/fio" /bin/sh -c : </dev/null
        fio_swiftlet "$rounds"
        fio_qemu qemu "$rounds" ''
        fio_qemu qemu-iothread "$rounds" ,iothread=io -object iothread,id=io
        rm -f "$raw/fio-last" "$raw/fio-said"
        ;;
esac
