# Keeps one server for one process of tests:
#
#   SCRIPT=<this> sh -c 'eval "$SCRIPT"' supervise <folder> <owner> <last signal> <program> [<argument>...]
#
# Standard input is a pipe whose other end nobody but the tests' process holds. It is closed when the server is to go,
# or when that process ends, however it ends. Then the server goes, all that it has started, and its folder.
#
# Until then, a line is a command, and each is answered by a line.
unset SCRIPT
folder=$1 owner=$2 last=$3 server=
shift 3

# With nobody to read the answer, the end of input is next.
trap : PIPE HUP INT TERM

mkdir -m 700 "$folder" || exit 1
exec 2>>"$folder/log"
[ -z "$owner" ] || chown "$owner" "$folder" || exit 1
cd "$folder" || exit 1

# Whether the server runs. While it does it is a child of ours, which no later owner of its number would be.
running() {
    [ -n "$server" ] && read -r _ _ state parent _ <"/proc/$server/stat" && [ "$parent" = $$ ] || return
    [ "$state" = Z ] || return 0
    # Its first thread has ended. Once all have, its port is closed.
    wait "$server"
    server=
    return 1
} 2>/dev/null
[ -e /proc/self/stat ] || running() { kill -0 "$server"; } 2>/dev/null

# Adds a process and all that it has started to $members.
collect() {
    members="$members $1"
    for list in /proc/"$1"/task/*/children; do
        children=
        read -r children <"$list"
        for child in $children; do collect "$child"; done
    done
} 2>/dev/null

# Signals the server and all that it has started. The server is stopped meanwhile: it starts and forgets no process.
signal_all() {
    running || return
    kill -STOP "$server"
    members=
    collect "$server"
    # Some may be gone already.
    for member in $members; do kill -"$1" "$member"; done
    [ "$1" = STOP ] || for member in $members; do kill -CONT "$member"; done
} 2>/dev/null

start() {
    ! running || return
    "$@" </dev/null >>"$folder/log" 2>&1 &
    server=$!
}

echo ready
while read -r command; do
    case $command in
        start) start "$@" ;;
        STOP | CONT | KILL) signal_all "$command" ;;
        pid) ;;
        *) ! running || kill -"$command" "$server" ;;
    esac
    # The answer is always the same: which process it is, if any.
    if running; then echo "$server"; else echo; fi
done

# A paused server hears nothing else.
case $last in KILL) signal_all KILL ;; *) signal_all CONT ;; esac
turns=0
while running && [ $turns -lt 500 ]; do
    # Again and again: it may be about to start, and not listen yet.
    kill -"$last" "$server"
    sleep 0.01
    turns=$((turns + 1))
done
signal_all KILL
[ -z "$server" ] || wait "$server"
# A killed PostgreSQL leaves one thing outside of its folder: a segment of shared memory, named in the seventh line.
sed -n 7p data/postmaster.pid | while read -r _ segment; do ipcrm -m "$segment"; done
rm -rf "$folder"
