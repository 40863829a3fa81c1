# What the guests of the disk and the file system benchmarks need: fio, git and a compiler with their libraries, as an image for Swiftlet and as a disk for QEMU, and an initrd that runs it. Sourced by stage.bash.
# shellcheck shell=bash disable=SC2154 # benchmarks: stage.bash's.

# NAME,DIRECTION,BLOCKSIZE,DEPTH,COUNT. The first one allocates the disk's blocks.
fio_jobs=fill,write,1m,4,64
fio_jobs+=:random-read-1,randread,4k,1,2000:random-read-32,randread,4k,32,4000:random-write-1,randwrite,4k,1,2000:random-write-32,randwrite,4k,32,4000
fio_jobs+=:sequential-read,read,1m,4,128:sequential-write,write,1m,4,128

# copy_tools ROOT: git, and a compiler that is small enough to be no matter of its own.
copy_tools() {
    copy_program "$1" git
    copy_program "$1" tcc
    mkdir -p "$1/usr/lib/x86_64-linux-gnu"
    cp -r /usr/lib/x86_64-linux-gnu/tcc "$1/usr/lib/x86_64-linux-gnu/"
}

# stage_fio TREE
stage_fio() {
    local bench=$1/bench work
    copy_program "$1" mke2fs
    work=$(mktemp -d)
    mkdir -p "$work"/root/{proc,sys,dev,tmp,bin}
    copy_program "$work/root" fio
    copy_tools "$work/root"
    cp /bin/busybox "$work/root/bin/sh"
    make_image "$work/root" "$bench/fio"
    truncate -s 160M "$bench/fio.ext4"
    mke2fs -q -F -t ext4 -d "$work/root" "$bench/fio.ext4"
    mkdir -p "$work/initrd/bin"
    cp "$benchmarks/fio-init" "$work/initrd/init"
    cp /bin/busybox "$work/initrd/bin/busybox"
    printf '%s' "$fio_jobs" >"$work/initrd/jobs"
    (cd "$work/initrd" && find . | cpio --quiet --create --format=newc --owner=0:0) >"$bench/fio.initrd"
    rm -r "$work"
}
