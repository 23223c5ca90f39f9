"""The plane on the event loop: one epoll descriptor, every ready socket read per wake-up."""

from mediaproxy.media.userspace.plane import UserspacePlane as UserspacePlane
