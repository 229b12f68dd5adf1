# Runs within the booted tree, see test_sandbox.py, which puts in what is to run within which unit's sandbox.
ip netns add far
ip link add line0 type veth peer name line1 netns far
ip addr add 10.9.0.2/24 dev line0
ip link set line0 up
ip route add default via 10.9.0.1
ip netns exec far sh -c 'ip link set lo up; ip addr add 10.9.0.1/24 dev line1; ip link set line1 up'
ip netns exec far dnsmasq --conf-file=/dev/null --port=0 --interface=line1 --bind-interfaces --no-ping --user=root \
    --dhcp-range=10.9.0.50,10.9.0.99,1h --dhcp-leasefile=/root/leases
ip netns exec far env PYTHONPATH=/usr/lib/fibrewatch-agent \
    python3 -B /root/far_end.py 10.9.0.1 --certificate /root/www.pem > /root/far 2>&1 &
cd /root
cat > /page.sh <<'PAGE'
@PAGE@
PAGE
bash -e /page.sh; echo "page: $?"
install -m 0600 -o fibrewatch-agent token /etc/fibrewatch/responder-token
systemctl start fibrewatch-reflector
for _ in $(seq 60); do grep -q ready /root/far && break; sleep 1; done
systemctl is-active fibrewatch-responder fibrewatch-reflector
systemctl start @TOGETHER@
for each in @ONE_BY_ONE@; do systemctl start "$each"; done
journalctl -u fibrewatch-responder -u fibrewatch-reflector --no-pager -o cat
systemctl stop fibrewatch-responder fibrewatch-reflector
echo "stopped $(systemctl show -P Result fibrewatch-responder) $(systemctl show -P Result fibrewatch-reflector)"
systemctl --failed --no-legend
