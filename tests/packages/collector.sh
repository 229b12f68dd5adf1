# Runs within the booted tree, see test_debs.py.
ask() { /usr/bin/python3 -c "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8480$1', timeout=60).read().decode(errors='replace'))"; }
for _ in $(seq 90); do ask /readyz >/dev/null 2>&1 && break; sleep 1; done
echo "state $(systemctl is-active fibrewatch-collector)"
for _ in $(seq 60); do ask /metrics > /root/metrics; grep -q '^fibrewatch_tcp_.*box-01' /root/metrics && break; sleep 1; done
grep -m 2 '^fibrewatch_tcp_.*box-01' /root/metrics
fibrewatch sites
fibrewatch report --all --month $(date +%Y-%m) --format pdf --output /root/report.pdf && head -c 5 /root/report.pdf; echo
systemctl stop fibrewatch-agent fibrewatch-collector
echo "stopped $(systemctl show -P Result fibrewatch-collector)"
journalctl -u fibrewatch-collector --no-pager | tail -20
systemctl --failed --no-legend
