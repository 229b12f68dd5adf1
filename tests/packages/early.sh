# Runs within the booted tree, see test_debs.py: loopback was taken down before anything of ours began.
for _ in $(seq 60); do systemctl is-active --quiet fibrewatch-agent && break; sleep 1; done
echo "state $(systemctl is-active fibrewatch-agent), loopback $(ip -brief link show lo | awk '{print $2}')"
sleep 3
ip link set lo up
systemctl start mosquitto
timeout 90 mosquitto_sub -h 127.0.0.1 -t 'fibrewatch/v1/paris/cargo/box-01/up/results' -C 3
timeout 30 mosquitto_sub -h 127.0.0.1 -t 'fibrewatch/v1/paris/cargo/box-01/up/status' -C 1
echo "adjtimex said $(cat /var/lib/fibrewatch-agent/adjtimex)"
echo "restarts $(systemctl show -P NRestarts fibrewatch-agent)"
