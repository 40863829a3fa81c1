# Work on files of the host: one round of files-init in the same guest under Swiftlet and under QEMU with its virtiofsd, and without a guest. `rounds` is the round's number. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # bench, raw, rounds, store: session's.

# In seconds of the environment's clock, for one machine: several times what it takes.
files_limit=200
parameters="quiet loglevel=3 noreplace-smp tsc=reliable no-kvmapf panic=-1 earlyprintk=serial,0x3f8,115200,keep"
export SWIFTLET_STORE="$store/fio" TMPDIR="$store/scratch"

# note_files NAME ROUND: the figures among what was said, one line each: NAME, round, job, milliseconds.
note_files() {
    tr -d '\r' >"$raw/files-said"
    sed -n 's/.*figures: *//p' "$raw/files-said" | tr ' ' '\n' | while IFS='=' read -r job figure; do
        printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$job" "$figure"
    done >"$raw/files-last"
    if [ -s "$raw/files-last" ]; then
        cat "$raw/files-last" >>"$raw/files.tsv"
        echo "  $1" >&2
    else
        echo "the files' benchmark under $1 has no figures in round $2: $(tail -n 3 "$raw/files-said")" >&2
        leave_out "files under $1, round $2" "the machine gave no figures"
        # QEMU's are the lab's business; ours fail the round.
        [ "$1" != swiftlet ]
    fi
    rm -rf "$store/files"
    mkdir -p "$store/files"
}

# Not the agent boots, so the machine's end is an error to swiftlet, which quotes the kernel's last words.
files_swiftlet() {
    timeout "$files_limit" "$bench/bin/swiftlet" run -m 512m -v "$store/files:/files" --initrd "$bench/files.initrd" "oci:$bench/fio" /bin/sh 2>&1 >/dev/null | note_files swiftlet "$1"
}

# virtiofsd needs guest RAM that it can map.
files_qemu() {
    rm -f "$TMPDIR/virtiofsd"
    /usr/lib/qemu/virtiofsd --socket-path="$TMPDIR/virtiofsd" -o "source=$store/files,cache=auto,xattr,sandbox=chroot" --thread-pool-size=1 >"$raw/virtiofsd-said" 2>&1 &
    server=$!
    while [ ! -S "$TMPDIR/virtiofsd" ]; do sleep 0.1; done
    timeout -s KILL "$files_limit" /usr/bin/qemu-system-x86_64 -M microvm,accel=kvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=on,x-option-roms=off,memory-backend=ram -cpu host -smp 1 -m 512M \
        -object memory-backend-memfd,id=ram,size=512M,share=on -nodefaults -no-user-config -display none -no-reboot -kernel "$bench/share/swiftlet/vmlinux" -initrd "$bench/files.initrd" -serial stdio \
        -global virtio-mmio.force-legacy=false -drive "id=image,file=$bench/fio.ext4,format=raw,if=none,readonly=on" -device virtio-blk-device,drive=image,serial=image \
        -chardev "socket,id=files,path=$TMPDIR/virtiofsd" -device vhost-user-fs-device,chardev=files,tag=files,queue-size=512 -append "$parameters reboot=t" </dev/null 2>&1 | note_files qemu "$1"
    kill "$server" 2>/dev/null || :
    wait "$server" 2>/dev/null || :
}

# shellcheck disable=SC2194 # as --only asks for names of commands
case files in
    *"$only"*)
        mkdir -p "$TMPDIR" "$store/files"
        # Unpacks the image.
        "$bench/bin/swiftlet" run "oci:$bench/fio" /bin/sh -c : </dev/null
        files_swiftlet "$rounds"
        files_qemu "$rounds"
        # What a bind mount of a container without a machine is.
        "$bench/files-init" "$store/files" 2>&1 | note_files host "$rounds"
        rm -f "$raw/files-last" "$raw/files-said"
        ;;
esac
