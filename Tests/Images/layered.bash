# Everything that the image specification lets a layer hold, above busybox.
#
#   layered     gzip with pax headers, zstd with GNU headers, uncompressed, and sparse files in each of the formats
#   many        busybox under 126 layers more
#   more        the same under 173 more: more layers than parts of a disk
# shellcheck shell=bash

# Layer 2: what there is to be kept, hidden or replaced later.
data=$SCRATCH/one/data
mkdir -p "$data"/{opaque/below,becomes-file/inside,group-directory,empty}
cd "$data"
printf 'kept\n' >keep
printf 'removed\n' >removed
mkdir removed-directory && printf 'x\n' >removed-directory/file
printf 'old\n' | tee opaque/old opaque/below/old becomes-directory becomes-file/inside/file >replaced
printf 'linked\n' >hard-a
ln hard-a hard-b
ln -s keep link
ln -s /data/keep absolute-link
ln -s nowhere dangling
long=$(printf 'n%.0s' {1..200})
mkdir -p "$long/$long"
printf 'long\n' >"$long/$long/file"
ln -s "/$long/$long" long-link
printf 'bytes\n' >$'not-utf8-\xff\xfe'
printf 'blank\n' >'a name with blanks'
truncate -s 10M sparse && printf 'tail' >>sparse && printf 'middle' | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none
mknod characters c 1 3 && chmod 666 characters
mknod blocks b 7 1 && chmod 640 blocks
mkfifo -m 620 pipe
printf '#!/bin/sh\n' >set-id
: >large-owner
: >dated
: >coloured
chown 1234:2345 set-id characters pipe
chown -h 1234:2345 link
chmod 6755 set-id
chmod 2775 group-directory
chown 3000000:3000001 large-owner
chmod 0000 large-owner
touch -d '2001-02-03 04:05:06.123456789Z' dated
cd - >/dev/null
keep_times=(--sort=name --numeric-owner)
tar --create --format=pax "${keep_times[@]}" --directory="$SCRATCH/one" --exclude=data/coloured --file="$SCRATCH/one.tar" data
# Attributes by way of the header: the builder's file system need not have any.
tar --append --format=pax "${keep_times[@]}" --pax-option='SCHILY.xattr.user.colour:=blue green' --directory="$SCRATCH/one" \
    --file="$SCRATCH/one.tar" data/coloured
gzip -9n "$SCRATCH/one.tar"

# Layer 3: whiteouts, replacements, a hard link to a file of the layer below; GNU's long names and sparse files.
data=$SCRATCH/two/data
mkdir -p "$data"/{opaque,becomes-directory,"$long/$long"}
cd "$data"
: >.wh.removed
: >.wh.removed-directory
: >.wh.never-existed
: >opaque/.wh..wh..opq
printf 'new\n' | tee opaque/new becomes-directory/inside becomes-file >replaced
printf 'gnu long\n' >"$long/$long/gnu-file"
ln -s "/gnu/$long/$long" gnu-long-link
truncate -s 3M gnu-sparse && printf 'end' >>gnu-sparse
printf 'kept\n' >keep && ln keep hard-c
cd - >/dev/null
tar --create --format=gnu --sparse "${plain[@]}" --directory="$SCRATCH/two" --file="$SCRATCH/two.tar" data/keep data
# The link's target is the lower layer's file, not one of this layer.
tar --delete --file="$SCRATCH/two.tar" data/keep
zstd -q --rm "$SCRATCH/two.tar"

# Layers 4 to 6: one sparse format each; the last layer as a plain tar.
layers=("$BASIC/busybox.tar.gz" "$SCRATCH/one.tar.gz" "$SCRATCH/two.tar.zst")
for version in 0.0 0.1 1.0; do
    mkdir -p "$SCRATCH/sparse-$version/data"
    cp --sparse=always "$SCRATCH/one/data/sparse" "$SCRATCH/sparse-$version/data/sparse-$version"
    tar --create --format=pax --sparse --sparse-version="$version" "${plain[@]}" --directory="$SCRATCH/sparse-$version" \
        --file="$SCRATCH/sparse-$version.tar" data
    layers+=("$SCRATCH/sparse-$version.tar")
done
write_layout layered "${layers[@]}"

layers=("$BASIC/busybox.tar.gz")
for number in {1..299}; do
    mkdir -p "$SCRATCH/many/many"
    printf '%s\n' "$number" | tee "$SCRATCH/many/many/last" >"$SCRATCH/many/many/$number"
    tar --create "${plain[@]}" --directory="$SCRATCH/many" --file="$SCRATCH/many-$number.tar" "many/$number" many/last
    layers+=("$SCRATCH/many-$number.tar")
done
write_layout many "${layers[@]:0:127}"
write_layout more "${layers[@]}"
