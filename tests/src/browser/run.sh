# Runs Chromium for one test process, again and again:
#
#   sh -c "$(cat run.sh)" run <folder> <program> [<argument>...]
#
# Standard input and output are the two ends of its debugging pipe, file descriptors 3 and 4. Only the test process holds
# the others. When that closes them, or ends in any way, Chromium ends, and its folder is removed.
#
# Once it has ended while the pipe is open, the answer is `ended`. A line then starts it again, with the same profile.
folder=$1
shift

# Without a reader, the end of input is next. Chromium does not inherit a handler.
trap : PIPE HUP INT TERM

mkdir -m 700 "$folder" && cd "$folder" || exit 1
while :; do
    # The log ends with the last of its processes; some of them are no children of ours.
    { "$@" 3<&0 </dev/null 2>&1 | cat >>log; } 4>&1
    printf 'ended\0'
    read -r again || break
done 2>>log
cd / && rm -rf "$folder"
