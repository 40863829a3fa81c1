# The directory tree that the measurement runs in: every program with its libraries, the kernel, the image and its unpacked root file system.
# In the lab it is copied into memory and becomes the root directory, so that no measured command waits for the host's files.
# shellcheck shell=bash

benchmarks=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=Benchmarks/fio.bash
source "$benchmarks/fio.bash"
# shellcheck source=Benchmarks/files.bash
source "$benchmarks/files.bash"

# prepare_stage DIRECTORY
prepare_stage() {
    local tree=$1
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,etc,proc,sys,dev,run,root,tmp} "$tree"/bench/{bin,raw,share/swiftlet}
    local program
    for program in qemu-system-x86_64 crun runc strace umoci skopeo docker-registry podman conmon; do
        copy_program "$tree" "$program"
    done
    # What podman reads.
    cp -rL --parents /etc/containers /usr/share/containers "$tree/"
    mkdir -p "$tree"/var/{lib,tmp}
    # Firmware and option ROMs of its microvm machine.
    mkdir -p "$tree/usr/share/qemu"
    cp -L /usr/share/qemu/{qboot.rom,bios-microvm.bin,pvh.bin,linuxboot_dma.bin} "$tree/usr/share/qemu/"
    ldconfig -r "$tree" 2>/dev/null || true
    cp /bin/busybox "$tree/bin/busybox"
    ln -s busybox "$tree/bin/sh"

    cp build/bin/swiftlet build/bin/swiftlet-vmm build/bin/swiftlet-files build/bin/swiftlet-registry "$tree/bench/bin/"
    copy_libraries "$tree" build/bin/swiftlet-registry
    cp build/share/swiftlet/* "$tree/bench/share/swiftlet/"
    stage_unjailed "$tree/bench"
    cp .build/benchmarks/release/Stopwatch "$tree/bench/bin/stopwatch"
    make_root "$tree/bench/root"
    make_image "$tree/bench/root" "$tree/bench/image"
    mkdir -p "$tree/bench/tiny-root"
    assemble started "$tree/bench/tiny-root/started"
    make_image "$tree/bench/tiny-root" "$tree/bench/tiny"
    collect_images "$tree/bench/images" "$tree/bench/image"
    make_bundle "$tree/bench/root" "$tree/bench/bundle"
    make_initrd "$tree/bench/qemu.initrd"
    stage_fio "$tree"
    stage_files "$tree"
    fill_registry "$tree/bench/registry" "$tree/bench/images"
    cp -r "$benchmarks/session" "$benchmarks/sections" "$benchmarks/enter" "$tree/bench/"
}

# stage_unjailed BENCH: of the same version, or none.
stage_unjailed() {
    local name
    for name in swiftlet swiftlet-vmm; do
        [[ build/bench/unjailed/$name -nt build/bin/$name ]] || return 0
    done
    mkdir -p "$1/unjailed/bin" "$1/unjailed/share"
    cp build/bench/unjailed/swiftlet build/bench/unjailed/swiftlet-vmm "$1/unjailed/bin/"
    cp -r "$1/share/swiftlet" "$1/unjailed/share/"
}

# copy_program TREE NAME: with all that it loads, at the same paths.
copy_program() {
    local path
    path=$(command -v "$2" || PATH=/usr/sbin:/sbin command -v "$2") || fail "there is no $2"
    install -D "$path" "$1$path"
    copy_libraries "$1" "$path"
}

# copy_libraries TREE PROGRAM
copy_libraries() {
    local file
    while IFS= read -r file; do
        [[ -e $1$file ]] || { mkdir -p "$1${file%/*}" && cp -L "$file" "$1$file"; }
    done < <(ldd "$2" 2>/dev/null | sed -n 's/^.*[[:space:]]\(\/[^ ]*\) (.*/\1/p')
}

# The container's files: busybox and the names by which it is called here.
make_root() {
    mkdir -p "$1"/{bin,etc,proc,sys,dev,tmp,root}
    cp /bin/busybox "$1/bin/busybox"
    ln -s busybox "$1/bin/sh"
    ln -s busybox "$1/bin/echo"
    ln -s busybox "$1/bin/sleep"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
    echo 'root:x:0:' >"$1/etc/group"
}

# make_image ROOT LAYOUT: an OCI layout with one gzip layer.
make_image() {
    local tar=$2.layer digest
    tar --create --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 --directory="$1" --file="$tar" .
    digest=$(sha256sum "$tar" | cut -d ' ' -f 1)
    gzip -9 -n <"$tar" >"$tar.gz"
    write_layout "$2" "$tar.gz" +gzip "$digest"
    rm "$tar" "$tar.gz"
}

# collect_images LAYOUT BUSYBOX: one layout of what is started as `images` says: real images from the tests' recipes beside BUSYBOX.
collect_images() {
    local name
    skopeo copy -q --insecure-policy "oci:$2" "oci:$1:busybox"
    for name in debian nginx java; do
        skopeo copy -q --insecure-policy "oci:build/test-images/real/real:$name" "oci:$1:$name"
    done
    # The names by which `swiftlet load` stores them.
    for name in busybox debian nginx java; do
        skopeo copy -q --insecure-policy "oci:$1:$name" "oci:$1:docker.io/library/$name:latest"
    done
}

# fill_registry DIRECTORY LAYOUT: what a docker-registry serves from there: the images that are pulled.
fill_registry() {
    local log=$1.log registry port='' name
    printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 127.0.0.1:0}\n' "$1" >"$1.yml"
    : >"$log"
    docker-registry serve "$1.yml" >"$log" 2>&1 &
    registry=$!
    for _ in {1..100}; do
        port=$(grep -oE 'listening on 127\.0\.0\.1:[0-9]+' "$log" | grep -oE '[0-9]+$') && break
        sleep 0.1
    done
    for name in busybox debian; do
        if [[ -z $port ]] || ! skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$2:$name" "docker://127.0.0.1:$port/bench/$name"; then
            kill "$registry" || true
            tail -n 5 "$log" >&2
            fail "docker-registry did not take the images"
        fi
    done
    kill "$registry"
    wait "$registry" || true
    rm -f "$log" "$1.yml"
}

# write_layout DIRECTORY LAYER SUFFIX DIFFID
write_layout() {
    local blobs=$1/blobs/sha256 layer config manifest
    mkdir -p "$blobs"
    layer=$(add_blob "$blobs" <"$2")
    config=$(printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$4" |
        add_blob "$blobs")
    manifest=$(printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar%s",%s}]}' \
        "$config" "$3" "$layer" | add_blob "$blobs")
    printf '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s}]}' "$manifest" >"$1/index.json"
}

# add_blob DIRECTORY: keeps standard input under its digest; prints the descriptor's two fields.
add_blob() {
    local digest
    cat >"$1/new"
    digest=$(sha256sum "$1/new" | cut -d ' ' -f 1)
    printf '"digest":"sha256:%s","size":%s' "$digest" "$(stat -c %s "$1/new")"
    mv "$1/new" "$1/$digest"
}

# make_bundle ROOT BUNDLE: what `runc spec` gives, without a terminal, for the same command.
make_bundle() {
    mkdir -p "$2"
    cp -a "$1" "$2/rootfs"
    rm -f "$2/config.json"
    (cd "$2" && runc spec)
    sed -i -e 's/"terminal": true/"terminal": false/' -e 's|^\(\t*\)"sh"|\1"/bin/echo", "started"|' "$2/config.json"
    grep -q started "$2/config.json" || fail "runc's spec has changed: correct make_bundle"
}

# assemble NAME OUTPUT: a static program of one page from NAME.s.
assemble() {
    as --64 -o "$2.o" "$benchmarks/$1.s"
    ld -n -s -o "$2" "$2.o"
    rm "$2.o"
}

make_initrd() {
    local work
    work=$(mktemp -d)
    assemble init "$work/init"
    (cd "$work" && echo init | cpio --quiet --create --format=newc --owner=0:0) >"$1"
    rm -r "$work"
}
