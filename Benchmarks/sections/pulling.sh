# Pull plus first start, from a registry on loopback into nothing: swiftlet, beside skopeo with umoci and crun, and beside podman. Sourced by `session`.
# shellcheck shell=sh disable=SC2154 # bench, raw, only, store: session's.

# Fewer rounds, as for unpacking.
counted=4

# start_registry: Debian's, with what stage.bash has pushed to it; sets $registry, its process, and $host.
start_registry() {
    printf 'version: 0.1\nlog: {accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 127.0.0.1:0}\n' \
        "$bench/registry" >"$store/registry.yml"
    : >"$raw/registry.log"
    /usr/bin/docker-registry serve "$store/registry.yml" >"$raw/registry.log" 2>&1 &
    registry=$!
    tries=100
    while [ "$tries" -gt 0 ]; do
        host=$(grep -oE 'listening on 127\.0\.0\.1:[0-9]+' "$raw/registry.log" | grep -oE '127.*$' || true)
        [ -z "$host" ] || return 0
        tries=$((tries - 1))
        sleep 0.1
    done
    echo 'docker-registry did not start' >&2
    return 1
}

# The two parts of a start are two commands, so that the report has each of them and their sum.
plan_swiftlet() {
    plan "swiftlet-pull-$1" any "SWIFTLET_STORE=$store/pulled-$1-%r" "$bench/bin/swiftlet" pull --quiet "$host/bench/$1"
    plan "swiftlet-pulled-$1" alone "SWIFTLET_STORE=$store/pulled-$1-%r" \
        "$bench/bin/swiftlet" run "--timeline=$raw/timeline-pulled-$1-alone-%r.json" "$host/bench/$1" echo started
}

plan_skopeo() {
    plan "skopeo-copy-$1" any /usr/bin/skopeo copy --quiet --insecure-policy --src-tls-verify=false "docker://$host/bench/$1" "oci:$store/copied-$1-%r:$1"
    [ -z "$crun" ] || plan "skopeo-start-$1" any "$bench/root/bin/busybox" sh "$store/start-copied" "$store/copied-$1-%r:$1" "$store/bundle-$1-%r"
}

plan_podman() {
    plan "podman-pull-$1" any HOME=/root "$bench/root/bin/busybox" sh "$store/podman" "$1-%r" pull --quiet --tls-verify=false "$host/bench/$1"
    plan "podman-run-$1" any HOME=/root "$bench/root/bin/busybox" sh "$store/podman" "$1-%r" run --network=none --pull=never "$host/bench/$1" echo started
    # What podman leaves running to clean up is nobody else's.
    plan "podman-rest-$1" any "$bench/root/bin/busybox" sleep 2
}

# The scripts that the plan's commands are.
write_scripts() {
    cat >"$store/start-copied" <<'TEXT'
# usage: start-copied LAYOUT:NAME BUNDLE
set -eu
/usr/bin/umoci unpack --image "$1" "$2" >&2
sed -i -e 's/"terminal": true/"terminal": false/' -e '/"args": \[/,/\]/c "args": ["/bin/echo", "started"],' "$2/config.json"
grep -q '"/bin/echo", "started"' "$2/config.json"
exec /usr/bin/crun run --bundle "$2" "pulled-$$"
TEXT
    # Storage of its own, on a file system where overlay works; no network to be made; limits that any machine allows.
    printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n[engine]\nevents_logger = "none"\n' >"$store/containers.conf"
    cat >"$store/podman" <<TEXT
# usage: podman STORAGE ARGUMENT...
directory=$store/podman-\$1
shift
export CONTAINERS_CONF=$store/containers.conf
exec /usr/bin/podman --root "\$directory/root" --runroot "\$directory/run" --tmpdir "\$directory/tmp" --storage-driver overlay \\
    --runtime /usr/bin/crun --cgroup-manager cgroupfs "\$@"
TEXT
}

# try NAME COMMAND...: what can't run here at all is left out, and the report says so.
try() {
    name=$1
    shift
    if "$@" >"$raw/$name.log" 2>&1; then return 0; fi
    leave_out "$name, after a pull" "$(tail -n 1 "$raw/$name.log")"
    return 1
}

start_registry
trap 'kill "$registry"' EXIT
write_scripts
crun=
if try crun /usr/bin/crun run --bundle "$bench/bundle" bench-trial; then crun=yes; fi
podman=
if [ "$(id -u)" != 0 ]; then
    leave_out podman "its storage needs root here"
elif HOME=/root try podman sh "$store/podman" trial run --network=none --tls-verify=false "$host/bench/busybox" echo started; then
    podman=yes
fi
begin_plan
for image in busybox debian; do
    plan_swiftlet "$image"
    plan_skopeo "$image"
    [ -z "$podman" ] || plan_podman "$image"
done
time_plan 'pulls and first starts' "$counted" pulling
