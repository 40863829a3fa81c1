# busybox and the tests' own program, as an OCI layout and as archives of both kinds; the initrd that panics.
#
#   busybox                 OCI layout: latest (Cmd sh), configured (every field that `run` honours), entrypoint-only, empty (no command)
#   busybox.oci.tar         the same as oci-archive
#   busybox.docker.tar      the same as docker-archive
#   busybox.tar.gz          its only layer, for other recipes
#   panic.cpio              an initrd whose init crashes
#   probe                   the program, for the host's side
# shellcheck shell=bash

musl-gcc -static -Os -s -Wall -Wextra -Werror -o probe "$(dirname "${BASH_SOURCE[0]}")/probe.c"

root=$SCRATCH/root
mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,etc,root,tmp,srv,home/alice,var/empty}
chmod 1777 "$root/tmp"
chmod 700 "$root/root"
cp /bin/busybox probe "$root/bin/"
/bin/busybox --list-full | while IFS= read -r applet; do
    [[ -e $root/$applet ]] || ln -s /bin/busybox "$root/$applet"
done
printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'alice:x:1234:2345:Alice:/home/alice:/bin/sh' 'nobody:x:65534:65534::/:/bin/false' >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'alice:x:2345:' 'wheel:x:10:root,alice' 'video:x:44:alice' 'other:x:50:nobody' 'nogroup:x:65534:' >"$root/etc/group"
printf 'not executable\n' >"$root/etc/text"
printf '\177ELF but no more\n' >"$root/bin/damaged"
printf '#!/bin/missing\n' >"$root/bin/orphan-script"
printf '#!/bin/sh\necho "script $*"\n' >"$root/bin/script"
printf 'secret\n' >"$root/root/secret"
chmod 755 "$root"/bin/{damaged,orphan-script,script}
chmod 600 "$root/root/secret"
tar --create "${plain[@]}" --directory="$root" --file="$SCRATCH/busybox.tar" .

umoci init --layout busybox
umoci new --image busybox:latest
umoci raw add-layer --image busybox:latest "$SCRATCH/busybox.tar"
umoci config --image busybox:latest --config.env PATH=/bin:/sbin:/usr/bin:/usr/sbin --config.cmd /bin/sh
umoci config --image busybox:latest --tag configured --config.entrypoint /bin/probe --config.entrypoint arguments \
    --config.cmd 'from the image' --config.cmd second --config.env GREETING='hello there' --config.env EMPTY= \
    --config.workingdir /made/by/run --config.user alice:wheel --config.stopsignal SIGUSR1
umoci config --image busybox:latest --tag entrypoint-only --clear config.cmd --config.entrypoint /bin/echo --config.entrypoint entry
umoci config --image busybox:latest --tag empty --clear config.cmd
umoci gc --layout busybox

skopeo copy --quiet oci:busybox:latest oci-archive:busybox.oci.tar:latest
skopeo copy --quiet oci:busybox:latest docker-archive:busybox.docker.tar:example.org/busybox:latest
gzip -9n <"$SCRATCH/busybox.tar" >busybox.tar.gz

mkdir "$SCRATCH/initrd"
cp probe "$SCRATCH/initrd/init"
(cd "$SCRATCH/initrd" && echo init | cpio --create --format=newc --owner=0:0 --quiet) >panic.cpio
