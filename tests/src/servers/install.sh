# Installs packages of Debian or Ubuntu, as root. None of them starts a service: neither now nor at the next boot.
#
#   sh -c "$(cat install.sh)" install <package>...
exec >&2 </dev/null
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d
ours=$clusters/session-testbed.conf
trap 'rm -f $ours; rmdir $clusters 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM

# PostgreSQL would set up a database of its own.
mkdir -p $clusters && echo 'create_main_cluster = false' >$ours || exit 1

# The packages ask this script before they start a service.
if [ ! -e $policy ]; then
    ours="$ours $policy"
    # If it is left behind, it forbids nothing once this process is gone.
    printf '#!/bin/sh\n[ ! -d /proc/%s ] || exit 101\n' $$ >$policy && chmod 755 $policy || exit 1
fi

# apt-get update has no option to wait for its lock. If it fails, the known package lists may do.
turns=0
until apt-get -q update || [ $turns -ge 10 ]; do
    turns=$((turns + 1))
    sleep 3
done
apt-get -q install -y --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" || exit 1

# The services have the names of their packages; some packages have none.
[ -d /run/systemd/system ] || exit 0
for package; do
    systemctl cat "$package.service" >/dev/null 2>&1 || continue
    systemctl disable --quiet "$package" || exit 1
done
