# Runs within the booted tree, see test_install_pages.py, which puts the pages' own commands in.
export HOME=/root
wait_for() { for _ in $(seq 180); do eval "$2" && { echo "$1: yes"; return 0; }; sleep 1; done; echo "$1: no"; }
alerted() {
    @ALERT@
}
# Only loopback is there: what the box measures against answers on it.
ip addr add 192.0.2.53/32 dev lo
ip addr add 198.51.100.1/32 dev lo
cat > /server.sh <<'PAGE'
@SERVER@
PAGE
cat > /box.sh <<'PAGE'
@BOX@
PAGE
cd /root
bash -e /server.sh; echo "server: $?"
bash -e /box.sh; echo "box: $?"
wait_for "up" 'fibrewatch sites | grep -q "cargo.* up"'
fibrewatch sites
connections() { grep -c "New client connected.* as paris/cargo/box-01" /var/log/mosquitto/mosquitto.log; }
for _ in 1 2 3; do
    before=$(connections)
    systemctl kill --signal=KILL mosquitto
    sleep 2
    systemctl start mosquitto
    wait_for "back" '[ "$(connections)" -gt "$before" ]'
    sleep 5
done
ip addr del 192.0.2.53/32 dev lo
ip addr del 198.51.100.1/32 dev lo
wait_for "alert" 'alerted > /root/alerts 2>&1; grep -q SiteDown /root/alerts'
cat /root/alerts
systemctl stop fibrewatch-agent
sleep 3
fibrewatch-collector export --from 2020-01-01T00:00:00Z --to 2100-01-01T00:00:00Z > /root/all
fibrewatch revoke paris/cargo/box-01 --why stolen; echo "revoked: $?"
cmp /var/lib/fibrewatch/authority/crl.pem /etc/mosquitto/fibrewatch/crl.pem; echo "the broker's list: $?"
systemctl start fibrewatch-agent
wait_for "shut out" 'grep -q "certificate.* \(verify failed\|revoked\)" /var/log/mosquitto/mosquitto.log'
tail -5 /var/log/mosquitto/mosquitto.log
runuser -u fibrewatch -- fibrewatch enrol paris/cargo/box-01 > token; echo "enrolled again: $?"
journalctl -u fibrewatch-collector -u fibrewatch-agent -u mosquitto -u prometheus-alertmanager --no-pager -n 60
systemctl --failed --no-legend
