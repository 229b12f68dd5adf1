# Runs in a virtual machine that has radios, see test_machine.py.
cd /root
cat > /page.sh <<'PAGE'
@PAGE@
PAGE
bash -e /page.sh; echo "page: $?"
echo "helper $(systemctl is-active fibrewatch-radio-helper) user $(ps -o user:20= -p "$(systemctl show -P MainPID fibrewatch-radio-helper)")"
stat -c '%U %G %a' /run/fibrewatch-radio /run/fibrewatch-radio/helper.sock
for each in @ONCE@; do systemctl start "$each"; done
cp -r /root/out /run/out/out
echo "helper's peak $(cat /sys/fs/cgroup/system.slice/fibrewatch-radio-helper.service/memory.peak)"
kill -STOP "$(systemctl show -P MainPID fibrewatch-radio-helper)"
for _ in $(seq 150); do
    [ "$(systemctl show -P NRestarts fibrewatch-radio-helper)" -ge 1 ] && systemctl is-active --quiet fibrewatch-radio-helper && break
    sleep 1
done
echo "restarts $(systemctl show -P NRestarts fibrewatch-radio-helper) $(systemctl is-active fibrewatch-radio-helper)"
systemctl stop fibrewatch-radio-helper
echo "stopped $(systemctl show -P Result fibrewatch-radio-helper)"
journalctl -u fibrewatch-radio-helper --no-pager -o cat | tail -20
systemctl --failed --no-legend
