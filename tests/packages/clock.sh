# Runs in a virtual machine of its own, see test_machine.py: no clock chip, no network, and nobody who keeps the clock.
date -s '1970-01-01 00:20' > /dev/null
ip link set lo down
systemctl start fibrewatch-agent
echo "state $(systemctl is-active fibrewatch-agent), the clock $(date +%Y)"
sleep 20
ip link set lo up
systemctl start mosquitto
mosquitto_sub -h 127.0.0.1 -t 'fibrewatch/v1/#' -F '%t %p' > /root/heard &
for _ in $(seq 90); do grep -q up/status /root/heard && break; sleep 1; done
echo "results while the clock is bad: $(grep -c up/results /root/heard)"
grep -m 1 up/status /root/heard
date -s '2026-11-23 12:00' > /dev/null
# As an NTP daemon says it: ADJ_STATUS without STA_UNSYNC, and a bound (adjtimex(2)).
python3 -c "
import ctypes, struct
timex = ctypes.create_string_buffer(512)
struct.pack_into('I4xlll', timex, 0, 0x0010 | 0x0004 | 0x0008, 0, 0, 1000)
struct.pack_into('li', timex, 32, 1000, 0)
print('adjtimex', ctypes.CDLL(None).adjtimex(timex))
"
for _ in $(seq 90); do grep -q up/results /root/heard && break; sleep 1; done
sleep 15
grep up/results /root/heard
systemctl stop fibrewatch-agent
journalctl -u fibrewatch-agent --no-pager -o cat | tail -15
systemctl --failed --no-legend
