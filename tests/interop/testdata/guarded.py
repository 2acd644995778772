"""Connects to a guarded broker with stomp.py over TLS, sends a message to itself, and says what happened in one line.
Usage: guarded.py HOST PORT CA CERTIFICATE KEY LOGIN PASSCODE; "" is none."""
import queue
import sys

import stomp

HOST, PORT, CA, CERTIFICATE, KEY, LOGIN, PASSCODE = sys.argv[1:]
SOON = 60


class Inbox(stomp.ConnectionListener):
    """Keeps what arrives."""

    def __init__(self):
        self.messages, self.errors = queue.Queue(), queue.Queue()
        self.reached = False

    def on_connecting(self, host_and_port):
        self.reached = True

    def on_message(self, frame):
        self.messages.put(frame)

    def on_error(self, frame):
        self.errors.put(frame)


inbox = Inbox()
where = [(HOST, int(PORT))]
conn = stomp.Connection12(where, reconnect_attempts_max=1)
conn.set_ssl(for_hosts=where, ca_certs=CA, cert_file=CERTIFICATE or None, key_file=KEY or None)
conn.set_listener("inbox", inbox)
try:
    if LOGIN:
        conn.connect(LOGIN, PASSCODE, wait=True)
    else:
        conn.connect(wait=True)
except stomp.exception.ConnectFailedException:
    if inbox.reached:  # connect() may have failed before the listener has heard why
        print("on_error: " + inbox.errors.get(timeout=SOON).headers["message"])
    else:
        print("no connection")
    sys.exit(0)
conn.subscribe("/queue/guarded", id="1")
conn.send("/queue/guarded", "hello from " + (LOGIN or CERTIFICATE.rsplit("/", 1)[-1]))
print("received: " + inbox.messages.get(timeout=SOON).body)
conn.send("/queue/forbidden", "x", headers={"receipt": "1"})
print("on_error: " + inbox.errors.get(timeout=SOON).headers["message"])
conn.disconnect()
