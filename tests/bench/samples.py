"""A message as a carrier sends it, for timing."""

_SDP = b"""v=0
o=carrier 20518 0 IN IP4 127.0.0.2
s=call
c=IN IP4 127.0.0.2
t=0 0
m=audio 49170 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
""".replace(b"\n", b"\r\n")

_HEAD = b"""INVITE sip:+15550101@127.0.0.1:15060;user=phone SIP/2.0
Via: SIP/2.0/UDP 127.0.0.2:15070;branch=z9hG4bK%(branch)s;rport
Max-Forwards: 69
From: "Alan Turing" <sip:+15557001@127.0.0.2;user=phone>;tag=gK0c%(branch)s
To: <sip:+15550101@127.0.0.1;user=phone>
Call-ID: 1140858_%(branch)s@127.0.0.2
CSeq: 16083 INVITE
Contact: <sip:+15557001@127.0.0.2:15070>
Allow: INVITE,ACK,CANCEL,BYE,REGISTER,REFER,INFO,SUBSCRIBE,NOTIFY,PRACK,UPDATE,OPTIONS
Accept: application/sdp, application/isup, application/dtmf
P-Asserted-Identity: "Alan Turing" <sip:+15557001@127.0.0.2:15070>
Supported: timer,100rel,precondition
Session-Expires: 1800
User-Agent: SBC 7.2
Content-Disposition: session; handling=optional
Content-Type: application/sdp
Content-Length: %(length)d

""".replace(b"\n", b"\r\n")


def invite(number: int) -> bytes:
    """The INVITE of call `number`: a transaction and a dialog of its own."""
    return _HEAD % {b"branch": b"%08d" % number, b"length": len(_SDP)} + _SDP


INVITE = invite(0)
