# Images of real programs as one meets them in registries, from Debian packages: one layout, whose images share layers.
#
#   debian      the base of all others
#   nginx       logs to /dev/stdout and /dev/stderr, as root with workers of another user
#   redis       its entrypoint gives up root
#   postgres    its entrypoint makes a database cluster at the first start
#   python      on a layer that `java` shares
#   java        a Java runtime; above it a program of ours, as a numeric user
#
# apt runs outside of the trees with this machine's sources, umoci finds what it changed and packs it, so none of our code vouches for itself.
# For another user than root it runs in a user namespace, as root there.
# shellcheck shell=bash

here=$(dirname "${BASH_SOURCE[0]}")/real
suite=bookworm
# Files of other users in this namespace are nobody's outside of it.
trap 'rm -rf "${SCRATCH:?}"/*' EXIT

# sources: Debian's parts of this machine's package sources for `suite`, a line each. Without any, mmdebstrap takes what it knows.
sources() {
    # shellcheck disable=SC2016 # apt expands them.
    apt-get indextargets --format '$(ORIGIN)|$(RELEASE)|$(REPO_URI)|$(COMPONENT)' 'Created-By: Packages' | sort -u |
        sed -nE "s#^Debian\|($suite|$suite-updates|$suite-security)\|([^|]*)\|main\$#deb \2 \1 main#p"
}
mapfile -t lines < <(sources)

# What nobody reads in a test; as the "slim" images of registries.
exclude=()
for path in '/usr/share/'{doc,man,info,locale,lintian}'/*' '/usr/lib/x86_64-linux-gnu/gconv/*'; do
    exclude+=("--dpkgopt=path-exclude=$path")
done

umoci init --layout real

# config IMAGE OPTION...: the image's configuration.
config() {
    local image=$1
    shift
    umoci config --image "real:$image" "$@"
}

# The base.
export SOURCE_DATE_EPOCH=0
mmdebstrap --quiet --mode=root --variant=minbase --skip=cleanup/apt/lists,output/dev "${exclude[@]}" \
    --customize-hook="mv \"\$1/var/lib/apt/lists\" '$SCRATCH/lists'; mkdir -p \"\$1/var/lib/apt/lists/partial\"" \
    "$suite" "$SCRATCH/debian.tar" "${lines[@]}"
# Without nodes it is without /dev at all; what runs containers wants to find it.
mkdir -p "$SCRATCH/empty/dev"
tar --append "${plain[@]}" --directory="$SCRATCH/empty" --file="$SCRATCH/debian.tar" ./dev
umoci new --image real:debian
umoci raw add-layer --image real:debian "$SCRATCH/debian.tar"
config debian --config.cmd bash --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --architecture amd64 --os linux

# begin IMAGE PARENT: the tree of PARENT at $tree, to become IMAGE.
begin() {
    image=$1
    umoci tag --image "real:$2" "$image"
    rm -rf "$SCRATCH/bundle"
    umoci unpack --image "real:$image" "$SCRATCH/bundle"
    tree=$SCRATCH/bundle/rootfs
}

# layer: what has changed in $tree is the next layer of $image.
layer() {
    umoci repack --refresh-bundle --image "real:$image" "$SCRATCH/bundle"
}

# packages NAME...: installs them into $tree. Downloaded from outside, so that the tree needs neither network nor certificates.
packages() {
    mkdir -p "$SCRATCH/lists/partial" "$SCRATCH/debs/partial"
    local apt=(apt-get -qq -y --no-install-recommends -o "Dir::State::status=$tree/var/lib/dpkg/status" -o "Dir::State::lists=$SCRATCH/lists"
        -o "Dir::Etc=$tree/etc/apt" -o "Dir::Cache=$SCRATCH" -o "Dir::Cache::archives=$SCRATCH/debs" -o APT::Sandbox::User=root)
    "${apt[@]}" -o APT::Architecture=amd64 --download-only install "$@"
    # The packages' own scripts run in the tree, in namespaces of their own and with the few things that they ask for.
    mkdir "$tree/debs"
    # shellcheck disable=SC2016 # The inner shell expands them.
    unshare --mount --pid --fork --kill-child bash -euo pipefail -c '
        tree=$1 debs=$2 lists=$3
        shift 3
        mount -t proc proc "$tree/proc"
        mount --rbind /dev "$tree/dev"
        mount --bind "$debs" "$tree/debs"
        mount --bind "$lists" "$tree/var/lib/apt/lists"
        # A service that a package would start has no place here.
        printf "#!/bin/sh\nexit 101\n" >"$tree/usr/sbin/policy-rc.d"
        chmod +x "$tree/usr/sbin/policy-rc.d"
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$tree" \
            apt-get -qq -y --no-install-recommends --no-download -o Dir::Cache::archives=/debs -o APT::Sandbox::User=root install "$@" </dev/null
    ' packages "$tree" "$SCRATCH/debs" "$SCRATCH/lists" "$@"
    rmdir "$tree/debs"
    rm -f "$tree/usr/sbin/policy-rc.d"
    clean
}

# clean: what packages leave behind that would differ next time, or that nobody needs.
clean() {
    rm -rf "$tree"/var/cache/apt/*.bin "$tree"/var/cache/{debconf,ldconfig}/* "$tree"/var/log/{apt,dpkg.log,alternatives.log,bootstrap.log}
    rm -rf "$tree"/tmp/* "$tree"/run/*
}

# entrypoint FILE: one of ours, beside this recipe.
entrypoint() { install -m 755 "$here/$1" "$tree/usr/local/bin/docker-entrypoint.sh"; }

begin nginx debian
packages nginx-light curl
layer
ln -sf /dev/stdout "$tree/var/log/nginx/access.log"
ln -sf /dev/stderr "$tree/var/log/nginx/error.log"
printf 'served from an image\n' >"$tree/var/www/html/index.html"
layer
config nginx --config.cmd nginx --config.cmd -g --config.cmd 'daemon off;' --config.exposedports 80/tcp --config.stopsignal SIGQUIT

begin redis debian
packages redis-server
layer
mkdir "$tree/data"
chown --reference="$tree/var/lib/redis" "$tree/data"
entrypoint redis-entrypoint
layer
config redis --config.entrypoint docker-entrypoint.sh --config.cmd redis-server --config.workingdir /data --config.volume /data \
    --config.exposedports 6379/tcp

begin postgres debian
packages postgresql-15
layer
# Whoever wants the package's own cluster has a service manager.
rm -rf "$tree/var/lib/postgresql/15" "$tree/etc/postgresql/15"
# Not by way of /var/run: that link leads out of the tree.
mkdir -m 3777 "$tree/run/postgresql"
chown --reference="$tree/var/lib/postgresql" "$tree/run/postgresql"
entrypoint postgres-entrypoint
layer
config postgres --config.entrypoint docker-entrypoint.sh --config.cmd postgres --config.volume /var/lib/postgresql/data \
    --config.exposedports 5432/tcp --config.stopsignal SIGINT --config.env PGDATA=/var/lib/postgresql/data --config.env LANG=C.UTF-8 \
    --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin

begin common debian
packages ca-certificates netbase tzdata
layer

begin python common
packages python3
ln -s python3 "$tree/usr/bin/python"
layer
config python --config.cmd python3 --config.env LANG=C.UTF-8

begin java common
# The package's alternatives have manual pages, whose directory must be there.
mkdir -p "$tree/usr/share/man/man1"
packages openjdk-17-jre-headless
layer
mkdir "$tree/app"
javac --release 17 -d "$tree/app" "$here/Request.java"
chown -R 1000:1000 "$tree/app"
layer
config java --config.cmd java --config.cmd -cp --config.cmd /app --config.cmd Request --config.user 1000:1000 --config.workingdir /app \
    --config.env JAVA_HOME=/usr/lib/jvm/java-17-openjdk-amd64 --config.env LANG=C.UTF-8

umoci rm --image real:common
umoci gc --layout real
