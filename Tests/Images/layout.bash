# Writing OCI layouts by hand, for images that no tool would write. Sourced by scripts/test-images.
# shellcheck shell=bash

export LC_ALL=C TZ=UTC
# What GNU tar needs to write the same bytes whoever runs it.
readonly plain=(--sort=name --numeric-owner --owner=0 --group=0 --mtime=@0)
readonly oci=application/vnd.oci.image

# digest FILE: its SHA-256.
digest() {
    local sum
    sum=$(sha256sum <"$1")
    printf '%s' "${sum%% *}"
}

# add_blob LAYOUT FILE: prints the members "digest" and "size" of a descriptor.
add_blob() {
    local sum
    sum=$(digest "$2")
    cp "$2" "$1/blobs/sha256/$sum"
    printf '"digest":"sha256:%s","size":%s' "$sum" "$(stat -c %s "$2")"
}

# diff_id FILE: the digest of a layer's uncompressed tar stream, or of nothing where it is damaged.
diff_id() {
    local sum
    case $1 in
        *.gz) sum=$({ zcat "$1" 2>/dev/null || true; } | sha256sum) ;;
        *.zst) sum=$({ zstd -dcq "$1" 2>/dev/null || true; } | sha256sum) ;;
        *) sum=$(sha256sum <"$1") ;;
    esac
    printf 'sha256:%s' "${sum%% *}"
}

# What write_layout takes when nobody says otherwise; a recipe sets them around a call.
architecture=amd64
layer_type=
manifest_type=$oci.manifest.v1+json
last_diff_id=
command='["/bin/sh"]'

# write_layout DIRECTORY LAYER...: an OCI layout whose layers are these files (.tar, .tar.gz, .tar.zst), lowest first.
write_layout() {
    local directory=$1 layer type layers='' ids='' configuration
    shift
    mkdir -p "$directory/blobs/sha256"
    printf '{"imageLayoutVersion":"1.0.0"}' >"$directory/oci-layout"
    for layer in "$@"; do
        case $layer in
            *.gz) type=$oci.layer.v1.tar+gzip ;;
            *.zst) type=$oci.layer.v1.tar+zstd ;;
            *) type=$oci.layer.v1.tar ;;
        esac
        layers+=${layers:+,}$(printf '{"mediaType":"%s",%s}' "${layer_type:-$type}" "$(add_blob "$directory" "$layer")")
        ids+=${ids:+,}\"$(diff_id "$layer")\"
    done
    [[ -z $last_diff_id ]] || ids=${ids%\"sha256:*}\"$last_diff_id\"
    configuration=$SCRATCH/configuration.json
    printf '{"architecture":"%s","os":"linux","config":{"Cmd":%s},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "$architecture" "$command" "$ids" >"$configuration"
    printf '{"schemaVersion":2,"config":{"mediaType":"%s.config.v1+json",%s},"layers":[%s]}' \
        "$oci" "$(add_blob "$directory" "$configuration")" "$layers" >"$SCRATCH/manifest.json"
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s",%s}]}' \
        "$manifest_type" "$(add_blob "$directory" "$SCRATCH/manifest.json")" >"$directory/index.json"
    # Tests damage them by their role.
    ln -s "blobs/sha256/$(digest "$configuration")" "$directory/configuration"
    ln -s "blobs/sha256/$(digest "$SCRATCH/manifest.json")" "$directory/manifest"
    (($# == 0)) || ln -s "blobs/sha256/$(digest "${!#}")" "$directory/layer"
}

# flip_byte FILE OFFSET: inverts one byte in place.
flip_byte() {
    local value
    value=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # The format is the byte.
    printf "\\x$(printf '%02x' $((value ^ 255)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
