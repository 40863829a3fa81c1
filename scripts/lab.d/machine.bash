# Starts the emulated machine and follows it until the command has ended.
# Part of scripts/lab: they share their variables.
# shellcheck shell=bash disable=SC2154

# How long the machine may take until it is up, and how long the command may take to end when told to, and its
# files to be written back (but for the latter there is at least the command's own time). In seconds of real time.
readonly boot_limit=${SWIFTLET_LAB_BOOT_LIMIT:-90}
readonly stop_limit=10
readonly save_limit=300

qemu=
relay=
feeder=
waker=
terminal_settings=

# The status that the lab ends with, or why it failed: at "boot", or later.
status=
failure=
failure_stage=

machine_arguments() {
    # QEMU's CMPXCHG16B leaves flags that no processor has (docs/lab.md, "Flags"): kernels do without it, the lab's own and, as KVM doesn't offer them
    # what its kernel does without, those of its guests. And its VMRUN forgets the interrupt shadow ("Interrupts between STI and HLT"), which init has a module for.
    # The emulator of benchmarks is one without these faults.
    local mending="clearcpuid=cx16 lab.mending=1"
    [[ -z ${SWIFTLET_LAB_QEMU-} ]] || mending=
    arguments=(
        -accel "tcg,thread=single" -cpu "EPYC,+svm,+npt" -smp 1 -m "$memory"
        # The plain PC: q35 boots more slowly, and microvm has nothing to calibrate the TSC against.
        -M "pc,usb=off,smbus=off,vmport=off" -nodefaults -no-user-config -display none -no-reboot
        -kernel "$kernel_image" -initrd "$initramfs"
        # pci=noacpi: the devices use message-signalled interrupts; finding their lines by ACPI takes 0.3 s.
        # nolapic_timer: its frequency would be measured at each boot, and wrongly on a busy host, where every sleep in a guest then takes many
        # times its length; the HPET's is known.
        -append "console=ttyS0 panic=-1 reboot=t mitigations=off apparmor=0 audit=0 cryptomgr.notests pci=noacpi nolapic_timer $mending ${SWIFTLET_LAB_KERNEL_ARGUMENTS-quiet}"
        -serial "file:$job/serial.log"
        # The first of the virtio devices, for its ports are to be called vport0p….
        -device "virtio-serial-pci,max_ports=8"
        -fsdev "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"
        -device "virtio-9p-pci,fsdev=host,mount_tag=host"
        -fsdev "local,id=job,path=$job/share,security_model=none"
        -device "virtio-9p-pci,fsdev=job,mount_tag=job"
        -chardev "pipe,id=control,path=$job/control" -device "virtserialport,chardev=control,nr=1"
        -chardev "file,id=output,path=$job/output" -device "virtserialport,chardev=output,nr=2"
        -chardev "file,id=error,path=$job/error" -device "virtserialport,chardev=error,nr=3"
    )
    # Firmware that only starts the kernel: it saves half a second.
    if [[ -f /usr/share/qemu/qboot.rom ]]; then
        arguments+=(-bios /usr/share/qemu/qboot.rom)
    fi
    if [[ -e $job/share/input ]]; then
        arguments+=(-chardev "stdio,id=input,signal=off" -device "virtserialport,chardev=input,nr=4")
    fi
    if [[ -n $terminal ]]; then
        arguments+=(-chardev "stdio,id=terminal,signal=off" -device "virtconsole,chardev=terminal,nr=0")
    fi
    if [[ -n $scratch ]]; then
        arguments+=(
            -drive "file=$job/scratch,format=raw,if=none,id=scratch,cache=unsafe,discard=unmap,detect-zeroes=unmap"
            -device "virtio-blk-pci,drive=scratch"
        )
    fi
    if [[ -n $deterministic ]]; then
        arguments+=(-icount "shift=0,sleep=on" -rtc "clock=vm" -seed 1)
    fi
}

# run_machine: starts the machine and waits for the command's end; sets $status. Or sets $failure and
# $failure_stage, and returns 1.
run_machine() {
    local arguments events orders guard_output guard_error guard_input
    failure='' failure_stage=boot status=
    rm -f "$job/share/input"
    # Nothing to feed from a terminal, nor from /dev/null or a closed descriptor.
    if [[ -z $terminal && -e /proc/self/fd/0 && ! -t 0 && ! /proc/self/fd/0 -ef /dev/null ]]; then
        : >"$job/share/input"
    fi
    # QEMU keeps a descriptor for each file that is open in the lab.
    ulimit -Sn "$(ulimit -Hn)" || true
    printf '%s' "$EPOCHSECONDS" >"$job/share/time"
    machine_arguments
    exec {events}<>"$job/control.out" {orders}<>"$job/control.in"
    # QEMU inherits a writing end of both pipes: its end, however it comes, is then an end of file.
    exec {guard_output}<>"$job/output" {guard_error}<>"$job/error"
    # And it would wait for the input's writing end, which the feeder opens later.
    exec {guard_input}<>"$job/input"
    start_processes
    exec {guard_output}>&- {guard_error}>&-
    echo go >&"$orders"
    follow_events
    exec {events}>&- {orders}>&-
    end_processes
    [[ -z $failure ]]
}

# What is started with this dies with this script, even if that is killed.
readonly bound=(setpriv --pdeathsig KILL --)

start_processes() {
    local source=/dev/null sink=/dev/null
    if [[ -e $job/share/input ]]; then
        source=$job/input
    fi
    if [[ -n $terminal ]]; then
        source=/dev/tty sink=/dev/tty
        terminal_settings=$(stty -g)
    fi
    "${bound[@]}" "$emulator" "${arguments[@]}" <"$source" >"$sink" 2>"$job/qemu.log" \
        {events}>&- {orders}>&- {guard_input}>&- {job_lock}>&- &
    qemu=$!
    "${bound[@]}" perl "$lab_sources/relay.pl" "$(<"$job/share/marker")" "$job/output" "$job/error" 3>&"$events" \
        {events}>&- {orders}>&- {guard_output}>&- {guard_error}>&- {guard_input}>&- {job_lock}>&- </dev/null &
    relay=$!
    # QEMU sometimes loses a timer interrupt of a machine that runs another one, which then sleeps until anything else
    # interrupts it. An order that says nothing does. A deterministic machine is disturbed as little as will do: an order
    # costs a tenth of a millisecond of its clock.
    local pause=0.1
    [[ -z $deterministic ]] || pause=20
    "${bound[@]}" perl -e '$| = 1; print "wake\n" while select(undef, undef, undef, $ARGV[0]) == 0' "$pause" >&"$orders" 2>/dev/null </dev/null \
        {events}>&- {guard_output}>&- {guard_error}>&- {guard_input}>&- {job_lock}>&- &
    waker=$!
}

# Passes our standard input on. Only once the machine is up: what a failed machine had taken in would be lost to
# the next one.
feed_input() {
    if [[ -e $job/share/input ]]; then
        # The first byte tells the lab's init that the port is connected.
        { printf '!' && exec "${bound[@]}" cat; } <&0 >"$job/input" 2>/dev/null \
            {events}>&- {orders}>&- {guard_input}>&- {job_lock}>&- &
        feeder=$!
    fi
    exec {guard_input}>&-
}

# Reads what the machine and the relay report, each by its time, until there is a status or a failure.
follow_events() {
    local line timed_out='' deadline=$((SECONDS + boot_limit)) drained='' saved=
    while [[ -z $drained || -z $saved ]]; do
        line=
        if ! IFS= read -r -t "$((deadline > SECONDS ? deadline - SECONDS : 0)).01" -u "$events" line; then
            ((SECONDS >= deadline)) || continue
            if [[ $failure_stage == boot ]]; then
                failure="the machine did not come up within $boot_limit s"
                return
            elif [[ -n $saved ]]; then
                timed_out=1
                break
            elif [[ -z $timed_out && $failure_stage != save ]]; then
                timed_out=1
                echo stop >&"$orders"
                deadline=$((SECONDS + stop_limit))
                continue
            elif [[ $failure_stage == save ]]; then
                failure="the command ended, but its files could not be written back within $save_limit s"
            fi
            [[ -n $failure ]] || status=124
            return
        fi
        case $line in
            up)
                failure_stage=stage
                deadline=$((SECONDS + timeout))
                feed_input
                ;;
            begun)
                # Staging had its own time.
                failure_stage='command'
                deadline=$((SECONDS + timeout))
                ;;
            ended\ *)
                [[ -n $status ]] || status=${line#ended }
                failure_stage=save
                deadline=$((SECONDS + (timeout > save_limit ? timeout : save_limit)))
                ;;
            # What reads our output may be slow.
            "done") saved=1; deadline=$((SECONDS + timeout)) ;;
            drained) drained=1 ;;
            broken)
                # As if the command itself had written to the closed pipe.
                [[ -n $status ]] || echo stop >&"$orders"
                : "${status:=141}"
                ;;
            fail\ *) failure=${line#fail }; return ;;
            gone)
                describe_end
                return
                ;;
        esac
    done
    [[ -z $timed_out ]] || status=124
}

# Says why QEMU ended before the command did.
describe_end() {
    local reason
    if [[ $failure_stage == boot ]]; then
        reason=$(grep --text -v -e 'warning:' -e '^$' "$job/qemu.log" | tail -n 1) || true
        failure="the machine did not come up${reason:+: $reason}"
    else
        reason=$(grep --text -o -m 1 'Kernel panic - .*' "$job/serial.log" | tr -d '\r') || true
        failure="the machine ended while the command was running on it${reason:+: $reason}"
    fi
}

# finish: the command has ended; the lab ends as it did.
finish() {
    write_back_files
    exit "$status"
}

end_processes() {
    local process
    for process in "$qemu" "$relay" "$feeder" "$waker"; do
        [[ -n $process ]] || continue
        kill -KILL "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    qemu='' relay='' feeder='' waker=
    if [[ -n $terminal_settings ]]; then
        stty "$terminal_settings" || true
        terminal_settings=
    fi
}
