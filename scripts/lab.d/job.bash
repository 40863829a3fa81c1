# One run's directory on the host: what the machine is told, its pipes, its scratch disk and its logs.
# Part of scripts/lab: they share their variables.
# shellcheck shell=bash disable=SC2154

job=

# Creates the job's directory and writes down everything that the machine has to know.
open_job() {
    remove_stale_jobs
    job=$(mktemp -d "${TMPDIR:-/tmp}/swiftlet-lab.XXXXXX") || fail "cannot create a directory in ${TMPDIR:-/tmp}; set TMPDIR to one you may write"
    trap cleanup EXIT
    trap 'interrupted HUP 1' HUP
    trap 'interrupted INT 2' INT
    trap 'interrupted TERM 15' TERM
    exec {job_lock}<"$job"
    flock "$job_lock"
    mkdir "$job/share"
    write_settings "$job/share"
    make_scratch
    mkfifo "$job/output" "$job/error" "$job/input" "$job/control.in" "$job/control.out"
}

# After a machine that did not come up: the same job with fresh pipes.
reopen_job() {
    end_processes
    rm -f "$job"/{output,error,input,control.in,control.out}
    mkfifo "$job/output" "$job/error" "$job/input" "$job/control.in" "$job/control.out"
}

# Directories of labs that were killed: their lock is free.
remove_stale_jobs() {
    local stale lock
    # An age of a minute: the owner of a new one may not have locked it yet.
    while IFS= read -r -d '' stale; do
        exec {lock}<"$stale" || continue
        if flock --nonblock "$lock"; then
            rm -rf "$stale"
        fi
        exec {lock}<&-
    done < <(find "${TMPDIR:-/tmp}" -maxdepth 1 -type d -name 'swiftlet-lab.??????' -user "$EUID" -mmin +1 -print0 2>/dev/null)
}

# write_settings DIRECTORY
write_settings() {
    local directory=$1 path index
    printf '%s\0' "${command[@]}" >"$directory/arguments"
    {
        env --null --unset=SWIFTLET_LAB --unset=SWIFTLET_LAB_DETERMINISTIC
        printf 'SWIFTLET_LAB=1\0'
        [[ -z $deterministic ]] || printf 'SWIFTLET_LAB_DETERMINISTIC=1\0'
    } >"$directory/environment"
    printf '%s' "$(pwd -P)" >"$directory/directory"
    printf '%s' "$modules_directory" >"$directory/modules"
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$directory/marker"
    cp "$lab_sources/begin.pl" "$directory/begin.pl"
    [[ -z $scratch ]] || : >"$directory/scratch"
    [[ -z $terminal ]] || stty size >"$directory/terminal"
    if ((${#stage[@]} > 0)); then
        mkdir "$directory/stage"
        for index in "${!stage[@]}"; do
            path=$(realpath -e -- "${stage[index]}" 2>/dev/null) || fail "--stage: '${stage[index]}' does not exist"
            [[ $path != / ]] || fail "--stage: the root directory can't be staged"
            printf '%s' "$path" >"$directory/stage/$(printf '%03d' "$index")"
        done
    fi
    if ((${#write_back[@]} > 0)); then
        mkdir "$directory/write-back"
        for index in "${!write_back[@]}"; do
            path=$(realpath -m -- "${write_back[index]}")
            [[ $path != / ]] || fail "--write-back: the root directory can't be written back"
            printf '%s' "$path" >"$directory/write-back/$(printf '%03d' "$index")"
        done
    fi
}

make_scratch() {
    [[ -n $scratch ]] || return 0
    { truncate -s "$scratch" "$job/scratch" && mke2fs -q -F -t ext4 -m 0 "$job/scratch"; } >"$job/mke2fs.log" 2>&1 ||
        fail "could not make a scratch disk of $scratch in ${TMPDIR:-/tmp}; set TMPDIR to a directory with space"
}

# Puts the files that the command changed below the --write-back paths into their places on the host.
write_back_files() {
    [[ -s $job/share/written.tar ]] || return 0
    tar --extract --directory=/ --file="$job/share/written.tar" --keep-directory-symlink 2>"$job/extract.log" ||
        fail "could not write back: $(head -n 1 "$job/extract.log")"
}

# Keeps what the machine said, for a person to read.
keep_log() {
    kept_log=
    [[ -s $job/serial.log || -s $job/qemu.log ]] || return 0
    kept_log=$(mktemp "${TMPDIR:-/tmp}/swiftlet-lab-failed.XXXXXX")
    cat "$job/qemu.log" "$job/serial.log" >"$kept_log" 2>/dev/null || true
}

# shellcheck disable=SC2317 # Called by traps.
interrupted() {
    trap - EXIT
    trap '' HUP INT TERM
    cleanup
    exit $((128 + $2))
}

cleanup() {
    end_processes
    if [[ -n $job ]]; then
        rm -rf "$job"
    fi
}
