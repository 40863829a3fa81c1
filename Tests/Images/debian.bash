# A Debian 12 root file system with the programs that people try first, as one layer: gzip and zstd.
# Documentation is left out: the tests unpack it on an emulated machine.
# shellcheck shell=bash

exclude=()
for path in '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' '/usr/share/info/*' '/usr/lib/x86_64-linux-gnu/gconv/*'; do
    exclude+=("--dpkgopt=path-exclude=$path")
done
mmdebstrap --quiet --variant=minbase --include=python3-minimal "${exclude[@]}" bookworm "$SCRATCH/debian.tar"

gzip -6n <"$SCRATCH/debian.tar" >"$SCRATCH/debian.tar.gz"
zstd -q -6 "$SCRATCH/debian.tar" -o "$SCRATCH/debian.tar.zst"
command='["/bin/bash"]'
write_layout debian-gzip "$SCRATCH/debian.tar.gz"
write_layout debian-zstd "$SCRATCH/debian.tar.zst"
