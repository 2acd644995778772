"""Speaks STOMP 1.2 over wss with python3-websocket, and says what happened in one line each.
Usage: wss.py HOST PORT CA CERTIFICATE KEY LOGIN PASSCODE; "" is none."""
import ssl
import sys

import websocket

HOST, PORT, CA, CERTIFICATE, KEY, LOGIN, PASSCODE = sys.argv[1:]
trust = {"ca_certs": CA}
if CERTIFICATE:
    trust.update(certfile=CERTIFICATE, keyfile=KEY)
try:
    ws = websocket.create_connection("wss://%s:%s/" % (HOST, PORT), sslopt=trust, subprotocols=["v12.stomp"], timeout=60)
except ssl.SSLCertVerificationError:
    print("no connection")
    sys.exit(0)
assert ws.subprotocol == "v12.stomp", ws.subprotocol


def say(text):
    ws.send(text + "\0")


def unescape(text):
    return text.replace("\\c", ":").replace("\\n", "\n").replace("\\\\", "\\")


def hear():
    """The next frame: its command, headers and body."""
    frame = ""
    while not frame.strip("\n"):  # heart-beats
        frame = ws.recv()
        frame = frame.decode() if isinstance(frame, bytes) else frame
    head, body = frame.lstrip("\n").split("\n\n", 1)
    command, *lines = head.split("\n")
    return command, dict(map(unescape, line.split(":", 1)) for line in lines), body.rstrip("\n").removesuffix("\0")


login = "login:%s\npasscode:%s\n" % (LOGIN, PASSCODE) if LOGIN else ""
say("CONNECT\naccept-version:1.2\nhost:/\n" + login + "\n")
command, headers, _ = hear()
if command != "CONNECTED":
    print(command + ": " + headers["message"])
    sys.exit(0)
assert headers["version"] == "1.2", headers
say("SUBSCRIBE\nid:1\ndestination:/queue/guarded\n\n")
say("SEND\ndestination:/queue/guarded\n\nhello from " + (LOGIN or CERTIFICATE.rsplit("/", 1)[-1]))
print("received: " + hear()[2])
say("SEND\ndestination:/queue/forbidden\nreceipt:1\n\nx")
command, headers, _ = hear()
print(command + ": " + headers["message"])
ws.close()
