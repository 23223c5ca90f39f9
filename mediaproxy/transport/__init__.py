"""SIP on sockets: UDP, TCP, and the driver that runs a sans-IO protocol on asyncio."""
