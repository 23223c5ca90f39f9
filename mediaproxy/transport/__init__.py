"""SIP on sockets: UDP, TCP, TLS, and the driver that runs a sans-IO protocol on asyncio."""
