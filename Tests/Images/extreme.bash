# As many layers as an image may have, and one more, above busybox: a shell would take minutes for them.
#
#   thousands   4096 layers: each above the lowest writes its number into /layers/last, some also into a file of their own
#   too-many    4097
# shellcheck shell=bash

python3 - "$BASIC/busybox.tar.gz" <<'PYTHON'
import gzip, hashlib, io, json, os, sys, tarfile

def layer(number):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ["layers/last"] + (["layers/%d" % number] if number % 512 == 0 or number == 4095 else []):
            entry = tarfile.TarInfo(name)
            content = b"%d\n" % number
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()

def write(directory, layers):
    blobs = directory + "/blobs/sha256/"
    os.makedirs(blobs)
    def blob(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        with open(blobs + digest, "wb") as file:
            file.write(content)
        return {"mediaType": "application/vnd.oci.image." + media_type, "digest": "sha256:" + digest, "size": len(content)}
    ids = ["sha256:" + hashlib.sha256(plain).hexdigest() for _, plain, _ in layers]
    configuration = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]}, "rootfs": {"type": "layers", "diff_ids": ids}}
    manifest = {"schemaVersion": 2, "config": blob(json.dumps(configuration).encode(), "config.v1+json"),
                "layers": [blob(stored, "layer.v1." + kind) for stored, _, kind in layers]}
    index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}
    with open(directory + "/index.json", "w") as file:
        json.dump(index, file)
    with open(directory + "/oci-layout", "w") as file:
        file.write('{"imageLayoutVersion":"1.0.0"}')

with open(sys.argv[1], "rb") as file:
    base = file.read()
layers = [(base, gzip.decompress(base), "tar+gzip")]
for number in range(1, 4097):
    content = layer(number)
    layers.append((content, content, "tar"))
write("thousands", layers[:4096])
write("too-many", layers)
PYTHON
