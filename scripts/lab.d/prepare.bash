# Installs and caches what the lab needs: Debian packages, an unpacked Debian kernel, and an initramfs.
# Part of scripts/lab: they share their variables.
# shellcheck shell=bash disable=SC2034,SC2154

lab_cache=${SWIFTLET_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/swiftlet}/lab
readonly lab_cache
readonly busybox=/bin/busybox
# The modules that the machine needs before it can reach the host's files, and KVM. All others are
# loaded from the kernel's package when something asks for them.
readonly lab_modules=(virtio_pci virtio_console 9pnet_virtio 9p overlay kvm_amd)

# Each tool with the package that has it.
readonly lab_tools=(
    qemu-system-x86_64:qemu-system-x86 busybox:busybox-static depmod:kmod modprobe:kmod cpio:cpio lz4:lz4
    xz:xz-utils perl:perl-base mke2fs:e2fsprogs setpriv:util-linux flock:util-linux tar:tar
)

# prepare MODE: afterwards $kernel_image, $initramfs and $modules_directory name files that exist.
prepare() {
    local verbose=
    [[ $1 != prepare ]] || verbose=1
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    install_packages "${lab_tools[@]}"
    mkdir -p "$lab_cache" || fail "cannot create the cache directory $lab_cache; set SWIFTLET_CACHE to a directory you may write"
    local lock
    exec {lock}>"$lab_cache/lock"
    flock "$lock"
    local kernel version mending
    mending=interrupt_shadow-$(cat "$lab_sources"/interrupt-shadow/* | sha256sum | cut -c 1-16).ko
    [[ -e $lab_cache/kernel/$mending ]] || unpack_kernel "$mending"
    kernel=$(realpath "$lab_cache/kernel")
    version=$(cd "$kernel/lib/modules" && printf '%s\n' *)
    modules_directory=$kernel/lib/modules/$version
    build_initramfs "$kernel" "$version" "$mending"
    exec {lock}>&-
    kernel_image=${SWIFTLET_LAB_KERNEL:-$kernel/vmlinux}
    [[ -f $kernel_image ]] || fail "the kernel image $kernel_image does not exist; unset SWIFTLET_LAB_KERNEL or name a file"
    emulator=${SWIFTLET_LAB_QEMU:-qemu-system-x86_64}
    type -P "$emulator" >/dev/null || fail "the emulator $emulator does not exist; unset SWIFTLET_LAB_QEMU or name a program"
    [[ -z $verbose ]] || printf 'lab: ready (Linux %s, %s)\n' "$version" "$lab_cache" >&2
}

# install_packages TOOL:PACKAGE...: those whose tools are missing.
install_packages() {
    local tool missing=()
    for tool; do
        type -P "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
    done
    # The initramfs has no C library: Debian's other busybox package won't do.
    if [[ " $* " == *:busybox-static\ * && -e $busybox && " ${missing[*]} " != *" busybox-static "* ]] && ldd "$busybox" >/dev/null 2>&1; then
        missing+=(busybox-static)
    fi
    ((${#missing[@]} > 0)) || return 0
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    local install=(apt-get install -y --no-install-recommends "${missing[@]}")
    ((EUID == 0)) || fail "packages are missing; as root, run: ${install[*]}"
    type -P apt-get >/dev/null || fail "packages are missing and there is no apt-get; install these of Debian's: ${missing[*]}"
    printf 'lab: installing %s\n' "${missing[*]}" >&2
    install=("${install[0]}" -o DPkg::Lock::Timeout=600 "${install[@]:1}")
    local log
    log=$(mktemp)
    if ! DEBIAN_FRONTEND=noninteractive "${install[@]}" </dev/null >"$log" 2>&1; then
        # The package lists may be missing or old.
        if ! { apt-get update && DEBIAN_FRONTEND=noninteractive "${install[@]}"; } </dev/null >>"$log" 2>&1; then
            fail "could not install packages (its log: $log); run: apt-get update && ${install[*]}"
        fi
    fi
    rm -f "$log"
}

# kernel_package: prints the name of the package that linux-image-amd64 stands for today. (The cloud
# flavour has no 9p.)
kernel_package() {
    apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1
}

# download_kernel DIRECTORY: fetches the kernel's package; sets $package.
download_kernel() {
    package=$(kernel_package)
    [[ -n $package ]] && (cd "$1" && apt-get download "$package") </dev/null >"$1/log" 2>&1
}

# unpack_kernel MODULE: unpacks Debian's kernel into the cache, without installing it: $lab_cache/kernel is a link to
# kernel-PACKAGEVERSION/{vmlinux,lib/modules/…,MODULE}.
unpack_kernel() {
    local package work
    printf 'lab: unpacking the kernel of linux-image-amd64\n' >&2
    work=$(mktemp -d "$lab_cache/building.XXXXXX")
    # The package lists may be missing or old.
    if ! download_kernel "$work" && ! { ((EUID == 0)) && apt-get update </dev/null >/dev/null 2>&1 && download_kernel "$work"; }; then
        mv "$work/log" "$lab_cache/download.log" 2>/dev/null || true
        rm -rf "$work"
        [[ -n $package ]] || fail "apt knows no linux-image-amd64, whose kernel the lab boots; as root, run: apt-get update"
        fail "could not download $package (its log: $lab_cache/download.log); as root, run: apt-get update"
    fi
    local archive=("$work"/*.deb) version
    version=$(dpkg-deb --field "${archive[0]}" Version)
    dpkg-deb --extract "${archive[0]}" "$work/files" || fail "could not unpack $package into $work; is the disk full?"
    mkdir "$work/kernel"
    mkdir "$work/kernel/lib"
    mv "$work/files/lib/modules" "$work/kernel/lib/" 2>/dev/null || mv "$work/files/usr/lib/modules" "$work/kernel/lib/"
    depmod --basedir "$work/kernel" "${package#linux-image-}"
    uncompress_kernel "$work"/files/boot/vmlinuz-* "$work/kernel/vmlinux"
    build_mending_module "$work" "${package#linux-image-}" "$work/kernel/$1"
    chmod -R go+rX "$work/kernel"
    rm -rf "$lab_cache/kernel-$version"
    mv "$work/kernel" "$lab_cache/kernel-$version"
    ln -sfn "kernel-$version" "$lab_cache/kernel"
    rm -rf "$work"
}

# build_mending_module WORKDIRECTORY KERNELVERSION OUTPUT: the module that mends the emulator's VMRUN (docs/lab.md, "Interrupts between STI and HLT").
build_mending_module() {
    local headers=linux-headers-$2 packages archive tree compiler
    mapfile -t packages < <(apt-cache depends "$headers" 2>/dev/null | sed -n 's/^ *Depends: \(linux-headers-.*-common\|linux-kbuild-.*\)$/\1/p')
    mkdir "$1/headers" "$1/module"
    (cd "$1/headers" && apt-get download "$headers" "${packages[@]}") </dev/null >"$lab_cache/download.log" 2>&1 ||
        fail "could not download $headers (apt-get's log: $lab_cache/download.log); as root, run: apt-get update"
    for archive in "$1"/headers/*.deb; do dpkg-deb --extract "$archive" "$1/headers"; done
    tree=$1/headers/usr/src/$headers
    sed -i "s#^include /usr/src/#include $1/headers/usr/src/#" "$tree/Makefile"
    # The one that compiled the kernel.
    compiler=$(sed -n 's/^CC *=.*\(gcc-[0-9]*\)$/\1/p' "$tree/.kernelvariables")
    install_packages "${compiler:-gcc}:${compiler:-gcc}" make:make
    cp "$lab_sources"/interrupt-shadow/* "$1/module/"
    make -C "$tree" "M=$1/module" modules </dev/null >"$lab_cache/module.log" 2>&1 ||
        fail "could not compile a module for Linux $2 (its log: $lab_cache/module.log)"
    strip --strip-debug -o "$3" "$1/module/interrupt_shadow.ko"
    rm "$lab_cache/download.log" "$lab_cache/module.log"
}

# uncompress_kernel BZIMAGE OUTPUT: the ELF image inside, which QEMU starts through its PVH entry. Emulated,
# unpacking it at every boot takes three seconds.
uncompress_kernel() {
    local offset
    # LC_ALL=C and -a: the image is bytes. The payload follows the set-up code of some 20 KiB.
    while IFS=: read -r offset _; do
        tail -c "+$((offset + 1))" "$1" | xz --decompress --single-stream --quiet >"$2" 2>/dev/null || true
        [[ $(head -c 4 "$2" | od -An -c | tr -d ' ') == 177ELF ]] && return
    done < <(LC_ALL=C grep --text --byte-offset --only-matching --perl-regexp '\xFD7zXZ\x00' "$1" | LC_ALL=C tr -cd '0-9:\n')
    # Not compressed with xz: QEMU boots the whole image, only more slowly.
    cp "$1" "$2"
}

# build_initramfs KERNELDIRECTORY VERSION MODULE: sets $initramfs, which is named by a hash of what goes into it.
build_initramfs() {
    local hash
    hash=$({ printf '%s\n' "$1" "$2" "$3" "${lab_modules[@]}"; cat "$lab_sources/init" "$lab_sources/prepare.bash" "$busybox"; } | sha256sum)
    initramfs=$lab_cache/${hash:0:16}/initramfs
    [[ ! -f $initramfs ]] || return 0
    local work module paths index=10
    work=$(mktemp -d "$lab_cache/building.XXXXXX")
    mkdir -p "$work"/root/{bin,sbin,dev,proc,sys,host,writable,root,job,pipes,modules,mending} "$work/result"
    cp "$busybox" "$work/root/bin/busybox"
    cp "$lab_sources/init" "$work/root/init"
    # An absolute link: with the lab's root mounted over the initramfs, .. would lead into that.
    ln -s /init "$work/root/sbin/modprobe"
    chmod 755 "$work/root/init" "$work/root/bin/busybox"
    mapfile -t paths < <(for module in "${lab_modules[@]}"; do
        modprobe --dirname "$1" --set-version "$2" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++')
    for module in "${paths[@]}"; do
        # The number keeps the order in which they depend on each other.
        unpack_module "$module" "$work/root/modules/$index-$(basename "$module" | sed 's/\.ko.*/.ko/')"
        index=$((index + 1))
    done
    cp "$1/$3" "$work/root/mending/interrupt_shadow.ko"
    (cd "$work/root" && find . | cpio --quiet --create --format=newc --owner=0:0) | lz4 -l -9 --quiet - "$work/result/initramfs"
    rm -rf "${initramfs%/*}"
    mv "$work/result" "${initramfs%/*}"
    rm -rf "$work"
}

# unpack_module FROM TO: newer Debian kernels have their modules compressed. Each has a signature at its end:
# its length in four bytes, and a magic of 28. Left away, for checking it takes longer than loading the module.
unpack_module() {
    local size length
    case $1 in
        *.xz) xz --decompress --stdout "$1" >"$2" ;;
        *) cp "$1" "$2" ;;
    esac
    [[ $(tail -c 28 "$2") == '~Module signature appended~' ]] || return 0
    size=$(stat --format %s "$2")
    length=$((16#$(tail -c 32 "$2" | head -c 4 | od -An -tx1 | tr -d ' ')))
    truncate --size $((size - 28 - 12 - length)) "$2"
}
