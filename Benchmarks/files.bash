# What the guest of the file system benchmark needs beside the disk benchmark's: an initrd that does the work, and a tree of files. Sourced by stage.bash.
# shellcheck shell=bash disable=SC2154 # benchmarks: stage.bash's.

# stage_files TREE: after stage_fio.
stage_files() {
    local bench=$1/bench work
    copy_program "$1" fio
    copy_tools "$1"
    # Debian has it where QEMU looks for it.
    install -D /usr/lib/qemu/virtiofsd "$1/usr/lib/qemu/virtiofsd"
    copy_libraries "$1" /usr/lib/qemu/virtiofsd
    work=$(mktemp -d)
    # A thousand headers of the kernel in fifty directories, programs that use them, and git's repository of all of it.
    mkdir "$work/tree" "$work/tree/src"
    cp -rL /usr/include/linux /usr/include/asm-generic /usr/include/rdma /usr/include/sound /usr/include/x86_64-linux-gnu/asm "$work/tree/"
    write_sources "$work/tree"
    make_repository "$work/tree"
    tar --create --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 --directory="$work" --file="$bench/files.tar" tree
    mkdir -p "$work"/initrd/bin
    cp "$benchmarks/files-init" "$work/initrd/init"
    cp "$benchmarks/files-init" "$bench/files-init"
    cp /bin/busybox "$work/initrd/bin/busybox"
    cp "$bench/files.tar" "$work/initrd/"
    (cd "$work/initrd" && find . | cpio --quiet --create --format=newc --owner=0:0) >"$bench/files.initrd"
    rm -r "$work"
}

# write_sources TREE: a hundred programs, each with a header that can be compiled by itself and what that includes.
write_sources() {
    local header count=0
    for header in "$1"/linux/*.h; do
        header=linux/${header##*/}
        echo "#include <$header>" >"$1/src/$count.c"
        ! (cd "$1" && tcc -nostdinc -I . -I /usr/lib/x86_64-linux-gnu/tcc/include -c -o src/object.o "src/$count.c") >/dev/null 2>&1 || count=$((count + 1))
        # As a file of its own: tcc removes what its output is called, /dev/null too.
        rm -f "$1/src/object.o"
        ((count < 100)) || return 0
    done
    fail "only $count of the kernel's headers can be compiled"
}

# make_repository TREE: the same bytes each time.
make_repository() {
    local git=(env GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' git -C "$1" -c user.name=bench -c user.email=bench@localhost)
    "${git[@]}" init --quiet --initial-branch=main
    "${git[@]}" add --all
    "${git[@]}" commit --quiet --message=headers
    "${git[@]}" gc --quiet
}
