"""Media planes: they perform the plane operations of `calls` on real sockets."""
