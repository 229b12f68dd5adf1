# Runs within the booted tree, see test_install_pages.py: @SERVER@ and @BOX@ are the pages' own commands.
export HOME=/root
wait_for() { for _ in $(seq 180); do eval "$2" && { echo "$1: yes"; return 0; }; sleep 1; done; echo "$1: no"; return 1; }
# Only loopback is there: what the box measures against answers on it.
ip addr add 192.0.2.53/32 dev lo
ip addr add 198.51.100.1/32 dev lo
cd /root
( set -e
@SERVER@
) || echo "server: failed"
cd /root
( set -e
@BOX@
) || echo "box: failed"
wait_for "up" 'fibrewatch sites | grep -q "cargo.* up"'
fibrewatch sites
ip addr del 192.0.2.53/32 dev lo
ip addr del 198.51.100.1/32 dev lo
wait_for "alert" '{ @ALERT@; } | tee /root/alerts | grep -q SiteDown'
cat /root/alerts
journalctl -u fibrewatch-collector -u fibrewatch-agent -u mosquitto --no-pager -n 60
systemctl --failed --no-legend
