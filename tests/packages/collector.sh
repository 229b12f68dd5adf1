# Runs within the booted tree, see test_debs.py.
ask() { /usr/bin/python3 -c "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8480$1', timeout=60).read().decode(errors='replace'))"; }
ready() { for _ in $(seq 90); do ask /readyz >/dev/null 2>&1 && break; sleep 1; done; }
sent() { timeout 60 mosquitto_sub -h 127.0.0.1 -t 'fibrewatch/v1/+/+/+/up/results' -C 2 > /dev/null; }
export_all() { fibrewatch-collector export --from 2020-01-01T00:00:00Z --to 2100-01-01T00:00:00Z; }
cd /root
ready
echo "state $(systemctl is-active fibrewatch-collector)"
for _ in $(seq 60); do ask /metrics > metrics; grep -q '^fibrewatch_tcp_.*box-01' metrics && break; sleep 1; done
grep -m 2 '^fibrewatch_tcp_.*box-01' metrics
fibrewatch sites
fibrewatch report --all --month $(date +%Y-%m) --format pdf --output report.pdf && head -c 5 report.pdf; echo
fibrewatch evidence-key /etc/fibrewatch/evidence.key > key
chown fibrewatch /etc/fibrewatch/evidence.key
printf '[evidence]\nkey = "evidence.key"\n[reports]\nfolder = "/var/lib/fibrewatch/reports"\n' >> /etc/fibrewatch/collector.toml
systemctl restart fibrewatch-collector
ready
fibrewatch evidence --site paris/cargo --month $(date +%Y-%m)
fibrewatch token add noc --scope read > token; echo "token $?"
stat -c 'owner %U' /var/lib/fibrewatch/*.db
for _ in $(seq 60); do ls /var/lib/fibrewatch/reports/*/paris/*.pdf >/dev/null 2>&1 && break; sleep 1; done
echo "monthly $(find /var/lib/fibrewatch/reports -name '*.pdf' -user fibrewatch | wc -l)"
pid=$(systemctl show -P MainPID fibrewatch-collector); kill -STOP $pid
for _ in $(seq 60); do
    [ "$(systemctl show -P NRestarts fibrewatch-collector)" -ge 1 ] && systemctl is-active --quiet fibrewatch-collector && break
    sleep 1
done
echo "restarts $(systemctl show -P NRestarts fibrewatch-collector) $(systemctl is-active fibrewatch-collector)"
dpkg -i new-collector.deb < /dev/null
dpkg -i new-agent.deb < /dev/null
ready
sent
echo "upgraded $(ask /metrics | grep -o 'fibrewatch_collector_info.*version="[^"]*"' | grep -o '[0-9.]*"$')"
cat > /backup.sh <<'PAGE'
@BACKUP@
PAGE
cat > /restore.sh <<'PAGE'
@RESTORE@
PAGE
bash -e /backup.sh; echo "backup: $?"
export_all > before
sent
systemctl stop fibrewatch-agent
sleep 3
export_all > all
systemctl stop fibrewatch-collector
echo "stopped $(systemctl show -P Result fibrewatch-collector)"
rm -rf /var/lib/fibrewatch/*.db* /etc/fibrewatch/sites.toml
bash -e /restore.sh; echo "restore: $?"
ready
export_all > restored
stat -c '%U %G %a' /var/lib/fibrewatch/collector.db /etc/fibrewatch/sites.toml
echo "lines $(wc -l < before) $(wc -l < restored) $(wc -l < all)"
fibrewatch sites
systemctl stop fibrewatch-collector
journalctl -u fibrewatch-collector --no-pager | tail -20
systemctl --failed --no-legend
