"""Who uses the air: frames heard in monitor mode, their airtime and whose they are, in a child process."""
