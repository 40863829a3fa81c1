# As many empty files in one layer as SWIFTLET_TEST_FILES says, above busybox: /files/0/0 to /files/0/999, /files/1/1000, ….
# shellcheck shell=bash

python3 - "$SWIFTLET_TEST_FILES" "$SCRATCH/files.tar.gz" <<'PYTHON'
import sys, tarfile

count, path = int(sys.argv[1]), sys.argv[2]
with tarfile.open(path, mode="w:gz", format=tarfile.USTAR_FORMAT, compresslevel=1) as archive:
    for number in range(count):
        if number % 1000 == 0:
            directory = tarfile.TarInfo("files/%d" % (number // 1000))
            directory.type = tarfile.DIRTYPE
            directory.mode = 0o755
            archive.addfile(directory)
        archive.addfile(tarfile.TarInfo("files/%d/%d" % (number // 1000, number)))
        # It keeps all of them for later reading.
        archive.members = []
PYTHON
write_layout files "$BASIC/busybox.tar.gz" "$SCRATCH/files.tar.gz"
