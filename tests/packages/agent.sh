# Runs within the booted tree, see test_debs.py.
for _ in $(seq 60); do systemctl is-active --quiet fibrewatch-agent && break; sleep 1; done
echo "state $(systemctl is-active fibrewatch-agent) user $(ps -o user:20= -C fibrewatch-agen | head -1)"
timeout 20 mosquitto_sub -h 127.0.0.1 -t 'fibrewatch/v1/#' -C 6 -F '%t'
pid=$(systemctl show -P MainPID fibrewatch-agent); kill -STOP $pid
for _ in $(seq 60); do
    [ "$(systemctl show -P NRestarts fibrewatch-agent)" -ge 1 ] && systemctl is-active --quiet fibrewatch-agent && break
    sleep 1
done
echo "restarts $(systemctl show -P NRestarts fibrewatch-agent) $(systemctl is-active fibrewatch-agent)"
journalctl -u fibrewatch-agent --no-pager | grep -i watchdog | head -3
dpkg -i /root/new.deb < /dev/null
sleep 4
status=$(timeout 20 mosquitto_sub -h 127.0.0.1 -t 'fibrewatch/v1/paris/cargo/box-01/up/status' -C 1)
echo "after the upgrade $(systemctl is-active fibrewatch-agent) $(echo "$status" | grep -o '"version":"[^"]*"' | cut -d: -f2)"
timeout 20 mosquitto_sub -h 127.0.0.1 -t 'fibrewatch/v1/paris/cargo/box-01/up/results' -C 2 -F '%t'
systemctl stop fibrewatch-agent
echo "stopped $(systemctl show -P Result fibrewatch-agent)"
journalctl -u fibrewatch-agent --no-pager | tail -3
systemctl --failed --no-legend
