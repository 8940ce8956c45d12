# Supervises one server for one test process:
#
#   SCRIPT=<this> sh -c 'eval "$SCRIPT"' supervise <folder> <owner> <last signal> <program> [<argument>...]
#
# Standard input is a pipe whose other end only the test process holds. It closes when the handle of the server is
# dropped, or when that process ends in any way. The server, its descendants and its folder are then removed.
#
# Until then, each line is a command, and is answered by a line.
unset SCRIPT
folder=$1 owner=$2 last=$3 server=
shift 3

# Without a reader of the answers, the end of input is next.
trap : PIPE HUP INT TERM

mkdir -m 700 "$folder" || exit 1
exec 2>>"$folder/log"
[ -z "$owner" ] || chown "$owner" "$folder" || exit 1
cd "$folder" || exit 1

# Whether the server runs. It is then a child of ours; a later process with the same id would not be.
running() {
    [ -n "$server" ] && read -r _ _ state parent _ <"/proc/$server/stat" && [ "$parent" = $$ ] || return
    [ "$state" = Z ] || return 0
    # Its main thread has ended. Once all have, its port is closed.
    wait "$server"
    server=
    return 1
} 2>/dev/null
[ -e /proc/self/stat ] || running() { kill -0 "$server"; } 2>/dev/null

# Adds a process and all its descendants to $members.
collect() {
    members="$members $1"
    for list in /proc/"$1"/task/*/children; do
        children=
        read -r children <"$list"
        for child in $children; do collect "$child"; done
    done
} 2>/dev/null

# Signals the server and all its descendants. The server is stopped meanwhile, so that it cannot fork.
signal_all() {
    running || return
    kill -STOP "$server"
    members=
    collect "$server"
    # Some may have ended already.
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
    # The answer to every command: the id of the process, if it runs.
    if running; then echo "$server"; else echo; fi
done

# A paused server handles no other signal.
case $last in KILL) signal_all KILL ;; *) signal_all CONT ;; esac
turns=0
while running && [ $turns -lt 500 ]; do
    # Repeatedly: a server that is just starting may not handle it yet.
    kill -"$last" "$server"
    sleep 0.01
    turns=$((turns + 1))
done
signal_all KILL
[ -z "$server" ] || wait "$server"
# A killed PostgreSQL leaves one thing outside of its folder: a segment of shared memory, named in line 7.
sed -n 7p data/postmaster.pid | while read -r _ segment; do ipcrm -m "$segment"; done
rm -rf "$folder"
