# What the guest of the file system benchmark needs beside the disk benchmark's: an initrd that does the work, and a tree of files. Sourced by stage.bash.
# shellcheck shell=bash disable=SC2154 # benchmarks: stage.bash's.

# stage_files TREE: after stage_fio.
stage_files() {
    local bench=$1/bench work
    copy_program "$1" fio
    # Debian has it where QEMU looks for it.
    install -D /usr/lib/qemu/virtiofsd "$1/usr/lib/qemu/virtiofsd"
    copy_libraries "$1" /usr/lib/qemu/virtiofsd
    work=$(mktemp -d)
    # A thousand headers of the kernel, in fifty directories.
    mkdir "$work/tree"
    cp -rL /usr/include/linux /usr/include/asm-generic /usr/include/rdma /usr/include/sound "$work/tree/"
    tar --create --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 --directory="$work" --file="$bench/files.tar" tree
    mkdir -p "$work"/initrd/bin
    cp "$benchmarks/files-init" "$work/initrd/init"
    cp "$benchmarks/files-init" "$bench/files-init"
    cp /bin/busybox "$work/initrd/bin/busybox"
    cp "$bench/files.tar" "$work/initrd/"
    (cd "$work/initrd" && find . | cpio --quiet --create --format=newc --owner=0:0) >"$bench/files.initrd"
    rm -r "$work"
}
