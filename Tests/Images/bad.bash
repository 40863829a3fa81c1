# Images that must be refused, each with one sentence; and those that try to climb out and must stay inside.
# shellcheck shell=bash

readonly busybox=$BASIC/busybox.tar.gz
tree=$SCRATCH/tree
mkdir -p "$tree"
printf 'out\n' >"$tree/file"

# with NAME=VALUE write_layout …: one setting for one layout.
with() {
    local "$1"
    shift
    "$@"
}

# Documents.
with layer_type=application/vnd.example.layer.v1.tar+7z write_layout unknown-layer-type "$busybox"
with manifest_type=application/vnd.example.manifest.v9+json write_layout unknown-manifest-type "$busybox"
with architecture=arm64 write_layout wrong-architecture "$busybox"
with command=null write_layout no-command "$busybox"
with command='[5]' write_layout invalid-configuration "$busybox"

# Damage: what the digests find.
for role in manifest configuration layer; do
    for damage in corrupted truncated missing; do
        write_layout "$role-$damage" "$busybox"
        blob=$role-$damage/$(readlink "$role-$damage/$role")
        case $damage in
            corrupted) flip_byte "$blob" $(($(stat -c %s "$blob") / 2)) ;;
            truncated) truncate -s -1 "$blob" ;;
            missing) rm "$blob" ;;
        esac
        rm "$role-$damage"/{manifest,configuration,layer}
    done
done

# Damage that the digests do not find: it was there when they were made.
zcat "$busybox" >"$SCRATCH/whole.tar"
zstd -q "$SCRATCH/whole.tar" -o "$SCRATCH/whole.tar.zst"
head -c 100000 "$SCRATCH/whole.tar" >"$SCRATCH/cut.tar"
head -c 100000 "$busybox" >"$SCRATCH/cut.tar.gz"
head -c 100000 "$SCRATCH/whole.tar.zst" >"$SCRATCH/cut.tar.zst"
printf 'x%.0s' {1..10000} | tee "$SCRATCH/nonsense.tar" >"$SCRATCH/nonsense.tar.gz"
write_layout cut-tar "$SCRATCH/cut.tar"
write_layout cut-gzip "$SCRATCH/cut.tar.gz"
write_layout cut-zstd "$SCRATCH/cut.tar.zst"
write_layout nonsense-tar "$SCRATCH/nonsense.tar"
write_layout nonsense-gzip "$SCRATCH/nonsense.tar.gz"

# Climbing out. Each is a layer above busybox.
climb() {
    local name=$1
    shift
    tar --create --absolute-names "${plain[@]}" --directory="$tree" --file="$SCRATCH/$name.tar" "$@"
    write_layout "$name" "$busybox" "$SCRATCH/$name.tar"
}
climb dotdot --transform='s,^file$,../../escaped,' file
climb inner-dotdot --transform='s,^file$,etc/../../../escaped,' file
climb absolute --transform='s,^file$,/escaped,' file
ln "$tree/file" "$tree/hard"
climb hard-link-out --transform='flags=h;s,^file$,../../../init,' --transform='flags=r;s,^hard$,stolen,' file hard
rm "$tree/hard"
# A link to the outside, then a file through it.
for way in root:/ parent:/.. relative:../../../../.. proc-root:/proc/1/root proc-directory:/proc/self/cwd; do
    name=link-${way%%:*}
    ln -sfn "${way#*:}" "$tree/way"
    tar --create "${plain[@]}" --directory="$tree" --file="$SCRATCH/$name.tar" way
    tar --append --absolute-names "${plain[@]}" --transform='s,^file$,way/escaped,' --directory="$tree" --file="$SCRATCH/$name.tar" file
    write_layout "$name" "$busybox" "$SCRATCH/$name.tar"
done
# A layer that isn't what the configuration says, a bad one upon good ones, and the same with a good one in its place.
with last_diff_id="sha256:$(printf '0%.0s' {1..64})" write_layout wrong-diff-id "$busybox" "$SCRATCH/absolute.tar"
write_layout spoiled "$busybox" "$SCRATCH/absolute.tar" "$SCRATCH/cut.tar"
write_layout corrected "$busybox" "$SCRATCH/absolute.tar" "$SCRATCH/link-root.tar"

# Whiteouts of something else than a name in their directory.
climb whiteout-parent --transform='s,^file$,etc/.wh...,' file
climb whiteout-self --transform='s,^file$,etc/.wh..,' file
climb whiteout-nothing --transform='s,^file$,.wh.,' file
climb whiteout-above --transform='s,^file$,../.wh.bin,' file
ln -sfn way "$tree/way"
tar --create "${plain[@]}" --directory="$tree" --file="$SCRATCH/whiteout-loop.tar" way
tar --append "${plain[@]}" --transform='s,^file$,way/.wh.bin,' --directory="$tree" --file="$SCRATCH/whiteout-loop.tar" file
write_layout whiteout-loop "$busybox" "$SCRATCH/whiteout-loop.tar"

# Whiteouts through links of the layer below, which lead out or elsewhere, and of a link.
mkdir -p "$SCRATCH"/below/{keep,emptied/old,stays} "$SCRATCH"/above/{out,up,proc,alias,keep/b}
: | tee "$SCRATCH"/below/{marker,keep/{a,b,c},emptied/file,stays/file} "$SCRATCH"/above/{out/.wh.a,up/.wh.marker,proc/.wh.bin,alias/.wh..wh..opq,.wh.link} \
    >"$SCRATCH/above/keep/b/.wh.inside"
ln -s /../../keep "$SCRATCH/below/out"
ln -s ../../../.. "$SCRATCH/below/up"
ln -s /proc/1/root "$SCRATCH/below/proc"
ln -s emptied "$SCRATCH/below/alias"
ln -s stays "$SCRATCH/below/link"
tar --create "${plain[@]}" --directory="$SCRATCH/below" --transform='s,^proc,way,' --file="$SCRATCH/below.tar" keep emptied stays marker out up proc alias link
(cd "$SCRATCH/above" && find . -type f -printf '%P\n' | sort) |
    tar --create "${plain[@]}" --directory="$SCRATCH/above" --transform='s,^proc,way,' --files-from=- --file="$SCRATCH/above.tar"
write_layout whiteouts "$busybox" "$SCRATCH/below.tar" "$SCRATCH/above.tar"
# Everything below goes, the layer's own stays, although the marker comes last.
cp "$SCRATCH/whole.tar" "$SCRATCH/opaque-root.tar"
tar --append "${plain[@]}" --transform='s,^file$,.wh..wh..opq,' --directory="$tree" --file="$SCRATCH/opaque-root.tar" file
write_layout opaque-root "$busybox" "$SCRATCH/absolute.tar" "$SCRATCH/opaque-root.tar"

# The files that the runtime writes, turned into links to a file of the image.
rm "$tree/way"
mkdir "$tree/etc"
for name in hosts hostname resolv.conf; do ln -s /bin/busybox "$tree/etc/$name"; done
climb injected etc

# 10 GiB of zeros in 10 MiB: a header, then many members of the same 64 MiB.
truncate -s 10G "$tree/bomb"
head -c 64M /dev/zero >"$SCRATCH/zeros"
# The header alone; tar notices that nobody wants the rest.
tar --create --format=gnu "${plain[@]}" --directory="$tree" bomb 2>/dev/null | head -c 512 >"$SCRATCH/header" || true
head -c 1024 /dev/zero >"$SCRATCH/end"
for kind in gzip zstd; do
    suffix=gz
    pack=(gzip -9n)
    if [[ $kind == zstd ]]; then
        suffix=zst
        pack=(zstd -q -1)
    fi
    "${pack[@]}" <"$SCRATCH/zeros" >"$SCRATCH/zeros.$suffix"
    {
        "${pack[@]}" <"$SCRATCH/header"
        for _ in {1..160}; do cat "$SCRATCH/zeros.$suffix"; done
        "${pack[@]}" <"$SCRATCH/end"
    } >"$SCRATCH/bomb.tar.$suffix"
    # Nobody gets to the end, where the digest of 10 GiB would be compared.
    with last_diff_id="sha256:$(printf '0%.0s' {1..64})" write_layout "bomb-$kind" "$busybox" "$SCRATCH/bomb.tar.$suffix"
done

# Other files.
head -c 1M "$BASIC/busybox.oci.tar" >truncated.oci.tar
head -c 1M "$BASIC/busybox.docker.tar" >truncated.docker.tar
cp "$BASIC/busybox.oci.tar" corrupted.oci.tar
flip_byte corrupted.oci.tar $(($(stat -c %s corrupted.oci.tar) / 2))
cp "$BASIC/busybox.docker.tar" corrupted.docker.tar
flip_byte corrupted.docker.tar $(($(stat -c %s corrupted.docker.tar) / 2))
gzip -1n <"$BASIC/busybox.oci.tar" >compressed.oci.tar.gz
printf 'this is no archive\n' >text
: >empty
mkdir nothing
